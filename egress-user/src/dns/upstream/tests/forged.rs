//! Answers that the server did not give.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, UdpSocket},
    sync::Mutex,
};

use hickory_proto::op::MessageType;

use super::*;

/// 203.0.113.66, for whatever was asked.
fn evil(query: &Message) -> Message {
    let mut message = reply(query);
    let owner = query.queries[0].name().clone();
    let address = A::new(203, 0, 113, 66);
    message.add_answer(Record::from_rdata(owner, 60, RData::A(address)));
    message
}

fn send(socket: &UdpSocket, message: &Message, peer: SocketAddr) {
    socket.send_to(&message.to_vec().unwrap(), peer).unwrap();
}

/// Each sends a forged answer before the right one.
fn forgers() -> Vec<(&'static str, fn(&UdpSocket, &Message, SocketAddr))> {
    vec![
        ("wrong id", |socket, query, peer| {
            let mut message = evil(query);
            message.metadata.id ^= 1;
            send(socket, &message, peer);
        }),
        ("wrong port", |_, query, peer| {
            let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            send(&other, &evil(query), peer);
        }),
        ("wrong address", |socket, query, peer| {
            let port = socket.local_addr().unwrap().port();
            let other = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 77), port)).unwrap();
            send(&other, &evil(query), peer);
        }),
        ("answer to another question", |socket, query, peer| {
            let mut message = evil(query);
            message.queries[0].set_name(wire("other.test."));
            send(socket, &message, peer);
        }),
        ("answer to another type", |socket, query, peer| {
            let mut message = evil(query);
            message.queries[0].set_query_type(RecordType::TXT);
            send(socket, &message, peer);
        }),
        ("no question", |socket, query, peer| {
            let mut message = evil(query);
            message.queries.clear();
            send(socket, &message, peer);
        }),
        ("octets too few", |socket, _, peer| {
            socket.send_to(&[7], peer).unwrap();
        }),
    ]
}

#[tokio::test]
async fn forged_answers_are_ignored_and_the_right_one_counts() {
    for (what, forge) in forgers() {
        let server =
            NameServer::raw((Ipv4Addr::LOCALHOST, 0).into(), move |socket, query, peer| {
                forge(socket, query, peer);
                send(socket, &at_home(query).unwrap(), peer);
            });
        let looked = lookup(&[&server], TIMEOUT).await;
        assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]), "{what}");
    }
}

#[tokio::test]
async fn forged_answers_alone_are_none() {
    for (what, forge) in forgers() {
        let server = NameServer::raw((Ipv4Addr::LOCALHOST, 0).into(), forge);
        let looked = lookup(&[&server], Duration::from_millis(200)).await;
        assert!(matches!(looked.answer, Answer::Timeout | Answer::ServFail), "{what}: {looked:?}");
    }
    let as_query = NameServer::new(|query| {
        let mut message = evil(query);
        message.metadata.message_type = MessageType::Query;
        Some(message)
    });
    let looked = lookup(&[&as_query], Duration::from_millis(200)).await;
    assert!(matches!(looked.answer, Answer::Timeout | Answer::ServFail), "{looked:?}");
}

/// In a case that was not asked for.
fn wrong_case(query: &Message) -> Option<Message> {
    let mut message = evil(query);
    // No letter of a random case is the wrong case of all.
    let lower = query.queries[0].name().to_lowercase();
    let other = match lower.eq_case(query.queries[0].name()) {
        true => wire("Q.TEST."),
        false => lower,
    };
    message.queries[0].set_name(other);
    Some(message)
}

#[tokio::test]
async fn an_answer_in_the_wrong_case_is_asked_for_again_over_tcp() {
    let server = NameServer::new(wrong_case);
    // Nobody listens there on TCP.
    let looked = lookup(&[&server], Duration::from_millis(500)).await;
    assert!(matches!(looked.answer, Answer::Timeout | Answer::ServFail), "{looked:?}");
    serve_tcp(server.at, at_home);
    let looked = lookup(&[&server], TIMEOUT).await;
    assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
}

#[tokio::test]
async fn ids_ports_and_case_cannot_be_guessed_and_questions_fit_into_1232_octets() {
    let seen: Arc<Mutex<Vec<(u16, u16, String, u16, bool)>>> = Arc::default();
    let note = seen.clone();
    let server = NameServer::raw((Ipv4Addr::LOCALHOST, 0).into(), move |socket, query, peer| {
        let edns = query.edns.as_ref().unwrap();
        let name = query.queries[0].name().to_ascii();
        let dnssec_ok = edns.flags().dnssec_ok;
        let entry = (query.metadata.id, peer.port(), name, edns.max_payload(), dnssec_ok);
        note.lock().unwrap().push(entry);
        send(socket, &with_code(query, ResponseCode::NXDomain), peer);
    });
    let servers = NameServers::new(&settings([server.at])).unwrap();
    for _ in 0..32 {
        servers.lookup(&name("quite-a-few-letters.test")).await;
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 64, "without an SOA nothing was kept");
    let distinct = |values: Vec<String>| values.into_iter().collect::<HashSet<_>>().len();
    assert!(distinct(seen.iter().map(|entry| entry.0.to_string()).collect()) > 50);
    assert!(distinct(seen.iter().map(|entry| entry.1.to_string()).collect()) > 50);
    assert!(distinct(seen.iter().map(|entry| entry.2.clone()).collect()) > 50);
    assert!(seen.iter().all(|entry| entry.3 == 1232 && !entry.4));
}
