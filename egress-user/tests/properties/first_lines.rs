//! The kernel side's reading of a first line against the proxy's: what leaves by the one way leaves by the other.
use egress_common::first_line::{Begun, FirstLine};
use egress_user::sniff::{self, Beginning};
use proptest::prelude::*;

/// Ports of which one has lines that are commands.
const PORTS: [u16; 2] = [5432, 6379];

/// Follows the bytes one by one on both sides, and asks at each whether they say the same.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    for port in PORTS {
        let (mut kernel, mut proxy) = (FirstLine::new(port), Beginning::new(port == 6379));
        for (at, &byte) in bytes.iter().enumerate() {
            kernel.take(byte);
            let said = proxy.feed(&[byte]);
            let seen = bytes[..=at].escape_ascii();
            let expected = match said {
                sniff::Begun::Request => Begun::Request,
                sniff::Begun::Opaque => Begun::Opaque,
                sniff::Begun::Maybe if proxy.passable() == at + 1 => Begun::Passes,
                sniff::Begun::Maybe => Begun::Held,
            };
            prop_assert_eq!(kernel.begun(false), expected, "{} at port {}", seen, port);
            let first = kernel.begun(true);
            prop_assert!(first == expected || first == Begun::Held, "{}: {:?}", seen, first);
            let (mut ended, mut closed) = (kernel, proxy.clone());
            ended.end();
            let is_request = closed.end() == sniff::Begun::Request;
            prop_assert_eq!(
                ended.begun(true) == Begun::Request,
                is_request,
                "{} and no more",
                seen
            );
            if said != sniff::Begun::Maybe {
                break;
            }
        }
    }
    Ok(())
}

fn beginnings() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        "HTTP/|http/1.1|HTTP|HTT|P/1|HTTPS?:|//|://",
        "GET|POST|get|CONNECT|OPTIONS|PROPFIND|NOVEL|PROXY|QUIT|PRI",
        "[/*\\[.0-9]",
        "[ -~]{0,6}",
        "[\r\n\t \u{b}\u{1c}]{1,3}",
        "[a-gi-z]{8,40}",
    ];
    let part = prop_oneof![
        4 => part.prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 1..12),
        1 => proptest::collection::vec(prop_oneof![0_u8..9, 0x80_u8..], 1..12),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_leaves_by_the_kernel_leaves_by_the_proxy(bytes in beginnings()) {
        agree(&bytes)?;
    }

    #[test]
    fn bytes_that_change_nothing_are_skipped(bytes in beginnings()) {
        let mut each = FirstLine::new(22);
        for (at, &byte) in bytes.iter().enumerate() {
            if each.begun(false) == Begun::Request || each.begun(false) == Begun::Opaque {
                break;
            }
            each.take(byte);
            // Whatever the skips end in.
            let skipped = FirstLine::of(22, &bytes[..=at]);
            prop_assert_eq!(skipped.begun(false), each.begun(false), "{}", bytes.escape_ascii());
            prop_assert_eq!(skipped.begun(true), each.begun(true), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn of_an_ordinary_request_not_a_byte_leaves(
        before in "[\r\n\t ]{0,4}",
        method in "[A-Za-z!#$%&'*+.^_`|~0-9-]{1,20}",
        target in "(/|\\*|http://denied\\.test/|denied\\.test:80|[a-z/]{1,20})",
        version in "(HTTP/1\\.[01]|http/1\\.1|HTTP/2\\.0)",
    ) {
        let request = format!("{before}{method} {target} {version}\r\nHost: denied.test\r\n\r\n");
        for length in 1..=request.len() {
            let begun = FirstLine::of(22, &request.as_bytes()[..length]).begun(true);
            prop_assert!(matches!(begun, Begun::Held | Begun::Request), "{}", &request[..length]);
        }
    }
}

/// What clients of the protocols say first that the kernel side lets out by itself.
#[test]
fn first_messages_of_other_protocols_leave() {
    for (what, message) in [
        ("ssh", &b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"[..]),
        ("smtp", b"EHLO client.test\r\n"),
        ("smtp with an address", b"EHLO [192.0.2.1]\r\n"),
        ("imap", b"a001 CAPABILITY\r\n"),
        ("pop3", b"CAPA\r\n"),
        ("ftp", b"USER anonymous\r\n"),
        ("nntp", b"MODE READER\r\n"),
        ("whois", b"example.com\r\n"),
        ("irc", b"CAP LS 302\r\nNICK a\r\n"),
        ("xmpp", b"<?xml version='1.0'?><stream:stream to='a' xmlns:stream='http://etherx.jabber.org/streams'>"),
        ("sip", b"REGISTER sip:a.test SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n"),
        ("postgres, tls", b"\0\0\0\x08\x04\xd2\x16\x2f"),
        ("postgres, gss", b"\0\0\0\x08\x04\xd2\x16\x30"),
        ("postgres, startup", b"\0\0\0\x21\0\x03\0\0user\0a\0database\0b\0\0"),
        ("postgres, a letter as its length", b"\0\0\0\x54\0\x03\0\0user\0a\0database\0b\0\0"),
        ("mysql, tls", b"\x20\0\0\x01\x85\xae\xff\x19\0\0\0\x01\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("redis", b"*1\r\n$4\r\nPING\r\n"),
        ("redis, inline", b"PING\r\n"),
        ("amqp 0-9-1", b"AMQP\0\0\x09\x01"),
        ("amqp 1.0", b"AMQP\0\x01\0\0"),
        ("mongodb", b"\x3a\x01\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0\0\0\0\0\x10ismaster\0\x01\0\0\0"),
        ("kafka", b"\0\0\0\x1a\0\x12\0\0\0\0\0\x01\0\x10kafka-python-2.0"),
        ("ldap", b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0"),
        ("mqtt", b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06client"),
        ("cassandra", b"\x04\0\0\0\x05\0\0\0\0"),
        ("git", b"0033git-upload-pack /project.git\0host=a.test\0"),
        ("rsync", b"@RSYNCD: 31.0 md5 md4\n"),
        ("svn", b"( 2 ( edit-pipeline svndiff1 ) 16:svn://a.test/rep 12:SVN/1.14.2 ( ) ) "),
        ("nats", b"CONNECT {\"verbose\":false}\r\nPING\r\n"),
        ("tds", b"\x12\x01\0\x2f\0\0\x01\0\0\0\x1a\0\x06\x01\0\x20"),
        ("zookeeper", b"\0\0\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30"),
        ("kerberos", b"\0\0\0\xa0\x6a\x81\x9d\x30\x81\x9a\xa1\x03\x02\x01\x05"),
        ("stun", b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl"),
    ] {
        let begun = FirstLine::of(22, message).begun(true);
        assert!(matches!(begun, Begun::Passes | Begun::Opaque), "{what}: {begun:?}");
        agree(message).unwrap();
    }
    let get = FirstLine::of(11211, b"get key\r\n").begun(true);
    assert_eq!(get, Begun::Opaque, "a command of memcached");
    assert_eq!(FirstLine::of(22, b"get key\r\n").begun(true), Begun::Request);
}

/// Long words are skipped through, eight bytes at a time.
#[test]
fn what_stands_behind_a_long_word_is_read_wherever_it_begins() {
    let letters = "abcdefgijklmnopqrstuvwxyz".repeat(2);
    for before in ["", "a ", "a b ", "a b c "] {
        for start in ["", "(", "/", "a("] {
            for length in 0..48 {
                for behind in ["HTTP/1.1", "hhttp/1.1", "TTP/1.1", "T", "://"] {
                    let line = format!("{before}{start}{}{behind}\r\n", &letters[..length]);
                    agree(line.as_bytes()).unwrap();
                    let mut each = FirstLine::new(22);
                    for (at, &byte) in line.as_bytes().iter().enumerate() {
                        each.take(byte);
                        // The skips end where these bytes do.
                        if at + behind.len() + 4 > line.len() {
                            let skipped = FirstLine::of(22, &line.as_bytes()[..=at]);
                            assert_eq!(skipped.begun(false), each.begun(false), "{line:?} {at}");
                        }
                        if matches!(each.begun(false), Begun::Request | Begun::Opaque) {
                            break;
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_too_short_to_tell_waits() {
    for begun in [
        &b""[..],
        b"P",
        b"PO",
        b"POST",
        b"post ",
        b"\r\n",
        b"\r\n\r\n\0\r\nQUI",
        b"\0",
        b"\0\0\0G",
        b"PRI * ",
        b"PROXY",
        b"FOO",
        b"FOO /x",
        b"ruok",
    ] {
        assert_eq!(FirstLine::of(22, begun).begun(true), Begun::Held, "{}", begun.escape_ascii());
    }
}
