//! Responses, built from a query and what was decided about it. Pure.
//!
//! Nothing of an upstream server's message reaches a program but addresses and TTLs that were
//! judged: a response is always built here from its parts.

use std::net::{Ipv4Addr, Ipv6Addr};

use egress_common::Reason;
use hickory_proto::{
    op::{Edns, Message, OpCode, ResponseCode},
    rr::{
        self, RData, Record, RecordType,
        rdata::{A, AAAA, PTR, opt::EdnsOption},
    },
};

use super::query::{Head, Query};
use crate::{
    policy::{Name, Refusal},
    record,
    text::Printable,
};

/// Bytes of the largest response over UDP, and the size that responses advertise: fits every
/// path's packets unfragmented (DNS flag day 2020).
pub const UDP_SIZE: u16 = 1232;

/// Bytes of a UDP response to a query without EDNS (RFC 1035 section 4.2.1).
const PLAIN_UDP_SIZE: u16 = 512;

/// Bytes of the largest message over TCP.
const TCP_SIZE: usize = u16::MAX as usize;

/// EDNS option code of the Extended DNS Error (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// Most bytes of an extended error's text; what is longer is cut. Nothing in it is a control
/// character.
const EXTENDED_TEXT: usize = 300;

/// By what the query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram; the response is cut to what the asker takes.
    Udp,
    /// A stream.
    Tcp,
}

/// Judged and pinned addresses of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// For questions of type A.
    pub v4: Vec<Ipv4Addr>,
    /// For questions of type AAAA.
    pub v6: Vec<Ipv6Addr>,
    /// TTL of the IPv4 records in seconds.
    pub v4_ttl: u32,
    /// TTL of the IPv6 records in seconds.
    pub v6_ttl: u32,
}

/// What the response says.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The addresses of the asked family; no data when there are none, and for other types.
    Addresses(Addresses),
    /// The name that an address is pinned for.
    Pointer {
        /// The name.
        name: Name,
        /// TTL in seconds.
        ttl: u32,
    },
    /// Records of the asked type.
    Records {
        /// What they say.
        data: Vec<RData>,
        /// TTL in seconds.
        ttl: u32,
    },
    /// The name is allowed, and there is nothing of this type.
    NoData,
    /// The policy refuses; said with [`Refuse`] and an extended error.
    Refused(Refusal),
    /// The upstream said that the name does not exist.
    NxDomain,
    /// REFUSED, as the sandbox asks too much; the text goes into an extended error.
    Limited(String),
    /// No usable answer; the text goes into an extended error.
    Failed(String),
    /// This code and nothing else.
    Error(ResponseCode),
}

/// How a refused name is answered: `refusal` of `[network.dns]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refuse {
    /// NXDOMAIN: resolvers stop at once.
    #[default]
    NxDomain,
    /// REFUSED: resolvers may try further servers, which lead here again.
    Refused,
}

/// The response to a query, within the size that the carrier and the asker allow.
///
/// None when it cannot be encoded, which no query that was parsed leads to.
pub fn respond(query: &Query, reply: &Reply, refuse: Refuse, carrier: Carrier) -> Option<Vec<u8>> {
    let mut message = envelope(query.head);
    message.add_query(query.question.clone());
    message.metadata.response_code = code(reply, refuse);
    message.answers = records(query, reply);
    if let Some(asked) = query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE).set_dnssec_ok(asked.dnssec_ok).set_version(0);
        if let Some(error) = extended_error(reply) {
            edns.options_mut().insert(error);
        }
        message.set_edns(edns);
    }
    fit(message, size_limit(query, carrier))
}

/// The response to a message whose question cannot be repeated.
pub fn reject(head: Head, code: ResponseCode) -> Option<Vec<u8>> {
    let mut message = envelope(head);
    message.metadata.response_code = code;
    message.to_vec().ok()
}

/// Id, operation, RD and CD of the query, and RA; AA, AD and TC stay clear.
fn envelope(head: Head) -> Message {
    let mut message = Message::response(head.id, head.op_code);
    message.metadata.recursion_desired = head.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.checking_disabled = head.checking_disabled && head.op_code == OpCode::Query;
    message
}

fn code(reply: &Reply, refuse: Refuse) -> ResponseCode {
    match reply {
        Reply::Addresses(_) | Reply::Pointer { .. } | Reply::Records { .. } | Reply::NoData => {
            ResponseCode::NoError
        }
        Reply::Limited(_) => ResponseCode::Refused,
        Reply::Refused(_) => match refuse {
            Refuse::NxDomain => ResponseCode::NXDomain,
            Refuse::Refused => ResponseCode::Refused,
        },
        Reply::NxDomain => ResponseCode::NXDomain,
        Reply::Failed(_) => ResponseCode::ServFail,
        Reply::Error(code) => *code,
    }
}

/// Records of the asked type. Their owner is the asked name itself: the chain of CNAMEs was
/// judged and is not shown, which every stub resolver accepts, since a recursive server may
/// have such records itself.
fn records(query: &Query, reply: &Reply) -> Vec<Record> {
    let owner = query.question.name();
    let record = |ttl, data| Record::from_rdata(owner.clone(), ttl, data);
    match (reply, query.question.query_type()) {
        (Reply::Addresses(found), RecordType::A) => {
            found.v4.iter().map(|&a| record(found.v4_ttl, RData::A(A(a)))).collect()
        }
        (Reply::Addresses(found), RecordType::AAAA) => {
            found.v6.iter().map(|&a| record(found.v6_ttl, RData::AAAA(AAAA(a)))).collect()
        }
        (Reply::Pointer { name, ttl }, _) => {
            let name = wire_name(name);
            name.map(|name| record(*ttl, RData::PTR(PTR(name)))).into_iter().collect()
        }
        (Reply::Records { data, ttl }, _) => {
            data.iter().map(|data| record(*ttl, data.clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// A policy's name as it goes on the wire, fully qualified; none never happens, as the policy's
/// names fit into DNS.
pub(super) fn wire_name(name: &Name) -> Option<rr::Name> {
    rr::Name::from_labels(name.as_str().split('.').map(str::as_bytes)).ok()
}

/// The Extended DNS Error of a refusal or failure (RFC 8914).
fn extended_error(reply: &Reply) -> Option<EdnsOption> {
    let (info_code, text) = match reply {
        Reply::Refused(refusal) => {
            let info_code = match refusal.reason {
                Reason::Denied => 15,                               // Blocked
                Reason::NotAllowed | Reason::NotAllowedLocal => 17, // Filtered
                _ => 18,                                            // Prohibited
            };
            (info_code, record::short(refusal))
        }
        // Prohibited, for now.
        Reply::Limited(why) => (18, format!("egress: {}: {why}", Reason::RateLimited.name())),
        // Network Error: it was no policy's doing.
        Reply::Failed(why) => (23, format!("egress: {}: {why}", Reason::DnsFailed.name())),
        _ => return None,
    };
    // Rules and file names are quoted in it, and tools print it to terminals.
    let text = Printable::from(text);
    let text = text.as_str();
    let text = text.get(..text.floor_char_boundary(EXTENDED_TEXT)).unwrap_or_default();
    Some(extended_option(info_code, text))
}

fn extended_option(info_code: u16, text: &str) -> EdnsOption {
    let mut data = info_code.to_be_bytes().to_vec();
    data.extend_from_slice(text.as_bytes());
    EdnsOption::Unknown(EXTENDED_ERROR, data)
}

fn size_limit(query: &Query, carrier: Carrier) -> usize {
    match (carrier, query.edns) {
        (Carrier::Tcp, _) => TCP_SIZE,
        (Carrier::Udp, None) => PLAIN_UDP_SIZE.into(),
        (Carrier::Udp, Some(edns)) => edns.udp_size.clamp(PLAIN_UDP_SIZE, UDP_SIZE).into(),
    }
}

/// Encodes; what is too large loses its extended error first, then its records, with TC set
/// (RFC 2181 section 9).
fn fit(mut message: Message, limit: usize) -> Option<Vec<u8>> {
    let encoded = message.to_vec().ok()?;
    if encoded.len() <= limit {
        return Some(encoded);
    }
    if let Some(edns) = &mut message.edns {
        edns.options_mut().remove(EXTENDED_ERROR.into());
    }
    let shorter = message.to_vec().ok()?;
    if shorter.len() <= limit {
        return Some(shorter);
    }
    message.truncate().to_vec().ok()
}

#[cfg(test)]
mod tests;
