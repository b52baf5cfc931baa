//! The ClientHello. One that is whole in the first record, and has one server name, as nearly all have, is read by the
//! kernel side's code (`egress-common`), whose reading alone counts on direct connections: the same bytes have the same
//! verdict on both ways. All others are read by two parsers that must agree.
//!
//! `walk` is a small bounded walk over records and handshake fragments (RFC 8446 section 5.1)
//! that decides when a hello is complete and sees what servers do not report: ECH, name types,
//! extra names. rustls then reads the same bytes as a real server does. Where the two would name
//! different hosts, the hello is malformed: nobody may profit from a difference between parsers.
//! Tests and fuzzing hold all three against each other.
//!
//! rustls refuses some hellos that an old server would take: no `signature_algorithms` (TLS 1.1
//! and before), no null compression, an ECH extension that is not well-formed. So do we, where it is asked.
//!
//! Until the server has answered (`answer`), every hello of a connection is read like the first: a
//! server may ask for a second one, and act on the name in that.
use std::net::IpAddr;

use egress_common::hello;
use rustls::server::Acceptor;

mod answer;
mod body;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
mod walk;

pub use answer::AnswerWatch;
pub use body::{LABEL_LIMIT_BYTES, NAME_LIMIT_BYTES};
use walk::{RECORD_HEADER_LEN, Walk, Walked};

/// Most hellos of a connection: a server asks for a second one once (RFC 8446 section 4.1.4).
pub const MAX_HELLOS: u32 = egress_common::hello::MAX_HELLOS;

/// What stands in a client's bytes where a record begins, before the server has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The record's header is not there yet.
    Need,
    /// A handshake record: [`TlsSniffer`] reads on.
    Handshake,
    /// A change of cipher spec, an alert or early data, so many bytes with its header: no server
    /// reads a name in them.
    Other(usize),
    /// No record of these.
    Unknown,
}

/// Looks at a client's bytes from the beginning of a record on.
pub fn next_record(held: &[u8]) -> Next {
    match held {
        [22, 3, ..] => Next::Handshake,
        [20 | 21 | 23, 3, _, high, low, ..] => {
            Next::Other(5 + usize::from(u16::from_be_bytes([*high, *low])))
        }
        [20..=23] | [] | [20 | 21 | 23, 3] | [20 | 21 | 23, 3, _] | [20 | 21 | 23, 3, _, _] => {
            Next::Need
        }
        _ => Next::Unknown,
    }
}

/// Most bytes of a ClientHello message, its 4-byte header included. With post-quantum shares real
/// ones reach about 1.8 KiB. A longer one is malformed.
pub const HELLO_LIMIT_BYTES: usize = 16 * 1024;

/// Most client bytes held for one hello, record headers included: memory for waiting connections
/// is at most their number times this. Reached only by hellos cut into records of a few bytes.
pub const HELD_LIMIT_BYTES: usize = 2 * HELLO_LIMIT_BYTES;

/// What a client's first bytes say, if it speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSniff {
    /// No verdict yet.
    Need,
    /// A whole hello, read alike by both parsers.
    Hello(Hello),
    /// Certainly not TLS: not a handshake record of major version 3 (RFC 8446 section 5.1).
    NotTls,
    /// TLS by its first two bytes, but nothing that may be forwarded; the text says why.
    Malformed(&'static str),
}

/// The facts of a ClientHello (RFC 8446 section 4.1.2) on which a verdict depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The one `host_name` (RFC 6066 section 3), in lower case, else as sent: ASCII letters,
    /// digits, `-`, `_` and `.`; or an IP literal, which RFC 6066 forbids
    /// and servers ignore, so that a deny rule can still see it. `None`: no extension.
    pub server_name: Option<String>,
    /// An encrypted ClientHello extension is there (RFC 9849), real or GREASE: nobody but the
    /// server can tell which. Then `server_name` is only the outer name.
    pub ech: bool,
}

impl Hello {
    /// Whether [`Self::server_name`] is an IP literal: no evidence of a name.
    pub fn names_address(&self) -> bool {
        self.server_name.as_deref().is_some_and(is_address)
    }
}

/// Follows a client's bytes until its hello is complete.
#[derive(Debug, Default)]
pub struct TlsSniffer {
    walk: Walk,
    verdict: Option<TlsSniff>,
    records_len: usize,
}

impl TlsSniffer {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at all client bytes so far: each call has the bytes of the last one and more. A
    /// verdict other than [`TlsSniff::Need`] is final and given again by every later call.
    /// Bytes after the hello's last record are not looked at.
    pub fn feed(&mut self, held: &[u8]) -> TlsSniff {
        if let Some(verdict) = &self.verdict {
            return verdict.clone();
        }
        if let Some((hello, length)) = plain(held) {
            self.records_len = length;
            let verdict = TlsSniff::Hello(hello);
            self.verdict = Some(verdict.clone());
            return verdict;
        }
        let verdict = match self.walk.advance(held) {
            Walked::Need => return TlsSniff::Need,
            Walked::NotTls => TlsSniff::NotTls,
            Walked::Malformed(why) => TlsSniff::Malformed(why),
            Walked::Complete { records_len } => {
                self.records_len = records_len;
                judge(held.get(..records_len).unwrap_or(held))
            }
        };
        self.verdict = Some(verdict.clone());
        verdict
    }
}

impl TlsSniffer {
    /// How many bytes the whole hello has, with the headers of its records; 0 before it is whole.
    pub fn hello_len(&self) -> usize {
        self.records_len
    }
}

/// A hello as nearly all are: whole in the first record, with one server name, as the kernel side reads it for direct
/// connections; and its length. None where it is anything else.
fn plain(held: &[u8]) -> Option<(Hello, usize)> {
    let [22, 3, _, high, low, ..] = held else { return None };
    let length = RECORD_HEADER_LEN + usize::from(u16::from_be_bytes([*high, *low]));
    let (words, said) = hello::read(held.get(..length)?).ok()?;
    let bytes = hello::bytes(&words);
    let name = str::from_utf8(bytes.get(..said.length as usize)?).ok()?;
    (!name.ends_with('.') && body::is_host_name(name)).then(|| {
        let server_name = Some(name.to_owned());
        (Hello { server_name, ech: said.encrypted }, length)
    })
}

/// Reads the whole records of one hello with both parsers.
fn judge(records: &[u8]) -> TlsSniff {
    match read_and_compare(records) {
        Ok(hello) => TlsSniff::Hello(hello),
        Err(why) => TlsSniff::Malformed(why),
    }
}

fn read_and_compare(mut records: &[u8]) -> Result<Hello, &'static str> {
    let hello = body::read(&walk::message(records))?;

    let mut acceptor = Acceptor::default();
    while !records.is_empty() {
        match acceptor.read_tls(&mut records) {
            Ok(0) | Err(_) => return Err("a TLS server does not take these records"),
            Ok(_) => {}
        }
    }
    let accepted = match acceptor.accept() {
        Ok(Some(accepted)) => accepted,
        Ok(None) => return Err("a TLS server does not find the hello complete"),
        Err(_) => return Err("a TLS server refuses the hello"),
    };
    let theirs = accepted.client_hello();
    // rustls drops an address literal in silence; every other name both must have.
    let ours = hello.server_name.as_deref().filter(|name| !is_address(name));
    let names_agree = match (ours, theirs.server_name()) {
        (None, None) => true,
        // It keeps a trailing dot.
        (Some(ours), Some(theirs)) => {
            ours.eq_ignore_ascii_case(theirs.strip_suffix('.').unwrap_or(theirs))
        }
        _ => false,
    };
    if !names_agree {
        return Err("two parsers read different server names");
    }
    Ok(hello)
}

fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}
