//! What a program asked, read from the bytes of its message. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Message, OpCode, Query as Question, ResponseCode},
    rr::{self, DNSClass},
};

use crate::policy::{HostError, Name};

/// Bytes of a DNS header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// The fields of a query's header that its response repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Message id.
    pub id: u16,
    /// Operation.
    pub op_code: OpCode,
    /// RD.
    pub recursion_desired: bool,
    /// CD (RFC 4035 section 3.2.2).
    pub checking_disabled: bool,
}

/// What the asker's OPT record says (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedEdns {
    /// Bytes of the largest UDP answer that the asker takes.
    pub udp_size: u16,
    /// DO, which the response repeats.
    pub dnssec_ok: bool,
}

/// A query that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// From the header.
    pub head: Head,
    /// The one question; its name keeps the asker's case.
    pub question: Question,
    /// EDNS, when asked with.
    pub edns: Option<AskedEdns>,
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: it is no query (a response, or less than a header).
    Drop,
    /// It gets this error, without its question.
    Reject(Head, ResponseCode),
    /// It gets this error, with its question.
    RejectQuery(Query, ResponseCode),
    /// It gets an answer.
    Answer(Query),
}

/// Reads a message. Never panics, whatever the bytes.
pub fn parse(message: &[u8]) -> Asked {
    let Some(head) = head(message) else { return Asked::Drop };
    if head.op_code != OpCode::Query {
        return Asked::Reject(head, ResponseCode::NotImp);
    }
    let malformed = Asked::Reject(head, ResponseCode::FormErr);
    if !question_is_plain(message) {
        return malformed;
    }
    let Ok(parsed) = Message::from_vec(message) else { return malformed };
    let [question] = parsed.queries.as_slice() else { return malformed };
    let edns = parsed
        .edns
        .as_ref()
        .map(|edns| AskedEdns { udp_size: edns.max_payload(), dnssec_ok: edns.flags().dnssec_ok });
    let query = Query { head, question: question.clone(), edns };
    if parsed.edns.is_some_and(|edns| edns.version() > 0) {
        return Asked::RejectQuery(query, ResponseCode::BADVERS);
    }
    if query.question.query_class() != DNSClass::IN {
        return Asked::RejectQuery(query, ResponseCode::Refused);
    }
    Asked::Answer(query)
}

fn head(message: &[u8]) -> Option<Head> {
    let header: &[u8; HEADER] = message.first_chunk()?;
    let [id_high, id_low, flags, more_flags, ..] = *header;
    let is_response = flags & 0x80 != 0;
    (!is_response).then(|| Head {
        id: u16::from_be_bytes([id_high, id_low]),
        op_code: OpCode::from_u8((flags >> 3) & 0x0f),
        recursion_desired: flags & 0x01 != 0,
        checking_disabled: more_flags & 0x10 != 0,
    })
}

/// Whether there is one question whose name is written out. A compressed name there could point
/// only into the header; no resolver writes one, and it could not be echoed byte for byte.
fn question_is_plain(message: &[u8]) -> bool {
    if message.get(4..6) != Some(&[0, 1]) {
        return false;
    }
    let mut rest = message.get(HEADER..).unwrap_or_default();
    loop {
        match rest.split_first() {
            Some((0, _)) => return true,
            Some((&length @ 1..=63, labels)) => {
                let Some(next) = labels.get(usize::from(length)..) else { return false };
                rest = next;
            }
            _ => return false,
        }
    }
}

/// The policy's name for a name on the wire.
///
/// Works on the bytes of the labels, so that a label which contains a dot, a NUL or an escape
/// cannot become two labels, or another name, on its way through text.
///
/// # Errors
/// When a label has a byte other than a letter, a digit, `-` or `_`, or when the policy's
/// normaliser refuses the name or would change more than its case.
pub fn policy_name(wire: &rr::Name) -> Result<Name, HostError> {
    let name = Name::from_labels(wire.iter())?;
    // Else a deny of what the program asks for might not match what it would get.
    let labels = wire.iter().map(<[u8]>::to_ascii_lowercase);
    if !name.as_str().split('.').map(str::as_bytes).eq(labels) {
        return Err(HostError(format!("{wire}: not a name in its normal form")));
    }
    Ok(name)
}

/// What a name below `in-addr.arpa` or `ip6.arpa` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reverse {
    /// This address.
    Address(IpAddr),
    /// A block, a delegation, or nonsense.
    Other,
}

/// Reads a name of the reverse tree (RFC 1035 section 3.5, RFC 3596 section 2.5); none for names
/// outside it.
pub fn reverse(wire: &rr::Name) -> Option<Reverse> {
    let labels: Vec<Vec<u8>> = wire.iter().map(<[u8]>::to_ascii_lowercase).collect();
    let (tree, digits) = match labels.as_slice() {
        [digits @ .., tree, arpa] if arpa == b"arpa" => (tree.as_slice(), digits),
        _ => return None,
    };
    let address = match tree {
        b"in-addr" => ipv4(digits).map(IpAddr::V4),
        b"ip6" => ipv6(digits).map(IpAddr::V6),
        _ => return None,
    };
    Some(address.map_or(Reverse::Other, Reverse::Address))
}

fn ipv4(labels: &[Vec<u8>]) -> Option<Ipv4Addr> {
    let bytes: Vec<u8> = labels.iter().rev().filter_map(|label| decimal(label)).collect();
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    (labels.len() == 4).then(|| bytes.into())
}

/// One byte in decimal, without leading zeros.
fn decimal(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    let byte: u8 = text.parse().ok()?;
    (byte.to_string() == text).then_some(byte)
}

fn ipv6(labels: &[Vec<u8>]) -> Option<Ipv6Addr> {
    if labels.len() != 32 {
        return None;
    }
    labels
        .iter()
        .rev()
        .try_fold(0_u128, |bits, label| match label.as_slice() {
            [digit] => Some(bits << 4 | u128::from(char::from(*digit).to_digit(16)?)),
            _ => None,
        })
        .map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests;
