use hickory_proto::rr::RecordType;

use super::*;
use crate::dns::{
    query::{Asked, parse},
    support::{addresses, ask, code, extended, name, query},
};
use crate::policy::{HostError, Remedy};

fn asked(message: &[u8]) -> Query {
    let Asked::Answer(query) = parse(message) else { panic!() };
    query
}

fn udp(message: &[u8], reply: &Reply) -> Message {
    let response = respond(&asked(message), reply, Refuse::NxDomain, Carrier::Udp).unwrap();
    Message::from_vec(&response).unwrap()
}

fn refusal(reason: Reason, remedy: Option<Remedy>) -> Reply {
    Reply::Refused(Refusal { remedy, ..Refusal::new(reason) })
}

fn many(count: u8) -> Reply {
    let v4 = (0..count).map(|n| Ipv4Addr::new(198, 51, 100, n)).collect();
    Reply::Addresses(Addresses { v4, v4_ttl: 60, ..Addresses::default() })
}

#[test]
fn repeats_the_question_byte_for_byte_and_the_flags() {
    let mut message = query("wWw.eXAMple.orG.", RecordType::A);
    message.metadata.checking_disabled = true;
    message.metadata.authentic_data = true;
    let bytes = message.to_vec().unwrap();
    let response = respond(&asked(&bytes), &many(1), Refuse::NxDomain, Carrier::Udp).unwrap();
    let question = 12..12 + 17 + 4;
    assert_eq!(response[question.clone()], bytes[question]);
    let response = Message::from_vec(&response).unwrap();
    let flags = response.metadata;
    assert_eq!((flags.id, flags.op_code), (7, OpCode::Query));
    assert!(flags.recursion_desired && flags.recursion_available && flags.checking_disabled);
    assert!(!flags.authentic_data && !flags.authoritative && !flags.truncation);
    assert!(response.answers[0].name.eq_case(message.queries[0].name()));
}

#[test]
fn edns_only_when_asked_with() {
    let mut message = query("example.org.", RecordType::A);
    let response = udp(&message.to_vec().unwrap(), &many(1));
    assert_eq!(response.edns.unwrap().max_payload(), UDP_SIZE);
    message.edns = None;
    let response = udp(&message.to_vec().unwrap(), &refusal(Reason::NotAllowed, None));
    assert_eq!(response.edns, None);
    assert_eq!(code(&response), ResponseCode::NXDomain);
}

#[test]
fn refusals_say_why_and_what_to_write() {
    let message = ask("example.org.", RecordType::A);
    let remedy = || Some(Remedy::Enable);
    let says = |reason, remedy| extended(&udp(&message, &refusal(reason, remedy))).unwrap();
    assert_eq!(
        says(Reason::NotAllowed, remedy()),
        (17, "egress: not_allowed: enabled = true in [network]".into())
    );
    assert_eq!(says(Reason::NotAllowedLocal, remedy()).0, 17);
    assert_eq!(
        says(Reason::Denied, None),
        (15, format!("egress: denied: {}", Reason::Denied.text()))
    );
    assert_eq!(says(Reason::InvalidHost, None).0, 18);
    let failed = udp(&message, &Reply::Failed("no answer".into()));
    assert_eq!(code(&failed), ResponseCode::ServFail);
    assert_eq!(extended(&failed).unwrap(), (23, "egress: dns_failed: no answer".into()));
}

#[test]
fn refusals_can_be_refused() {
    let message = asked(&ask("example.org.", RecordType::A));
    let reply = refusal(Reason::NotAllowed, None);
    let response = respond(&message, &reply, Refuse::Refused, Carrier::Udp).unwrap();
    assert_eq!(code(&Message::from_vec(&response).unwrap()), ResponseCode::Refused);
}

#[test]
fn long_texts_are_cut_between_characters_and_never_truncate_an_answer() {
    let message = ask("example.org.", RecordType::A);
    let long = Remedy::WriteHost(HostError("\u{e9}".repeat(2000)));
    let reply = refusal(Reason::NotAllowed, Some(long));
    let response = udp(&message, &reply);
    assert!(extended(&response).unwrap().1.len() <= EXTENDED_TEXT);
    // The longest name with the least size: the text goes, the answer stays.
    let label = "a".repeat(62);
    let mut long = query(&format!("{label}.{label}.{label}.{label}."), RecordType::A);
    long.edns.as_mut().unwrap().set_max_payload(512);
    let response = udp(&long.to_vec().unwrap(), &reply);
    assert!(!response.metadata.truncation);
    assert_eq!(extended(&response), None);
    assert_eq!(code(&response), ResponseCode::NXDomain);
}

#[test]
fn large_answers_are_truncated_to_what_the_asker_takes() {
    let mut message = query("example.org.", RecordType::A);
    for (size, count, fits) in [
        (None, 25, true),
        (None, 64, false),
        (Some(100), 25, true),
        (Some(512), 64, false),
        (Some(1232), 64, true),
        (Some(4096), 64, true),
        (Some(4096), 100, false),
    ] {
        message.edns = size.map(|size| Edns::new().set_max_payload(size).clone());
        let bytes = message.to_vec().unwrap();
        let response = udp(&bytes, &many(count));
        assert_eq!(response.metadata.truncation, !fits, "{size:?} {count}");
        assert_eq!(response.answers.len(), if fits { count.into() } else { 0 });
        let limit = size_limit(&asked(&bytes), Carrier::Udp);
        assert!((512..=1232).contains(&limit) && response.to_vec().unwrap().len() <= limit);
        let tcp = respond(&asked(&bytes), &many(count), Refuse::NxDomain, Carrier::Tcp).unwrap();
        assert_eq!(addresses(&Message::from_vec(&tcp).unwrap()).len(), usize::from(count));
    }
}

#[test]
fn only_the_asked_family_is_answered() {
    let both = Reply::Addresses(Addresses {
        v4: vec![Ipv4Addr::new(198, 51, 100, 1)],
        v6: vec![Ipv6Addr::LOCALHOST],
        v4_ttl: 4,
        v6_ttl: 6,
    });
    let a = udp(&ask("example.org.", RecordType::A), &both);
    assert_eq!((a.answers.len(), a.answers[0].ttl), (1, 4));
    let aaaa = udp(&ask("example.org.", RecordType::AAAA), &both);
    assert_eq!((aaaa.answers.len(), aaaa.answers[0].ttl), (1, 6));
    assert!(udp(&ask("example.org.", RecordType::ANY), &both).answers.is_empty());
}

#[test]
fn errors_without_a_question_repeat_the_id() {
    let Asked::Reject(head, code) = parse(&[9, 9, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0]) else {
        panic!()
    };
    let response = Message::from_vec(&reject(head, code).unwrap()).unwrap();
    assert_eq!(response.metadata.id, 0x0909);
    assert_eq!(response.metadata.response_code, ResponseCode::NotImp);
    assert!(response.metadata.recursion_desired);
}

#[test]
fn pointers_carry_the_pinned_name() {
    let reply = Reply::Pointer { name: name("www.example.org"), ttl: 9 };
    let response = udp(&ask("1.100.51.198.in-addr.arpa.", RecordType::PTR), &reply);
    let RData::PTR(pointer) = &response.answers[0].data else { panic!() };
    assert_eq!(pointer.to_string(), "www.example.org.");
}
