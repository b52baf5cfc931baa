use std::net::SocketAddr;

use super::*;
use crate::{
    dns::support::{Diary, address, name, policy},
    pins::{NEVER_NS, Pins},
};

const CURL: &[u8] = include_bytes!("../../../tests/data/hello/curl-openssl3.bin");
const NAMELESS: &[u8] = include_bytes!("../../../tests/data/hello/no-sni.bin");
const CIPHERS: &[u8] = b"\x14\x03\x03\0\x01\x01";

/// What vouches for `curl.test` at a port.
struct Case {
    policy: Policy,
    evidence: Evidence,
}

impl Case {
    fn new(rule: &str, port: u16) -> Self {
        let policy = policy(&[rule]);
        let (at, site) = (address("93.184.216.34"), name("curl.test"));
        let pins = Pins::new(std::sync::Arc::new(Diary::default()));
        let grant = policy.name(&site).unwrap();
        pins.pin(&site, &grant, &[(at, NEVER_NS)], 0).unwrap();
        let evidence = Evidence::gather(&policy, &pins, SocketAddr::new(at, port), 0).unwrap();
        Self { policy, evidence }
    }

    fn judge(&self, held: HeldBytes<'_>) -> HeldVerdict {
        self.evidence.judge_held(&self.policy, held, &mut Followed::default())
    }

    fn said(&self, held: HeldBytes<'_>) -> (usize, &'static str) {
        let HeldVerdict { approved, rest } = self.judge(held);
        let rest = match rest {
            Rest::Done => "done",
            Rest::Need => "need",
            Rest::Refused(_) => "refused",
            Rest::Requests => "requests",
        };
        (approved.length, rest)
    }
}

fn held(bytes: &[u8]) -> HeldBytes<'_> {
    HeldBytes { bytes, ended: false, hellos: 0, record: 0, paused: false, late: false }
}

/// The same hello in records of so many bytes.
fn cut(hello: &[u8], size: usize) -> Vec<u8> {
    let records = hello[5..].chunks(size).map(|part| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &length, part].concat()
    });
    records.collect::<Vec<_>>().concat()
}

#[test]
fn a_hello_may_leave_once_it_is_whole() {
    let case = Case::new("allow curl.test", 443);
    for size in [1, 30, 512] {
        let hello = cut(CURL, size);
        for length in 1..hello.len() {
            assert_eq!(case.said(held(&hello[..length])), (0, "need"), "{length} of {size}");
        }
        assert_eq!(case.said(held(&hello)), (hello.len(), "done"));
        // What may stand behind it leaves with it; the beginning of such a record waits for its header.
        let more = [&hello, CIPHERS].concat();
        let HeldVerdict { approved, .. } = case.judge(held(&more));
        assert_eq!((approved.length, approved.then, approved.hellos), (more.len(), then::HELLO, 1));
        assert_eq!(approved.name, Some(name("curl.test")));
        assert_eq!(case.said(held(&more[..hello.len() + 2])), (hello.len(), "need"));
        // A record that goes on behind what is there.
        let begun = [&hello, &b"\x17\x03\x03\x40\0early"[..]].concat();
        let HeldVerdict { approved, .. } = case.judge(held(&begun));
        assert_eq!((approved.length, approved.record), (begun.len(), hello.len() + 5 + 0x4000));
    }
    assert_eq!(case.said(held(NAMELESS)), (0, "refused"));
    assert_eq!(Case::new("allow curl.test", 22).said(held(NAMELESS)), (NAMELESS.len(), "done"));
}

#[test]
fn a_hello_behind_another_is_judged_like_it() {
    let case = Case::new("allow curl.test", 443);
    let hello = cut(CURL, 100);
    let second = |record, bytes| HeldBytes { hellos: 1, record, ..held(bytes) };
    assert_eq!(case.said(second(0, &hello)), (hello.len(), "done"));
    // The rest of a record that began before passes by its length.
    let behind = [b"rest", CIPHERS, &hello].concat();
    assert_eq!(case.said(second(4, &behind)), (behind.len(), "done"));
    assert_eq!(case.said(second(900, b"rest")), (0, "done"));
    let two = [&hello[..], &hello].concat();
    for bad in [NAMELESS, b"GET / HTTP/1.1\r\n\r\n", &two] {
        assert_eq!(case.said(second(0, bad)).1, "refused");
    }
    let late = HeldBytes { late: true, ..second(0, &hello[..50]) };
    assert_eq!(case.said(late), (0, "refused"));
}

#[test]
fn what_does_not_come_is_refused_in_time() {
    let (web, other) = (Case::new("allow curl.test", 443), Case::new("allow curl.test", 4000));
    for beginning in [&CURL[..100], b"\x16"] {
        for case in [&web, &other] {
            assert_eq!(case.said(held(beginning)), (0, "need"));
            for late in [true, false] {
                let given_up = HeldBytes { late, ended: !late, ..held(beginning) };
                assert_eq!(case.said(given_up), (0, "refused"));
            }
        }
    }
    // A pause tells that it is none of the two, but on ports of the web.
    let paused = HeldBytes { paused: true, ..held(b"ruok") };
    assert_eq!(web.said(paused), (0, "need"));
    assert_eq!(web.said(HeldBytes { late: true, ..paused }), (0, "refused"));
    // It leaves at once where anything may that is no request.
    assert_eq!(other.said(held(b"ruok")), (4, "done"));
}

#[test]
fn what_may_become_a_request_is_followed() {
    let case = Case::new("allow curl.test", 4000);
    let mut followed = Followed::default();
    let mut say = |bytes: &[u8]| {
        let HeldVerdict { approved, rest } =
            case.evidence.judge_held(&case.policy, held(bytes), &mut followed);
        followed.leave(approved.length);
        (approved.length, approved.then, rest)
    };
    assert!(matches!(say(b"US"), (2, then::ASK, Rest::Done)));
    assert!(matches!(say(b"ER anna"), (7, then::ASK, Rest::Done)));
    assert!(matches!(say(b" x\r\nGET / HTTP/1.1\r\n"), (20, then::PASS, Rest::Done)));
    // A request of which a part has left cannot be judged any more.
    let mut followed = Followed::default();
    for (bytes, refused) in [(&b"GE"[..], false), (b"T / HTTP/1.1\r\n", true)] {
        let HeldVerdict { approved, rest } =
            case.evidence.judge_held(&case.policy, held(bytes), &mut followed);
        followed.leave(approved.length);
        assert_eq!(matches!(rest, Rest::Refused(_)), refused);
    }
}

#[test]
fn requests_are_for_the_proxy() {
    for port in [443, 4000] {
        let case = Case::new("allow curl.test", port);
        let request = |host| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(case.said(held(request("curl.test").as_bytes())), (0, "requests"));
        assert_eq!(case.said(held(request("other.test").as_bytes())), (0, "refused"));
        assert_eq!(case.said(held(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), (0, "requests"));
    }
}
