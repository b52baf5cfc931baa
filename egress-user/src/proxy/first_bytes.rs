//! The first bytes of a connection: read and held until they are judged. Nothing of them has left
//! when a refusal comes out of here.

use std::{io, sync::Arc, time::Duration};

use egress_common::Reason;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    budget::{Budget, Share},
    judging::Judging,
    read_more,
};
use crate::{
    policy::Name,
    record::{Event, Seen},
    sandbox::Judged,
    sniff::{Beginning, Protocol, RequestHead, RequestStream, Sniffer, Step, TlsSniff, TlsSniffer},
};

/// From the first byte to the verdict. A program that is slower is refused: a filter must not
/// decide on half a hello.
pub(super) const VERDICT_WITHIN: Duration = Duration::from_secs(30);

/// Where requests are read, a client that stops in the middle of what could still become anything
/// but TLS and HTTP is refused for what it is.
const OPAQUE_AFTER: Duration = Duration::from_secs(2);

/// Bytes read at once while a verdict is pending.
const CHUNK: usize = 8 * 1024;

/// A judged beginning.
#[derive(Debug)]
pub(super) struct First {
    /// The client's bytes so far: to be forwarded, in this order, before any others.
    pub(super) held: Vec<u8>,
    /// What these take of the sandbox's memory.
    pub(super) unjudged: Share,
    /// The name that the connection is for, where it has said one that is evidence.
    pub(super) name: Option<Name>,
    /// How to go on.
    pub(super) then: Then,
}

impl First {
    /// What will still be judged of it.
    pub(super) fn judged(&self) -> Judged {
        match &self.then {
            // A second hello is judged as the first was, and has to be for the same address.
            Then::Relay | Then::Handshake(_) | Then::Silent => Judged::Whole(self.name.clone()),
            Then::Requests(..) | Then::Http2 | Then::Begun(_) => Judged::Requests,
        }
    }
}

/// How a judged connection goes on.
#[derive(Debug)]
pub(super) enum Then {
    /// Everything else passes as it is.
    Relay,
    /// So many of the held bytes are a TLS hello that is judged; the server may ask for another one.
    Handshake(usize),
    /// Request by request; the first head is judged.
    Requests(Box<RequestStream>, Box<RequestHead>, usize),
    /// HTTP/2, frame by frame; nothing of it is judged.
    Http2,
    /// What is held may be the beginning of a request, and of anything else that may pass.
    Begun(Box<Beginning>),
    /// The client has sent nothing and never will; the server may still speak.
    Silent,
}

/// Why a connection ends here.
#[derive(Debug)]
pub(super) enum Stop {
    /// By policy.
    Refused {
        /// What and why.
        refused: Box<Event>,
        /// The client speaks HTTP and can be told.
        http: bool,
    },
    /// The request can be read in two ways.
    Malformed(&'static str),
    /// The client is gone.
    Gone,
}

impl Stop {
    /// The same of a client that speaks HTTP.
    fn of_http(self) -> Self {
        match self {
            Self::Refused { refused, http: _ } => Self::Refused { refused, http: true },
            other => other,
        }
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

fn refused<T>(result: Result<T, Box<Event>>, http: bool) -> Result<T, Stop> {
    result.map_err(|refused| Stop::Refused { refused, http })
}

/// Reads until the connection is judged. What it holds meanwhile is a share of `unjudged`.
pub(super) async fn first(
    client: &TcpStream,
    judging: Judging<'_>,
    unjudged: &Arc<Budget>,
) -> Result<First, Stop> {
    let Judging { evidence, policy, .. } = judging;
    let unjudged = unjudged.share();
    let mut reading = Reading { client, judging, held: Vec::new(), unjudged, deadline: None };
    if evidence.passes_opaque(policy) {
        return open(reading, judging).await;
    }
    let protocol = match reading.protocol(judging).await? {
        Some(protocol) => protocol,
        // Where requests have to be read, a connection without one is none of those.
        None if evidence.reads_requests(policy) => Protocol::Opaque,
        None => {
            judging.passes(Seen::Silence);
            return Ok(reading.done(None, Then::Silent));
        }
    };
    match protocol {
        Protocol::Tls => tls(reading, judging).await,
        Protocol::Http => http(reading, judging).await,
        Protocol::Http2 => {
            refused(judging.http2(), false)?;
            Ok(reading.done(None, Then::Http2))
        }
        Protocol::Opaque | Protocol::Need => {
            let name = refused(judging.opaque(), false)?;
            Ok(reading.done(name, Then::Relay))
        }
    }
}

/// Where anything may pass that is no request of another host: only a TLS hello is held here.
async fn open(mut reading: Reading<'_>, judging: Judging<'_>) -> Result<First, Stop> {
    loop {
        match *reading.held {
            [0x16, 3, ..] => return tls(reading, judging).await,
            [] | [0x16] => {}
            _ => break,
        }
        if !reading.more().await? {
            match *reading.held {
                [] => {
                    judging.passes(Seen::Silence);
                    return Ok(reading.done(None, Then::Silent));
                }
                _ => return Err(unreadable(judging, Seen::BeginningOfHello)),
            }
        }
    }
    let beginning = Beginning::new(judging.evidence.reads_commands());
    Ok(reading.done(None, Then::Begun(Box::new(beginning))))
}

async fn tls(mut reading: Reading<'_>, judging: Judging<'_>) -> Result<First, Stop> {
    let mut sniffer = TlsSniffer::new();
    loop {
        match sniffer.feed(&reading.held) {
            TlsSniff::Hello(hello) => {
                let name = refused(judging.hello(&hello), false)?;
                return Ok(reading.done(name, Then::Handshake(sniffer.hello_len())));
            }
            TlsSniff::Need if reading.more().await? => {}
            TlsSniff::NotTls => {
                let name = refused(judging.opaque(), false)?;
                return Ok(reading.done(name, Then::Relay));
            }
            TlsSniff::Need => return Err(unreadable(judging, Seen::UnfinishedHello)),
            TlsSniff::Malformed(why) => {
                return Err(unreadable(judging, Seen::MalformedHello(Some(why))));
            }
        }
    }
}

async fn http(mut reading: Reading<'_>, judging: Judging<'_>) -> Result<First, Stop> {
    let mut requests = RequestStream::new();
    loop {
        match requests.step(&reading.held) {
            Step::Head(head, length) => {
                let name = refused(judging.request(&head), true)?;
                return Ok(reading.done(name, Then::Requests(Box::new(requests), head, length)));
            }
            Step::Need if reading.more().await.map_err(Stop::of_http)? => {}
            Step::Bad(why) => return Err(Stop::Malformed(why)),
            _ => return Err(unreadable(judging, Seen::UnfinishedHttp)),
        }
    }
}

fn unreadable(judging: Judging<'_>, seen: Seen) -> Stop {
    let refused = judging.evidence.refused(seen, Reason::ProtocolNotAllowed);
    Stop::Refused { refused, http: false }
}

struct Reading<'a> {
    client: &'a TcpStream,
    judging: Judging<'a>,
    held: Vec<u8>,
    unjudged: Share,
    /// Set by the first byte: a silent client may wait for the server to speak.
    deadline: Option<Instant>,
}

impl Reading<'_> {
    fn done(self, name: Option<Name>, then: Then) -> First {
        First { held: self.held, unjudged: self.unjudged, name, then }
    }

    /// What the client speaks; none when it ended without a byte.
    async fn protocol(&mut self, judging: Judging<'_>) -> Result<Option<Protocol>, Stop> {
        let mut sniffer = Sniffer::new();
        loop {
            match sniffer.feed(&self.held) {
                Protocol::Need => {}
                certain => return Ok(Some(certain)),
            }
            let pause_tells =
                !judging.evidence.is_web() && Sniffer::is_opaque_behind_a_pause(&self.held);
            let more = if !pause_tells {
                self.more().await?
            } else {
                match tokio::time::timeout(OPAQUE_AFTER, self.more()).await {
                    Ok(more) => more?,
                    Err(_) => return Ok(Some(Protocol::Opaque)),
                }
            };
            let in_time = self.deadline.is_none_or(|deadline| Instant::now() < deadline);
            if !more && !in_time && !Sniffer::is_opaque_behind_a_pause(&self.held) {
                return Err(unreadable(judging, Seen::BeginningOfAny));
            }
            if !more {
                return Ok((!self.held.is_empty()).then_some(Protocol::Opaque));
            }
        }
    }

    /// Reads more; false at the end of the client's bytes, or when the verdict took too long.
    async fn more(&mut self) -> Result<bool, Stop> {
        if !self.unjudged.holds(self.held.len()) {
            let refused = self.judging.too_much_unjudged();
            return Err(Stop::Refused { refused, http: false });
        }
        let more = read_more::<CHUNK>(self.client, &mut self.held);
        let more = match self.deadline {
            None => more.await?,
            Some(deadline) => timeout_at(deadline, more).await.unwrap_or(Ok(false))?,
        };
        if more {
            self.deadline.get_or_insert_with(|| Instant::now() + VERDICT_WITHIN);
        }
        Ok(more)
    }
}
