//! Connections that leave HTTP/1, and what the server says to it.
use super::*;

#[test]
fn upgrades_wait_for_the_response() {
    for name in ["good-websocket", "good-connect", "good-h2c-upgrade"] {
        let bytes = fixture(name);
        assert_eq!(events(&bytes)[1], Event::Await, "{name}");
        let mut stream = RequestStream::new();
        let Step::Head(_, len) = stream.step(&bytes) else { panic!("{name}") };
        assert_eq!(len, bytes.len());
        for held in [&b""[..], b"x", b"GET / HTTP/1.1\r\n"] {
            assert_eq!(stream.step(held), Step::AwaitResponse);
        }
        stream.resume();
        assert_eq!(stream.step(b"GET / HTTP/1.1\r\n\r\n"), Step::Bad("no Host header"));
    }
    let body = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(events(body)[1..], [Event::Body(2), Event::Await]);
}

#[test]
fn upgrade_can_be_taken_out() {
    let head =
        b"GET /a:b HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings, keep-alive\r\n\
        UPGRADE: h2c\r\nHTTP2-Settings: AAMA\r\nAccept: */*\r\n\r\n";
    let without = without_upgrade(head);
    assert_eq!(
        without.escape_ascii().to_string(),
        b"GET /a:b HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n"
            .escape_ascii()
            .to_string()
    );
    assert_eq!(heads(&without)[0].upgrade, None);
    assert_eq!(heads(&without_upgrade(&fixture("good-websocket")))[0].upgrade, None);
    assert_eq!(without_upgrade(&fixture("good-get")), fixture("good-get"));
}

#[test]
fn responses_tell_whether_the_connection_switched() {
    use Awaited::{Tunnel, Upgrade};
    use ResponseState::{Bad, Need, NotSwitched, Switched};
    for (bytes, awaited, state) in [
        (&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], Upgrade, Switched),
        (b"HTTP/1.1 101\r\n\r\n", Upgrade, Switched),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nA: b\r\n\r\nHTTP/1.1 101 x",
            Upgrade,
            Switched,
        ),
        (b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n", Upgrade, NotSwitched),
        (b"HTTP/1.1 103 Hints\r\nX: HTTP/1.1 101 \r\n\r\n", Upgrade, Need),
        (b"HTTP/1.1 400 Bad\r\n", Upgrade, NotSwitched),
        (b"HTTP/1.0 200 OK\r\n", Tunnel, Switched),
        (b"HTTP/1.1 101 x", Tunnel, Bad),
        (b"HTTP/1.1 407 x", Tunnel, NotSwitched),
        (b"HTTP/1.1 1010 x", Upgrade, Bad),
        (b"HTTP/1.1 099 x", Upgrade, Bad),
        (b"HTTP/2 101 x", Upgrade, Bad),
        (b"SSH-2.0-x\r\n", Upgrade, Bad),
        (b"HTTP/1.1 100 x\n\nHTTP/1.1 101 x", Upgrade, Bad),
        (b"HTTP/1.1 100 x\rHTTP/1.1 101 x", Upgrade, Bad),
        (b"HTTP/1.1 101", Upgrade, Need),
    ] {
        let text = bytes.escape_ascii();
        assert_eq!(ResponseWatch::new(awaited).feed(bytes), state, "{text}");
        let mut watch = ResponseWatch::new(awaited);
        let bytewise = bytes.chunks(1).map(|byte| watch.feed(byte)).last();
        assert_eq!(bytewise, Some(state), "{text} bytewise");
    }
    let mut endless = b"HTTP/1.1 100 x\r\nX: ".to_vec();
    endless.resize(80_000, b'y');
    assert_eq!(ResponseWatch::new(Upgrade).feed(&endless), Bad);
}
