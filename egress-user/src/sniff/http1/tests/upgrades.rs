//! Requests that ask to leave HTTP/1.
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
