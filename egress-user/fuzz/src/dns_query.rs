//! DNS messages of a sandbox: each gets nothing, or a response that repeats its id and question.
use std::net::{Ipv4Addr, Ipv6Addr};

use egress_user::{
    dns::{
        Refuse,
        answer::{self, Addresses, Carrier, Reply, UDP_SIZE},
        query::{self, Asked, Head, Query},
    },
    policy::{Name, Policy, Settings},
};
use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr,
};

/// Bytes of a header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// Bytes of a message.
pub fn run(message: &[u8]) {
    match query::parse(message) {
        Asked::Drop => {
            let is_response = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
            assert!(message.len() < HEADER || is_response, "a query is dropped");
        }
        Asked::Reject(head, code) => {
            let Some(response) = answer::reject(head, code) else { panic!("no response") };
            assert_eq!(response.len(), HEADER);
            is_response(message, &response, head);
        }
        Asked::RejectQuery(query, code) => respond(message, &query, &Reply::Error(code)),
        Asked::Answer(query) => {
            name_stays(query.question.name());
            for reply in replies() {
                respond(message, &query, &reply);
            }
        }
    }
}

/// One of each kind, with more than fits into a datagram.
fn replies() -> Vec<Reply> {
    let mut replies = vec![
        Reply::NoData,
        Reply::NxDomain,
        Reply::Failed("é".repeat(400)),
        Reply::Error(ResponseCode::ServFail),
        Reply::Addresses(Addresses {
            v4: (0..100).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect(),
            v6: (0..100).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)).collect(),
            v4_ttl: 300,
            v6_ttl: u32::MAX,
        }),
    ];
    if let Ok(name) = Name::parse("pinned.example.com") {
        let refusal = Policy::new(Settings::default(), Vec::new()).name(&name).err();
        replies.push(Reply::Pointer { name, ttl: 300 });
        replies.extend(refusal.map(Reply::Refused));
    }
    replies
}

fn respond(message: &[u8], query: &Query, reply: &Reply) {
    for (carrier, refuse) in [(Carrier::Udp, Refuse::NxDomain), (Carrier::Tcp, Refuse::Refused)] {
        let response = answer::respond(query, reply, refuse, carrier);
        let Some(response) = response else { panic!("{query:?} has no response") };
        let limit = match (carrier, query.edns) {
            (Carrier::Tcp, _) => usize::from(u16::MAX),
            (Carrier::Udp, None) => 512,
            (Carrier::Udp, Some(_)) => UDP_SIZE.into(),
        };
        assert!(response.len() <= limit, "{} bytes", response.len());
        let question = question(message);
        assert_eq!(response.get(HEADER..HEADER + question.len()), Some(question));
        is_response(message, &response, query.head);
    }
}

fn is_response(message: &[u8], response: &[u8], head: Head) {
    assert_eq!(message.get(..2), response.get(..2), "another id");
    let read = match Message::from_vec(response) {
        Ok(read) => read,
        Err(error) => panic!("{error}: {response:?}"),
    };
    let metadata = read.metadata;
    assert_eq!(metadata.message_type, MessageType::Response);
    assert_eq!((metadata.id, metadata.op_code), (head.id, head.op_code));
    assert!(!metadata.authoritative && !metadata.authentic_data);
}

/// Bytes of the one question, which stands behind the header and is not compressed.
fn question(message: &[u8]) -> &[u8] {
    let rest = message.get(HEADER..).unwrap_or_default();
    let mut at = 0;
    while let Some(&length @ 1..) = rest.get(at) {
        at += 1 + usize::from(length);
    }
    // The root's byte, type and class.
    rest.get(..at + 5).unwrap_or_default()
}

/// What the policy judges is what was asked, but for the case.
fn name_stays(wire: &rr::Name) {
    query::reverse(wire);
    let Ok(name) = query::policy_name(wire) else { return };
    let labels = name.as_str().split('.');
    let asked = wire.iter().map(|label| label.to_ascii_lowercase());
    assert!(labels.map(|label| label.as_bytes().to_vec()).eq(asked), "{wire} is judged as {name}");
}
