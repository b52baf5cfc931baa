//! What the kernel side holds of a direct connection: the proxy's verdict on the same bytes. No I/O.
//!
//! The proxy passes bytes on while it reads; here they may leave in the pieces alone in which the kernel has them, and
//! nobody reads on behind a verdict. So what the proxy would judge request by request is not for this way.

use egress_common::{
    Reason,
    first_line::{self, FirstLine},
    payload::then,
};

use super::evidence::{Admitted, Evidence};
use crate::{
    policy::{Name, Policy, opaque_port},
    record::{Event, Seen},
    sniff::{
        Beginning, Begun, Protocol, RequestStream, Sniffer, Step, TlsSniff, TlsSniffer,
        tls::{MAX_HELLOS, Next, next_record},
    },
};

/// The bytes of a connection that have not left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldBytes<'a> {
    /// In order, from the first that has not left.
    pub(crate) bytes: &'a [u8],
    /// The client sends nothing behind them.
    pub(crate) ended: bool,
    /// Hellos of the connection that have left.
    pub(crate) hellos: u32,
    /// Where the client's next record begins in the bytes, or behind them; before the first hello 0.
    pub(crate) record: usize,
    /// The client has sent nothing for as long as tells that it speaks another protocol.
    pub(crate) paused: bool,
    /// A verdict has taken too long.
    pub(crate) late: bool,
}

/// How far a beginning is followed of which something may have left.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    beginning: Option<Box<Beginning>>,
    /// Bytes of the connection that have left.
    left: usize,
    /// Bytes of the connection that the beginning has seen.
    seen: usize,
}

impl Followed {
    /// So many more bytes have left.
    pub(crate) fn leave(&mut self, bytes: usize) {
        self.left += bytes;
    }
}

/// Bytes that may leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Approved {
    /// How many; 0: none.
    pub(crate) length: usize,
    /// One of [`then`].
    pub(crate) then: u32,
    /// Hellos that have left then.
    pub(crate) hellos: u32,
    /// Where the client's next record begins.
    pub(crate) record: usize,
    /// Whom the last hello is for, where it is a pinned name.
    pub(crate) name: Option<Name>,
}

/// What is to be done with the rest.
#[derive(Debug)]
pub(crate) enum Rest {
    /// Nothing: all may leave, or there is none.
    Done,
    /// More has to come.
    Need,
    /// The connection ends.
    Refused(Box<Event>),
    /// The proxy would pass it on and judge what comes behind it, which nobody does on this way.
    Requests,
}

/// A verdict.
#[derive(Debug)]
pub(crate) struct HeldVerdict {
    pub(crate) approved: Approved,
    pub(crate) rest: Rest,
}

impl From<Rest> for HeldVerdict {
    fn from(rest: Rest) -> Self {
        Self { approved: Approved::default(), rest }
    }
}

impl Evidence {
    /// Judges what is held, each time from the first byte that has not left.
    pub(crate) fn judge_held(
        &self,
        policy: &Policy,
        held: HeldBytes<'_>,
        followed: &mut Followed,
    ) -> HeldVerdict {
        if followed.beginning.is_some() {
            return self.follow(policy, held, followed);
        }
        if held.hellos > 0 {
            return self.hellos(policy, held);
        }
        if self.passes_opaque(policy) {
            return match held.bytes {
                [0x16, 3, ..] => self.hellos(policy, held),
                [] => Rest::Done.into(),
                [0x16] => self.wait(held, Seen::BeginningOfHello),
                _ if self.is_too_short(held) => Rest::Need.into(),
                _ => {
                    let beginning = Beginning::new(self.reads_commands());
                    followed.beginning = Some(Box::new(beginning));
                    self.follow(policy, held, followed)
                }
            };
        }
        match Sniffer::new().feed(held.bytes) {
            Protocol::Tls => self.hellos(policy, held),
            Protocol::Http => {
                self.request(policy, held, Seen::UnfinishedHttp, Seen::UnfinishedHttp)
            }
            Protocol::Http2 => self.http2(policy),
            Protocol::Opaque => self.opaque(policy, held),
            Protocol::Need => {
                let may_be_text = Sniffer::is_opaque_behind_a_pause(held.bytes);
                let is_text = may_be_text && (held.late || held.paused && !self.is_web());
                match (is_text || held.ended, held.late) {
                    (true, _) => self.opaque(policy, held),
                    (false, true) => self.unreadable(Seen::BeginningOfAny),
                    (false, false) => Rest::Need.into(),
                }
            }
        }
    }

    /// Whether nothing tells yet that a client speaks another protocol than HTTP, on a port where it need not be
    /// expected to wait for the answer to a word: nothing of it leaves, as in the kernel, until it pauses.
    fn is_too_short(&self, held: HeldBytes<'_>) -> bool {
        let line = FirstLine::of(self.target().port(), held.bytes);
        let is_over = held.paused || held.late || held.ended;
        let is_listed = opaque_port(self.target().port()).is_some();
        is_listed && !is_over && line.begun(true) == first_line::Begun::Held
    }

    /// Hellos, and what may stand around them until the server answers.
    fn hellos(&self, policy: &Policy, held: HeldBytes<'_>) -> HeldVerdict {
        let mut approved =
            Approved { then: then::HELLO, hellos: held.hellos, ..Approved::default() };
        let is_first = held.hellos == 0;
        let mut at = if is_first { 0 } else { held.record };
        let rest = loop {
            let bytes = held.bytes.get(at..).unwrap_or_default();
            if bytes.is_empty() {
                break Rest::Done;
            }
            let next = if approved.hellos == 0 { Next::Handshake } else { next_record(bytes) };
            match next {
                Next::Other(length) => at += length,
                Next::Handshake if approved.hellos < MAX_HELLOS => {
                    let mut sniffer = TlsSniffer::new();
                    match sniffer.feed(bytes) {
                        TlsSniff::Hello(hello) => match self.judge_hello(policy, &hello) {
                            Ok(Admitted { name, .. }) => {
                                approved.name = name;
                                approved.hellos += 1;
                                at += sniffer.hello_len();
                            }
                            Err(refused) => break Rest::Refused(refused),
                        },
                        TlsSniff::Need if approved.hellos == 0 => {
                            break self.wait(held, Seen::UnfinishedHello).rest;
                        }
                        TlsSniff::Need => break self.wait(held, Seen::UnfinishedRecord).rest,
                        TlsSniff::NotTls if approved.hellos == 0 => {
                            return self.opaque(policy, held);
                        }
                        TlsSniff::Malformed(why) if approved.hellos == 0 => {
                            return self.unreadable(Seen::MalformedHello(Some(why)));
                        }
                        TlsSniff::NotTls | TlsSniff::Malformed(_) => {
                            break self.unreadable(Seen::MalformedHello(None)).rest;
                        }
                    }
                }
                Next::Handshake => break self.unreadable(Seen::OneMoreHello).rest,
                Next::Need => break self.wait(held, Seen::UnfinishedRecord).rest,
                Next::Unknown => break self.unreadable(Seen::NoRecord).rest,
            }
            approved.length = at.min(held.bytes.len());
            approved.record = at;
        };
        HeldVerdict { approved, rest }
    }

    /// What may still become a request: as much may leave as makes none.
    fn follow(&self, policy: &Policy, held: HeldBytes<'_>, followed: &mut Followed) -> HeldVerdict {
        let Followed { beginning: Some(beginning), left, seen } = followed else {
            return Rest::Need.into();
        };
        let new = held.bytes.get(seen.saturating_sub(*left)..).unwrap_or_default();
        *seen += new.len();
        let mut begun = beginning.feed(new);
        if held.ended && begun == Begun::Maybe {
            begun = beginning.end();
            if begun == Begun::Request {
                let why = "a request line that the client ends with its data";
                return self.unreadable(Seen::BadHttp(why));
            }
        }
        let length = match begun {
            Begun::Request if *left > 0 => {
                return self.unreadable(Seen::BadHttp("head is too long"));
            }
            Begun::Request => {
                let unfinished = Seen::BadHttp("its head is not whole");
                let other = Seen::BadHttp("servers may read a request in it");
                return self.request(policy, held, unfinished, other);
            }
            Begun::Opaque => return pass(held),
            Begun::Maybe if held.ended => return pass(held),
            Begun::Maybe => beginning.passable().saturating_sub(*left).min(held.bytes.len()),
        };
        let rest = if length == held.bytes.len() {
            Rest::Done
        } else {
            self.wait(held, Seen::UnfinishedHttp).rest
        };
        let approved = Approved { length, then: then::ASK, ..Approved::default() };
        HeldVerdict { approved, rest }
    }

    /// A request, by its first head. Where it has no end, and where it is none that can be read, it is refused for these.
    fn request(
        &self,
        policy: &Policy,
        held: HeldBytes<'_>,
        unfinished: Seen,
        other: Seen,
    ) -> HeldVerdict {
        match RequestStream::new().step(held.bytes) {
            Step::Head(head, _) => match self.judge_request(policy, &head) {
                Ok(_) => Rest::Requests.into(),
                Err(refused) => Rest::Refused(refused).into(),
            },
            Step::Need => self.wait(held, unfinished),
            Step::Bad(why) => self.unreadable(Seen::BadHttp(why)),
            Step::Http2Preface => self.http2(policy),
            _ => self.unreadable(other),
        }
    }

    fn http2(&self, policy: &Policy) -> HeldVerdict {
        match self.judge_http2(policy) {
            Ok(()) => Rest::Requests.into(),
            Err(refused) => Rest::Refused(refused).into(),
        }
    }

    fn opaque(&self, policy: &Policy, held: HeldBytes<'_>) -> HeldVerdict {
        match self.judge_opaque(policy) {
            Ok(_) => pass(held),
            Err(refused) => Rest::Refused(refused).into(),
        }
    }

    /// More has to come; where it does not, the connection is refused for this.
    fn wait(&self, held: HeldBytes<'_>, seen: Seen) -> HeldVerdict {
        if held.ended || held.late { self.unreadable(seen) } else { Rest::Need.into() }
    }

    fn unreadable(&self, seen: Seen) -> HeldVerdict {
        Rest::Refused(self.refused(seen, Reason::ProtocolNotAllowed)).into()
    }

    /// The refusal of a client that would have more held for it than there is room for.
    pub(crate) fn too_much_held(&self) -> Box<Event> {
        self.refused(Seen::TooMuchUnjudged, Reason::RateLimited)
    }
}

/// All of it, and all behind it.
fn pass(held: HeldBytes<'_>) -> HeldVerdict {
    let approved = Approved { length: held.bytes.len(), then: then::PASS, ..Approved::default() };
    HeldVerdict { approved, rest: Rest::Done }
}

#[cfg(test)]
mod tests;
