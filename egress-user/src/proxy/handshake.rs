//! The client's side of a TLS connection that the server has not answered yet: every hello is judged
//! like the first. A server may ask for a second one (RFC 8446 section 4.1.4), and many act on the name
//! in that.
//!
//! Neither a ChangeCipherSpec nor early data ends this, only the server's answer: in TLS 1.2 the record
//! behind a client's ChangeCipherSpec is encrypted and can look like anything, a hello included, and in
//! TLS 1.3 a second hello stands there in the clear.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use egress_common::Reason;
use tokio::{net::TcpStream, time::timeout};

use super::{first_bytes::Stop, http1::End, judging::Judging, read_more, write_all};
use crate::{
    policy::Name,
    record::{Event, Seen},
    sniff::{
        AnswerWatch, TlsSniff, TlsSniffer,
        tls::{MAX_HELLOS, Next, next_record},
    },
};

/// From the first byte of a record's header or a hello to its last.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);

/// Bytes read at once; a hello may need several reads.
const CHUNK: usize = 8 * 1024;

/// Watches the server's bytes for its answer to a hello.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Only while it is awaited.
    watch: Mutex<Option<Box<AnswerWatch>>>,
}

impl Answer {
    /// The server's next bytes, before they are forwarded: what the client sends because of them it
    /// sends later. Cheap while nothing is awaited.
    pub(super) fn feed(&self, bytes: &[u8]) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.as_mut().is_some_and(|watch| watch.feed(bytes)) {
            *watch = None;
        }
    }

    /// Whether an answer is awaited.
    pub(super) fn is_awaited(&self) -> bool {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn await_one(&self) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::default());
    }
}

/// One connection's hellos.
pub(super) struct Handshake<'a, F> {
    pub(super) client: &'a TcpStream,
    pub(super) server: &'a TcpStream,
    pub(super) judging: Judging<'a>,
    pub(super) answer: &'a Answer,
    /// Whether the server that was dialled may be one for this name.
    pub(super) may_serve: F,
    pub(super) held: Vec<u8>,
}

impl<F: Fn(Option<&Name>) -> bool> Handshake<'_, F> {
    /// Forwards what the client sends until the server has answered: then the rest passes as it is. The
    /// first `judged` bytes are a judged hello.
    pub(super) async fn forward(mut self, judged: usize) -> io::Result<End> {
        // Before the server can have said anything to it.
        self.answer.await_one();
        self.send(judged).await?;
        let mut hellos = 1;
        // Of a record that is no handshake, so many bytes are to come.
        let mut passing = 0;
        while self.answer.is_awaited() {
            if passing > 0 && !self.held.is_empty() {
                let now = self.held.len().min(passing);
                self.send(now).await?;
                passing -= now;
                continue;
            }
            let next = if passing > 0 { Next::Need } else { next_record(&self.held) };
            let more = match next {
                Next::Other(length) => {
                    passing = length;
                    true
                }
                Next::Handshake if hellos < MAX_HELLOS => {
                    hellos += 1;
                    match self.hello().await? {
                        Judged::Good(length) => {
                            self.send(length).await?;
                            true
                        }
                        Judged::Unfinished => false,
                        Judged::Refused(refused) => return Ok(broken(refused)),
                    }
                }
                Next::Need => self.more().await?,
                Next::Handshake => return Ok(self.odd(Seen::OneMoreHello)),
                Next::Unknown => return Ok(self.odd(Seen::NoRecord)),
            };
            if !more && self.held.is_empty() {
                return Ok(End::Finished);
            }
            if !more && self.answer.is_awaited() {
                return Ok(self.odd(Seen::UnfinishedRecord));
            }
        }
        Ok(End::Tunnel(self.held))
    }

    /// Reads a hello to its end, and judges it.
    async fn hello(&mut self) -> io::Result<Judged> {
        let mut sniffer = TlsSniffer::new();
        loop {
            match sniffer.feed(&self.held) {
                TlsSniff::Hello(hello) => {
                    let refused = match self.judging.hello(&hello) {
                        Ok(name) if (self.may_serve)(name.as_ref()) => {
                            return Ok(Judged::Good(sniffer.hello_len()));
                        }
                        Ok(_) => {
                            let seen = Seen::HelloForElsewhere;
                            self.judging.evidence.refused(seen, Reason::NotPinned)
                        }
                        Err(refused) => refused,
                    };
                    return Ok(Judged::Refused(refused));
                }
                // With an answer meanwhile it is no hello any more.
                TlsSniff::Need => {
                    if !self.more().await? || !self.answer.is_awaited() {
                        return Ok(Judged::Unfinished);
                    }
                }
                TlsSniff::NotTls | TlsSniff::Malformed(_) => {
                    let seen = Seen::MalformedHello(None);
                    return Ok(Judged::Refused(self.unreadable(seen)));
                }
            }
        }
    }

    fn odd(&self, seen: Seen) -> End {
        broken(self.unreadable(seen))
    }

    fn unreadable(&self, seen: Seen) -> Box<Event> {
        self.judging.evidence.refused(seen, Reason::ProtocolNotAllowed)
    }

    async fn send(&mut self, length: usize) -> io::Result<()> {
        write_all(self.server, self.held.get(..length).unwrap_or_default()).await?;
        self.held.drain(..length.min(self.held.len()));
        Ok(())
    }

    /// Reads more; false at the end of the client's bytes, or when what is begun takes too long. A
    /// client that has begun nothing may wait for the server for hours.
    async fn more(&mut self) -> io::Result<bool> {
        let is_begun = !self.held.is_empty();
        let more = read_more::<CHUNK>(self.client, &mut self.held);
        if is_begun { timeout(WHOLE_WITHIN, more).await.unwrap_or(Ok(false)) } else { more.await }
    }
}

/// Neither side may take what it has for a whole.
fn broken(refused: Box<Event>) -> End {
    End::Broken(Stop::Refused { refused, http: false })
}

/// What comes of a hello.
enum Judged {
    /// It may leave: so many bytes.
    Good(usize),
    /// It has no end, or is none any more.
    Unfinished,
    Refused(Box<Event>),
}
