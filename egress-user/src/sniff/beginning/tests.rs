use proptest::prelude::*;

use super::*;

/// The verdict, after how many bytes, and how many of them might have been forwarded before.
fn verdict(bytes: &[u8]) -> (Begun, usize, usize) {
    let mut beginning = Beginning::new(false);
    let mut passed = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        match beginning.feed(&[byte]) {
            Begun::Maybe => passed = beginning.passable(),
            certain => return (certain, index + 1, passed),
        }
    }
    (Begun::Maybe, bytes.len(), passed)
}

#[test]
fn what_some_server_reads_as_a_request_is_one_and_stops_before_its_version() {
    for line in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\r\nGET / HTTP/1.1\r\n",
        b"\n\n \t\x0b\x0cGET / HTTP/1.1\r\n",
        b"\0GET / HTTP/1.1\r\n",
        b"\x1cGET\x1d/\x85HTTP/1.1\r\n",
        b"GET\t/\tHTTP/1.1\n",
        b"GET  /   HTTP/1.1\r\n",
        b"x\r/\rHTTP/1.1\r\n",
        b"get / http/1.1\r\n",
        b"G\xffT / Http/1.1\r\n",
        b"{\"a\":1} / HTTP/1.1\r\n",
        b"\x01\x02 / HTTP/1.1\r\n",
        b"FOO /xHTTP/1.1\r\n",
        b"a\x01b\x01c\x01d / HTTP/1.1x\r\n",
        b"\x01 a / HTTP/1.1x\r\n",
        b"HTTP/1.1 GET /\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let (begun, at, passed) = verdict(line);
        assert_eq!(begun, Begun::Request, "{}", line.escape_ascii());
        let before = &line[..at];
        assert!(before.to_ascii_uppercase().ends_with(b"HTTP/"), "{}", line.escape_ascii());
        assert!(passed < at);
    }
}

#[test]
fn a_long_method_or_target_is_followed_to_its_version() {
    for line in [
        [&vec![b'X'; 100_000][..], b" / HTTP/1.1\r\n"].concat(),
        [b"GET /", &vec![b'a'; 15_000][..], b" HTTP/1.1\r\n"].concat(),
        [b"{\"a\" /", &vec![b'h'; 2_000_000][..], b" HTTP/1.1\r\n"].concat(),
        [&b"\r\n".repeat(3 << 20)[..], b"GET / HTTP/1.1\r\n"].concat(),
    ] {
        assert_eq!(Beginning::new(false).feed(&line), Begun::Request);
    }
    assert_eq!(
        verdict(b"GET /secret").2,
        4,
        "nothing of a target leaves before the line is judged"
    );
    let endless = vec![b'a'; LINE_LIMIT_BYTES + 1];
    assert_eq!(Beginning::new(false).feed(&endless), Begun::Opaque);
}

#[test]
fn a_version_behind_a_target_with_blanks_is_held_to_the_lines_end() {
    for line in [&b"GET /a b c HTTP/1.1"[..], b"X Y Z /a HTTP/2 \t", b"A B C dHTTP/1.0"] {
        for end in [&b"\n"[..], b"\r", b"\r\n"] {
            let (begun, at, passed) = verdict(&[line, end].concat());
            assert_eq!((begun, at), (Begun::Request, line.len() + 1), "{}", line.escape_ascii());
            assert!(!line[..passed].contains(&b'.') && !line[..passed].ends_with(b"HTTP/2"));
        }
    }
    let log = b"<134>Nov 28 12:00:00 host web: 192.0.2.1 \"GET / HTTP/1.1\" 200 5\n";
    assert_eq!(verdict(log), (Begun::Opaque, log.len(), log.len() - 1));
}

#[test]
fn what_is_held_for_a_version_is_bounded() {
    for endless in [b' ', b'1', 0] {
        let line = [&b"a b c HTTP/1.1"[..], &vec![endless; 2 * HEAD_LIMIT_BYTES]].concat();
        let (begun, at, passed) = verdict(&line);
        assert_eq!((begun, passed), (Begun::Request, 6));
        assert!(at <= passed + HEAD_LIMIT_BYTES + 2, "{at}");
    }
}

#[test]
fn a_header_of_the_proxy_protocol_is_a_requests_beginning() {
    for line in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n",
        b"proxy\tTCP6 2001:db8::1 2001:db8::2 1 2\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
    ] {
        for reads_commands in [false, true] {
            let begun = Beginning::new(reads_commands).feed(line);
            assert_eq!(begun, Begun::Request, "{}", line.escape_ascii());
        }
    }
    for line in [&b"QUIT\n"[..], b"\r\nQUIT\r\n", b"PROXYING x\n", b"PROXY\n"] {
        assert_eq!(verdict(line).0, Begun::Opaque, "{}", line.escape_ascii());
    }
}

#[test]
fn a_line_without_a_version_is_refused_where_a_server_may_answer_it() {
    for line in [
        &b"GET /\r\n"[..],
        b"GET /\n",
        b"\r\nget /x\r\n",
        b"GET foo\r\n",
        b"HEAD http://a/\r\n",
        b"GET x\x01y\r\n",
        b"GET x+y://a.test/b c\r\n",
        b"NOVEL http://a/\r\n",
        b"GET scheme-of-any-length://a.test/ x\r\n",
        b"OPTIONS *\r\n",
        b"GET / foo\r\n",
        b"PROPFIND /x y z\n",
        b"NOVEL /x\r\n",
        b"CONNECT a.test:443\r\n",
    ] {
        let (begun, at, _) = verdict(line);
        assert_eq!(begun, Begun::Request, "{}", line.escape_ascii());
        assert!(matches!(line[at - 1], b'\r' | b'\n'), "{}", line.escape_ascii());
        let command = Beginning::new(true).feed(line);
        assert_eq!(command, Begun::Opaque, "{} as a command", line.escape_ascii());
        let unfinished = line.trim_ascii_end();
        let mut beginning = Beginning::new(false);
        assert_eq!(beginning.feed(unfinished), Begun::Maybe);
        assert_eq!(beginning.end(), Begun::Request, "an end of stream ends a line");
    }
    assert_eq!(verdict(b"GET\r/\r").0, Begun::Request, "CR ends a line to some servers");
}

#[test]
fn other_protocols_pass_and_are_certain_at_their_first_lines_end() {
    for line in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"EHLO mail.test\r\n",
        b"*3\r\n",
        b"CONNECT\n",
        b"INVITE sip:a@b SIP/2.0\r\n",
        b"DESCRIBE rtsp://a/ RTSP/1.0\r\n",
        b"ls /tmp\n",
        b"\0\0\0\x2c\0\0\0\0\n",
        b"{\"method\":\"x\",\"url\":\"http://a/\"}\n",
    ] {
        assert_eq!(verdict(line), (Begun::Opaque, line.len(), line.len() - 1), "{line:?}");
    }
    // What could be a request's target waits for the line's end.
    for line in [&b"OPTIONS rtsp://a/ RTSP/1.0\r\n"[..], b"add http://radio.test/a\n"] {
        assert_eq!(verdict(line).0, Begun::Opaque, "{}", line.escape_ascii());
    }
    for open in
        [&b"ruok"[..], b"JDWP-Handshake", b"GET", b"\0\0\0\x08\x04\xd2\x16\x2f", b"", b"\r\n"]
    {
        let (begun, _, passed) = verdict(open);
        assert_eq!((begun, passed), (Begun::Maybe, open.len()), "nothing of it waits");
        assert_eq!(Beginning::new(false).feed(b"EHLO x\r\nGET / HTTP/1.1\r\n"), Begun::Opaque);
    }
}

proptest! {
    #[test]
    fn every_split_comes_to_the_same_and_forwards_no_more(
        words in proptest::collection::vec(
            prop_oneof!["HTTP/", "http/1.1", "GET", "/", "[ -~]{0,6}", "[\r\n\t ]{1,3}", "\\PC{0,3}"],
            0..12,
        ),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let bytes = words.concat().into_bytes();
        let (begun, at, passed) = verdict(&bytes);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let (mut split, mut from) = (Beginning::new(false), 0);
        let mut last = Begun::Maybe;
        for to in cuts {
            last = split.feed(&bytes[from..to]);
            if last != Begun::Maybe {
                prop_assert!(at <= to);
                break;
            }
            prop_assert!(split.passable() <= to);
            from = to;
        }
        prop_assert_eq!(last, begun);
        // What was forwarded before a request was known holds no line of it.
        if begun == Begun::Request {
            let line = bytes[..passed].trim_ascii_start();
            prop_assert!(!line.contains(&b'\n'), "{}", bytes.escape_ascii());
        }
    }
}
