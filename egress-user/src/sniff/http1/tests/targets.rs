//! Whom a request is for, and what of its target passes.
use super::*;

#[test]
fn targets_give_one_authority() {
    let head = |name| heads(&fixture(name)).remove(0);
    let absolute = head("good-absolute");
    assert_eq!(absolute.target, TargetForm::Absolute);
    assert_eq!((absolute.host.as_deref(), absolute.path.as_str()), (Some("a.test:80"), "/x?y"));
    let connect = head("good-connect");
    assert!(connect.is_connect());
    assert_eq!((connect.host.as_deref(), connect.path.as_str()), (Some("a.test:443"), ""));
    for (target, path) in [("http://a", "/"), ("http://a?x", "/?x"), ("http://a//", "//")] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        assert_eq!(heads(&bytes)[0].path, path, "{target}");
    }
    assert_eq!(head("good-options-asterisk").target, TargetForm::Asterisk);
    let old = head("good-http-1.0-without-host");
    assert_eq!((old.host, old.minor_version, old.is_last), (None, 0, true));
    assert!(head("good-expect-continue").expects_continue);
}

#[test]
fn absolute_target_and_host_must_name_the_same() {
    let request = |target: &str, host: &str| {
        format!("GET http://{target}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
    };
    for (target, host) in [("a.test", "a.test:80"), ("[::1]:80", "[::1]"), ("A.test", "a.TEST")] {
        assert_eq!(heads(&request(target, host)).len(), 1, "{target} {host}");
    }
    for (target, host) in [("a.test", "a.test."), ("a.test", "a.test:81"), ("[::1]", "[::2]")] {
        assert_eq!(bad(&request(target, host)), "target and Host header differ");
    }
}

fn request(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()
}

#[test]
fn bytes_over_0x7f_pass_as_they_are() {
    for (target, path) in [
        ("/café?é=ü".as_bytes(), "/café?é=ü"),
        // Of UTF-8, but blanks and a line's end to who reads Latin-1.
        ("/à/Å".as_bytes(), "/à/Å"),
        (b"/caf\xe9", "/caf\u{fffd}"),
        (b"http://a/\xff", "/\u{fffd}"),
        ("/Größe:http:1".as_bytes(), "/Größe:http:1"),
    ] {
        let bytes = request(target);
        let caller = Caller::run(&bytes, &[]);
        assert_eq!(caller.forwarded, bytes);
        let Event::Head(head, _) = &caller.events[0] else { panic!("{:?}", caller.events) };
        assert_eq!((head.path.as_str(), head.host.as_deref()), (path, Some("a")));
    }
}

#[test]
fn a_target_in_which_a_server_may_find_another_request_is_refused() {
    let why = "target holds what some servers read as the end of the line";
    for target in [
        &b"/\xa0HTTP/1.0"[..],
        b"/\xa0http/1.1\x85Host:b.test\x85X:",
        b"/\x85host:b.test",
        b"/\x85Content-Length:5",
        b"/\x85TRANSFER-ENCODING:chunked",
        // A no-break blank, a wide one, and a line separator in UTF-8.
        "/\u{a0}HTTP/1.1".as_bytes(),
        "/\u{3000}HTTP/1.1".as_bytes(),
        "/\u{2028}Host:b.test".as_bytes(),
    ] {
        assert_eq!(bad(&request(target)), why, "{}", target.escape_ascii());
    }
    // Nor elsewhere in the line.
    for line in [&b"G\xc3\x89T / HTTP/1.1"[..], b"GET\xa0/ HTTP/1.1", b"GET / HTTP/1.1\xa0"] {
        let bytes = [line, b"\r\nHost: a\r\n\r\n"].concat();
        assert!(heads(&bytes).is_empty(), "{}", line.escape_ascii());
        // Behind a good one it is no other protocol either.
        bad(&[&request(b"/")[..], &bytes].concat());
    }
    for host in [&b"http://\xc3\xa9.test/"[..], b"http://a\xa0/"] {
        assert_eq!(bad(&request(host)), "host holds what no host has");
    }
}
