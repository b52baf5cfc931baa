//! The scripted name server, and what scripts are made of.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    thread,
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        self, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME},
    },
};

use crate::{
    dns::support::{address, name},
    policy::Answer,
};

/// What the name server does with a query; none is silence.
pub(in crate::dns) type Script = fn(&Message) -> Option<Message>;

/// A name server on loopback that reports every question; it ends with the test process.
pub(in crate::dns) struct NameServer {
    pub(in crate::dns) at: SocketAddr,
    asked: mpsc::Receiver<String>,
}

impl NameServer {
    pub(in crate::dns) fn new(
        script: impl Fn(&Message) -> Option<Message> + Send + 'static,
    ) -> Self {
        // An address of its own: on 127.0.0.1 its port can be some connection's when `serve_tcp`
        // wants it.
        static LAST: AtomicU8 = AtomicU8::new(0);
        let own = Ipv4Addr::new(127, 53, 0, LAST.fetch_add(1, Ordering::Relaxed));
        Self::at((own, 0).into(), script)
    }

    pub(in crate::dns) fn at(
        at: SocketAddr,
        script: impl Fn(&Message) -> Option<Message> + Send + 'static,
    ) -> Self {
        Self::raw(at, move |socket, query, peer| {
            if let Some(response) = script(query) {
                socket.send_to(&response.to_vec().unwrap(), peer).unwrap();
            }
        })
    }

    /// One that answers by itself, perhaps several times.
    pub(in crate::dns) fn raw(
        at: SocketAddr,
        script: impl Fn(&UdpSocket, &Message, SocketAddr) + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(at).unwrap();
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
                script(&socket, &query, peer);
            }
        });
        Self { at, asked }
    }

    /// The questions since this was last asked for, sorted.
    pub(in crate::dns) fn asked(&self) -> Vec<String> {
        let mut asked: Vec<String> = self.asked.try_iter().collect();
        asked.sort();
        asked
    }
}

/// Answers over TCP too.
pub(in crate::dns) fn serve_tcp(
    at: SocketAddr,
    script: impl Fn(&Message) -> Option<Message> + Clone + Send + 'static,
) {
    let listener = TcpListener::bind(at).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, script) = (stream.unwrap(), script.clone());
            thread::spawn(move || {
                while let Some(response) = read_framed(&mut stream).and_then(|q| script(&q)) {
                    let response = response.to_vec().unwrap();
                    let length = u16::try_from(response.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length, response.as_slice()].concat()).unwrap();
                }
            });
        }
    });
}

fn read_framed(stream: &mut TcpStream) -> Option<Message> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Message::from_vec(&message).ok()
}

pub(in crate::dns) fn reply(query: &Message) -> Message {
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.add_query(query.queries[0].clone());
    message
}

pub(in crate::dns) fn is_a(query: &Message) -> bool {
    query.queries[0].query_type() == RecordType::A
}

/// The server's records are lower case, whatever the question's.
pub(in crate::dns) fn wire(text: &str) -> rr::Name {
    rr::Name::from_ascii(text).unwrap()
}

/// 198.51.100.1 or 2001:db8::1, by the question's type.
pub(in crate::dns) fn home(query: &Message, owner: &str, ttl: u32) -> Record {
    let data = if is_a(query) {
        RData::A(A::new(198, 51, 100, 1))
    } else {
        RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))
    };
    Record::from_rdata(wire(owner), ttl, data)
}

pub(in crate::dns) fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(wire(owner), 60, RData::CNAME(CNAME(wire(target))))
}

pub(in crate::dns) fn found(chain: &[&str], addresses: &[&str]) -> Answer {
    Answer::Found {
        chain: chain.iter().map(|text| name(text)).collect(),
        addresses: addresses.iter().map(|text| address(text)).collect(),
    }
}

pub(in crate::dns) fn with_code(query: &Message, code: ResponseCode) -> Message {
    let mut message = reply(query);
    message.metadata.response_code = code;
    message
}

pub(in crate::dns) fn at_home(query: &Message) -> Option<Message> {
    let mut message = reply(query);
    message.add_answer(home(query, "q.test.", if is_a(query) { 0 } else { 30 }));
    Some(message)
}
