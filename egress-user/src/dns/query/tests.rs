use hickory_proto::rr::RecordType;
use proptest::prelude::*;

use super::*;
use crate::dns::support::{address, ask, query};

fn rejected(message: &[u8]) -> Option<ResponseCode> {
    match parse(message) {
        Asked::Reject(_, code) | Asked::RejectQuery(_, code) => Some(code),
        Asked::Drop | Asked::Answer(_) => None,
    }
}

fn wire(labels: &[&[u8]]) -> rr::Name {
    rr::Name::from_labels(labels.iter().copied()).unwrap()
}

#[test]
fn reads_what_the_answer_repeats() {
    let mut message = query("ExAmple.ORG.", RecordType::AAAA);
    message.metadata.checking_disabled = true;
    message.edns.as_mut().unwrap().set_dnssec_ok(true);
    let Asked::Answer(query) = parse(&message.to_vec().unwrap()) else { panic!() };
    assert_eq!(query.head.id, 7);
    assert!(query.head.recursion_desired && query.head.checking_disabled);
    assert_eq!(query.edns, Some(AskedEdns { udp_size: 1232, dnssec_ok: true }));
    assert_eq!(query.question.name().to_ascii(), "ExAmple.ORG.");
}

#[test]
fn drops_responses_and_what_has_no_header() {
    let mut message = query("example.org.", RecordType::A);
    message.metadata.message_type = hickory_proto::op::MessageType::Response;
    assert_eq!(parse(&message.to_vec().unwrap()), Asked::Drop);
    for length in 0..12 {
        assert_eq!(parse(&ask("example.org.", RecordType::A)[..length]), Asked::Drop);
    }
}

#[test]
fn every_cut_of_a_query_is_malformed() {
    let whole = ask("www.example.org.", RecordType::A);
    for length in 12..whole.len() {
        assert_eq!(rejected(&whole[..length]), Some(ResponseCode::FormErr), "{length} bytes");
    }
    assert!(matches!(parse(&whole), Asked::Answer(_)));
}

#[test]
fn refuses_other_operations_classes_versions_and_counts() {
    let mut update = query("example.org.", RecordType::A);
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(rejected(&update.to_vec().unwrap()), Some(ResponseCode::NotImp));

    let mut chaos = query("version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(rejected(&chaos.to_vec().unwrap()), Some(ResponseCode::Refused));

    let mut newer = query("example.org.", RecordType::A);
    newer.edns.as_mut().unwrap().set_version(1);
    assert_eq!(rejected(&newer.to_vec().unwrap()), Some(ResponseCode::BADVERS));

    let mut two = query("example.org.", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(rejected(&two.to_vec().unwrap()), Some(ResponseCode::FormErr));

    let mut none = query("example.org.", RecordType::A);
    none.queries.clear();
    assert_eq!(rejected(&none.to_vec().unwrap()), Some(ResponseCode::FormErr));
}

#[test]
fn compression_is_refused_in_questions_and_loops_anywhere() {
    let header = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let tail = [0, 1, 0, 1];
    for name in [
        &[0xc0, 0x0c][..],         // to itself
        &[0xc0, 0x00],             // into the header
        &[1, b'a', 0xc0, 0x0c],    // to its own start
        &[0xc0, 0x0e, 0xc0, 0x0c], // to each other
        &[0x40, b'a', 0],          // reserved label types
        &[0x80, b'a', 0],
        &[0xff, 0xff],
    ] {
        let message = [&header[..], name, &tail].concat();
        assert_eq!(rejected(&message), Some(ResponseCode::FormErr), "{name:?}");
    }
    // A loop in a record beside a good question.
    let mut message = header.to_vec();
    message[7] = 1;
    message.extend([1, b'a', 0, 0, 1, 0, 1]);
    message.extend([0xc0, 0x13, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
    assert_eq!(rejected(&message), Some(ResponseCode::FormErr));
}

#[test]
fn a_label_cannot_become_another_name() {
    assert_eq!(
        policy_name(&wire(&[b"WWW", b"Example", b"ORG"])).unwrap().as_str(),
        "www.example.org"
    );
    assert_eq!(
        policy_name(&wire(&[b"_dmarc", b"example", b"org"])).unwrap().as_str(),
        "_dmarc.example.org"
    );
    for labels in [
        &[&b"www.example"[..], b"org"][..],
        &[b"example\\.org"],
        &[b"example", b"org\0"],
        &[b"\0", b"example", b"org"],
        &[b"ex ample", b"org"],
        &[b"*", b"example", b"org"],
        &["b\u{fc}cher".as_bytes(), b"example"],
        &["ex\u{ad}ample".as_bytes(), b"org"],
        &[b"127", b"0", b"0", b"1"],
        &[b"0x7f000001"],
        &[b"2130706433"],
        &[b"127", b"1"],
        &[],
    ] {
        assert!(policy_name(&wire(labels)).is_err(), "{labels:?}");
    }
}

#[test]
fn reads_reverse_names() {
    let reverse = |text| reverse(&rr::Name::from_ascii(text).unwrap());
    let found = |text| Some(Reverse::Address(address(text)));
    assert_eq!(reverse("1.2.0.192.IN-ADDR.arpa."), found("192.0.2.1"));
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.d.0.1.0.0.2.ip6.arpa.";
    assert_eq!(reverse(v6), found("2001:db8::1"));
    let not_hex = v6.replace("1.0.0.2.ip6", "1.0.0.g.ip6");
    for text in [
        "in-addr.arpa.",
        "2.0.192.in-addr.arpa.",
        "0.1.2.0.192.in-addr.arpa.",
        "x.1.2.0.192.in-addr.arpa.",
        "01.2.0.192.in-addr.arpa.",
        "256.2.0.192.in-addr.arpa.",
        "1.ip6.arpa.",
        &not_hex,
    ] {
        assert_eq!(reverse(text), Some(Reverse::Other), "{text}");
    }
    assert_eq!(reverse("1.2.0.192.in-addr.arpa.example.org."), None);
    assert_eq!(reverse("arpa."), None);
    let signed = wire(&[b"+1", b"2", b"0", b"192", b"in-addr", b"arpa"]);
    assert_eq!(super::reverse(&signed), Some(Reverse::Other));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_change_of_a_query_makes_it_panic(at in 0_usize..43, to in any::<u8>()) {
        let mut message = ask("www.example.org.", RecordType::A);
        let at = at % message.len();
        message[at] = to;
        if let Asked::Answer(query) = parse(&message) {
            let _ = policy_name(query.question.name());
        }
    }
}
