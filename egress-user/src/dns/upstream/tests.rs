//! Against a scripted name server on a real socket.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::mpsc,
    thread,
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        self, RData, Record,
        rdata::{A, AAAA, CNAME},
    },
};

use super::*;
use crate::dns::support::{address, name};

/// Long enough for whatever answers.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the name server does with a query; none is silence.
type Script = fn(&Message) -> Option<Message>;

/// A name server on 127.0.0.1 that reports every question; it ends with the test process.
struct NameServer {
    at: SocketAddr,
    asked: mpsc::Receiver<String>,
}

impl NameServer {
    fn new(script: Script) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = socket.local_addr().unwrap();
        let (report, asked) = mpsc::channel();
        thread::spawn(move || {
            let mut datagram = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut datagram) {
                let query = Message::from_vec(&datagram[..length]).unwrap();
                let question = &query.queries[0];
                let text = format!("{} {}", question.name().to_lowercase(), question.query_type());
                if report.send(text).is_err() {
                    return;
                }
                if let Some(response) = script(&query) {
                    socket.send_to(&response.to_vec().unwrap(), peer).unwrap();
                }
            }
        });
        Self { at, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked: Vec<String> = self.asked.try_iter().collect();
        asked.sort();
        asked
    }
}

fn settings(servers: impl IntoIterator<Item = SocketAddr>) -> DnsSettings {
    let servers = servers.into_iter().map(DnsServer::Address).collect();
    DnsSettings { servers, timeout: TIMEOUT, ..DnsSettings::default() }
}

async fn lookup(servers: &[&NameServer], timeout: Duration) -> Looked {
    let settings = DnsSettings { timeout, ..settings(servers.iter().map(|server| server.at)) };
    NameServers::new(&settings).unwrap().lookup(&name("q.test")).await
}

async fn answered_by(script: Script) -> Looked {
    lookup(&[&NameServer::new(script)], TIMEOUT).await
}

fn reply(query: &Message) -> Message {
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.add_query(query.queries[0].clone());
    message
}

fn is_a(query: &Message) -> bool {
    query.queries[0].query_type() == RecordType::A
}

/// The server's records are lower case, whatever the question's.
fn wire(text: &str) -> rr::Name {
    rr::Name::from_ascii(text).unwrap()
}

/// 198.51.100.1 or 2001:db8::1, by the question's type.
fn home(query: &Message, owner: &str, ttl: u32) -> Record {
    let data = if is_a(query) {
        RData::A(A::new(198, 51, 100, 1))
    } else {
        RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))
    };
    Record::from_rdata(wire(owner), ttl, data)
}

fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(wire(owner), 60, RData::CNAME(CNAME(wire(target))))
}

fn found(chain: &[&str], addresses: &[&str]) -> Answer {
    Answer::Found {
        chain: chain.iter().map(|text| name(text)).collect(),
        addresses: addresses.iter().map(|text| address(text)).collect(),
    }
}

fn with_code(query: &Message, code: ResponseCode) -> Message {
    let mut message = reply(query);
    message.metadata.response_code = code;
    message
}

fn at_home(query: &Message) -> Option<Message> {
    let mut message = reply(query);
    message.add_answer(home(query, "q.test.", if is_a(query) { 0 } else { 30 }));
    Some(message)
}

#[tokio::test]
async fn asks_once_for_each_family_and_keeps_ttl_0() {
    let server = NameServer::new(at_home);
    let looked = lookup(&[&server], TIMEOUT).await;
    assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
    assert_eq!((looked.v4_ttl, looked.v6_ttl), (0, 30));
    assert_eq!(server.asked(), ["q.test. A", "q.test. AAAA"]);
}

#[tokio::test]
async fn special_names_are_nobody_elses_business() {
    let server = NameServer::new(|query| Some(with_code(query, ResponseCode::NXDomain)));
    let servers = NameServers::new(&settings([server.at])).unwrap();
    let looked = servers.lookup(&name("x.localhost")).await;
    assert_eq!(looked.answer, Answer::NxDomain, "no 127.0.0.1 out of thin air");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn unrelated_records_are_ignored() {
    let looked = answered_by(|query| {
        let mut message = reply(query);
        message.add_answer(home(query, "other.test.", 60));
        message.add_answer(cname("q.test.", "c.test."));
        message.add_additional(home(query, "q.test.", 60));
        if !is_a(query) {
            message.add_answer(home(query, "c.test.", 60));
        }
        Some(message)
    })
    .await;
    assert_eq!(looked.answer, found(&["c.test"], &["2001:db8::1"]));
}

#[tokio::test]
async fn long_chains_and_loops_fail() {
    let long = |query: &Message| {
        let mut message = reply(query);
        message.add_answer(cname("q.test.", "h1.test."));
        for hop in 1..20 {
            message.add_answer(cname(&format!("h{hop}.test."), &format!("h{}.test.", hop + 1)));
        }
        message.add_answer(home(query, "h20.test.", 60));
        Some(message)
    };
    assert_eq!(answered_by(long).await.answer, Answer::ServFail);
    let loops = |query: &Message| {
        let mut message = reply(query);
        message.add_answer(cname("q.test.", "b.test."));
        message.add_answer(cname("b.test.", "q.test."));
        Some(message)
    };
    assert_eq!(answered_by(loops).await.answer, Answer::ServFail);
}

#[tokio::test]
async fn no_such_name_and_no_data() {
    let gone = |query: &Message| Some(with_code(query, ResponseCode::NXDomain));
    assert_eq!(answered_by(gone).await.answer, Answer::NxDomain);
    let empty = |query: &Message| Some(reply(query));
    assert_eq!(answered_by(empty).await.answer, found(&[], &[]));
    let v4_only = |query: &Message| if is_a(query) { at_home(query) } else { Some(reply(query)) };
    assert_eq!(answered_by(v4_only).await.answer, found(&[], &["198.51.100.1"]));
    let no_aaaa_name = |query: &Message| match is_a(query) {
        true => at_home(query),
        false => Some(with_code(query, ResponseCode::NXDomain)),
    };
    assert_eq!(answered_by(no_aaaa_name).await.answer, found(&[], &["198.51.100.1"]));
}

#[tokio::test]
async fn an_error_of_one_family_fails_the_lookup() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr] {
        // A function pointer captures nothing: one script a code would be three copies.
        let script: Script = match code {
            ResponseCode::ServFail => |query| match is_a(query) {
                true => at_home(query),
                false => Some(with_code(query, ResponseCode::ServFail)),
            },
            ResponseCode::Refused => |query| Some(with_code(query, ResponseCode::Refused)),
            _ => |query| match is_a(query) {
                true => Some(with_code(query, ResponseCode::FormErr)),
                false => at_home(query),
            },
        };
        assert_eq!(answered_by(script).await.answer, Answer::ServFail, "{code}");
    }
}

#[tokio::test]
async fn contradicting_codes_are_not_believed() {
    let gone_but_here = |query: &Message| {
        let mut message = at_home(query)?;
        message.metadata.response_code = ResponseCode::NXDomain;
        Some(message)
    };
    assert_eq!(answered_by(gone_but_here).await.answer, Answer::NxDomain);
    let unknown = |query: &Message| {
        let mut message = at_home(query)?;
        message.metadata.response_code = ResponseCode::Unknown(12);
        Some(message)
    };
    assert_eq!(answered_by(unknown).await.answer, Answer::ServFail);
}

#[tokio::test]
async fn silence_is_a_timeout_within_the_time_given() {
    let server = NameServer::new(|_| None);
    let timeout = Duration::from_millis(200);
    let started = std::time::Instant::now();
    assert_eq!(lookup(&[&server], timeout).await.answer, Answer::Timeout);
    assert!(started.elapsed() < Duration::from_secs(2));
    // And of one family alone.
    let half = NameServer::new(|query| if is_a(query) { at_home(query) } else { None });
    assert_eq!(lookup(&[&half], timeout).await.answer, Answer::Timeout);
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_is_silent_or_fails() {
    for broken in [
        (|_| None) as Script,
        |query| Some(with_code(query, ResponseCode::ServFail)),
        |query| Some(with_code(query, ResponseCode::Refused)),
    ] {
        let (first, second) = (NameServer::new(broken), NameServer::new(at_home));
        let looked = lookup(&[&first, &second], Duration::from_secs(1)).await;
        assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
    }
    // But its word counts when it has one.
    let first = NameServer::new(|query| Some(with_code(query, ResponseCode::NXDomain)));
    let second = NameServer::new(at_home);
    assert_eq!(lookup(&[&first, &second], TIMEOUT).await.answer, Answer::NxDomain);
    assert!(second.asked().is_empty());
}

#[tokio::test]
async fn forged_answers_are_ignored() {
    // Wrong id, wrong question, a query as a response: then the real one never comes.
    let forged: [Script; 3] = [
        |query| {
            let mut message = at_home(query)?;
            message.metadata.id ^= 1;
            Some(message)
        },
        |query| {
            let mut message = at_home(query)?;
            message.queries[0].set_name(wire("other.test."));
            Some(message)
        },
        |query| {
            let mut message = at_home(query)?;
            message.metadata.message_type = hickory_proto::op::MessageType::Query;
            Some(message)
        },
    ];
    for script in forged {
        let looked = lookup(&[&NameServer::new(script)], Duration::from_millis(200)).await;
        assert!(matches!(looked.answer, Answer::Timeout | Answer::ServFail), "{looked:?}");
    }
}

#[tokio::test]
async fn an_answer_in_the_wrong_case_is_asked_for_again_over_tcp() {
    let server = NameServer::new(|query| {
        let mut message = at_home(query)?;
        // No letter of a random case is the wrong case of all.
        let lower = query.queries[0].name().to_lowercase();
        let other = match lower.eq_case(query.queries[0].name()) {
            true => wire("Q.TEST."),
            false => lower,
        };
        message.queries[0].set_name(other);
        Some(message)
    });
    // Nobody listens there on TCP.
    let looked = lookup(&[&server], Duration::from_millis(500)).await;
    assert!(matches!(looked.answer, Answer::Timeout | Answer::ServFail), "{looked:?}");
}

#[tokio::test]
async fn truncated_answers_are_asked_for_again_over_tcp() {
    let server = NameServer::new(|query| {
        let mut message = reply(query);
        message.metadata.truncation = true;
        Some(message)
    });
    let listener = TcpListener::bind(server.at).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while let Some(query) = read_framed(&mut stream) {
                    let response = at_home(&query).unwrap().to_vec().unwrap();
                    let length = u16::try_from(response.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length, response.as_slice()].concat()).unwrap();
                }
            });
        }
    });
    let looked = lookup(&[&server], TIMEOUT).await;
    assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
}

fn read_framed(stream: &mut std::net::TcpStream) -> Option<Message> {
    use std::io::Read;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Message::from_vec(&message).ok()
}

#[test]
fn no_servers_is_an_error_with_advice() {
    let error = NameServers::new(&settings([])).err().unwrap();
    assert!(error.to_string().contains("servers"), "{error}");
}
