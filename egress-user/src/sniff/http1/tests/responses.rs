//! What the server says: whose answer it is, and where it ends.
use super::*;

/// Requests, the server's bytes, and what became of the offer; whether all is answered, whether it is lost.
struct Told {
    switch: Option<Switch>,
    is_idle: bool,
    is_lost: bool,
}

fn told(asked: &[Asked], bytes: &[u8], piece: usize) -> Told {
    let mut responses = ResponseStream::new();
    asked.iter().for_each(|&asked| responses.expect(asked));
    let mut switch = None;
    for piece in bytes.chunks(piece) {
        responses.feed(piece);
        switch = switch.or(responses.take_switch());
    }
    Told { switch, is_idle: responses.is_idle(), is_lost: responses.is_lost() }
}

/// The same in one piece, and in single bytes.
fn both(asked: &[Asked], bytes: &[u8]) -> Told {
    let (whole, bytewise) = (told(asked, bytes, bytes.len().max(1)), told(asked, bytes, 1));
    let text = bytes.escape_ascii();
    assert_eq!(whole.switch, bytewise.switch, "{text}");
    assert_eq!((whole.is_idle, whole.is_lost), (bytewise.is_idle, bytewise.is_lost), "{text}");
    whole
}

#[test]
fn responses_tell_whether_the_connection_switched() {
    use Switch::{Bad, NotSwitched, Switched};
    for (bytes, switch) in [
        (&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], Some(Switched)),
        (b"HTTP/1.1 101\r\n\r\n", Some(Switched)),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nA: b\r\n\r\nHTTP/1.1 101 x",
            Some(Switched),
        ),
        (b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n", Some(NotSwitched)),
        (b"HTTP/1.1 103 Hints\r\nX: HTTP/1.1 101 \r\n\r\n", None),
        (b"HTTP/1.1 400 Bad\r\n", Some(NotSwitched)),
        (b"HTTP/1.1 1010 x", Some(Bad)),
        (b"HTTP/1.1 099 x", Some(Bad)),
        (b"HTTP/1.1 2x0 x", Some(Bad)),
        (b"HTTP/2 101 x", Some(Bad)),
        (b"HTTP/1.2 101 x", Some(Bad)),
        (b"\r\nHTTP/1.1 101 x", Some(Bad)),
        (b"SSH-2.0-x\r\n", Some(Bad)),
        (b"HTTP/1.1 100 x\n\nHTTP/1.1 101 x", Some(Bad)),
        (b"HTTP/1.1 100 x\rHTTP/1.1 101 x", Some(Bad)),
        (b"HTTP/1.1 101", None),
    ] {
        assert_eq!(both(&[Asked::Upgrade], bytes).switch, switch, "{}", bytes.escape_ascii());
    }
    let mut endless = b"HTTP/1.1 100 x\r\nX: ".to_vec();
    endless.resize(80_000, b'y');
    assert_eq!(both(&[Asked::Upgrade], &endless).switch, Some(Bad));
}

#[test]
fn an_answer_is_outstanding_to_its_last_byte() {
    use Asked::{Answer, Head};
    let one = [Answer];
    for (asked, bytes) in [
        (&one[..], &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..]),
        (&one, b"HTTP/1.1 200 OK\r\ncontent-length:\t2 \r\nX: y\r\n\r\nok"),
        (&one, b"HTTP/1.0 404 No\r\nContent-Length: 0\r\n\r\n"),
        (
            &one,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
        ),
        (&one, b"HTTP/1.1 204 No\r\n\r\n"),
        (&one, b"HTTP/1.1 304 Same\r\nContent-Length: 100\r\n\r\n"),
        (&one, b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (&[Head], b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        (&[Head], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (
            &[Answer, Head, Answer],
            b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nHTTP/1.1 101 x\nHTTP/1.1 200 OK\r\n\
              Content-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
        ),
    ] {
        for length in 0..bytes.len() {
            let told = told(asked, &bytes[..length], length.max(1));
            assert!(!told.is_idle && !told.is_lost, "{}", bytes[..length].escape_ascii());
        }
        let told = both(asked, bytes);
        assert!(told.is_idle && !told.is_lost, "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_can_be_read_in_two_ways_loses_count() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\n\r\nto the end"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n Content-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nH",
    ] {
        let told = both(&[Asked::Answer], bytes);
        assert!(told.is_lost && !told.is_idle, "{}", bytes.escape_ascii());
    }
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {:0>99}\r\n\r\n", 1);
    assert!(both(&[Asked::Answer], long.as_bytes()).is_lost);
    assert!(both(&[], b"H").is_lost, "an answer that nobody asked for");
    assert!(both(&[Asked::Answer; 65], b"").is_lost, "more than can be counted");
    assert!(!both(&[Asked::Head; 64], b"").is_lost);
}

#[test]
fn a_body_of_known_length_may_pass_unseen() {
    let mut responses = ResponseStream::new();
    responses.expect(Asked::Answer);
    assert_eq!(responses.uncounted(), 0);
    responses.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12");
    assert_eq!(responses.uncounted(), 8);
    responses.skip(7);
    assert_eq!((responses.uncounted(), responses.is_idle()), (1, false));
    responses.skip(1);
    assert_eq!((responses.uncounted(), responses.is_idle()), (0, true));
    responses.expect(Asked::Answer);
    responses.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    responses.skip(11);
    assert!(responses.is_lost() && responses.uncounted() == u64::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_answers_are_read_alike_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..200), begun in any::<bool>(), offers in any::<bool>(),
    ) {
        let start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = if begun { [&start[..], &bytes].concat() } else { bytes };
        both(&[if offers { Asked::Upgrade } else { Asked::Answer }], &bytes);
    }

    /// Whatever a body carries, nothing in it is an answer.
    #[test]
    fn no_body_makes_a_connection_idle_or_switches_it(body in prop::collection::vec(any::<u8>(), 1..60)) {
        let text = b"HTTP/1.1 101 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let body = [&text[..], &body, &text[..]].concat();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 1);
        let told = both(&[Asked::Upgrade], &[head.as_bytes(), &body].concat());
        prop_assert_eq!((told.switch, told.is_idle), (Some(Switch::NotSwitched), false));
    }
}
