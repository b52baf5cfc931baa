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

/// Sends what the server would not.
type Forger = fn(&UdpSocket, &Message, SocketAddr);

fn forgers() -> Vec<(&'static str, Forger)> {
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
        ("bytes too few", |socket, _, peer| {
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
    // Nor in the lower case that some servers write.
    let upper = wire("Q.TEST.");
    let other = match upper.eq_case(query.queries[0].name()) {
        true => wire("q.TEST."),
        false => upper,
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

/// What shows of a question to its server.
struct Seen {
    id: u16,
    port: u16,
    name: String,
    max_payload: u16,
}

#[tokio::test]
async fn ids_ports_and_case_cannot_be_guessed_and_answers_are_to_fit_into_1232_bytes() {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let note = seen.clone();
    let server = NameServer::raw((Ipv4Addr::LOCALHOST, 0).into(), move |socket, query, peer| {
        let max_payload = query.edns.as_ref().unwrap().max_payload();
        let name = query.queries[0].name().to_ascii();
        let entry = Seen { id: query.metadata.id, port: peer.port(), name, max_payload };
        note.lock().unwrap().push(entry);
        send(socket, &with_code(query, ResponseCode::NXDomain), peer);
    });
    let clock = TestClock::default();
    let servers = NameServers::within(&settings([server.at]), clock.environment()).unwrap();
    for _ in 0..32 {
        servers.lookup(&name("quite-a-few-letters.test")).await;
        clock.pass_ms(500);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 64, "without an SOA it is kept for one lookup");
    assert!(seen.iter().map(|seen| seen.id).collect::<HashSet<_>>().len() > 50);
    assert!(seen.iter().map(|seen| seen.port).collect::<HashSet<_>>().len() > 50);
    assert!(seen.iter().map(|seen| &seen.name).collect::<HashSet<_>>().len() > 50);
    assert!(seen.iter().all(|seen| seen.max_payload == 1232));
}
