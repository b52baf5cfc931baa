//! What a server said, for how long it may be kept, and the union of both families. Pure.

use std::collections::HashSet;

use super::{
    LookupResult, Records,
    chain::{Found, MAX_ADDRESSES},
};
use crate::policy::Answer;

/// A negative answer is kept at most this long, in seconds (RFC 2308 section 5 lets it be 1 to 3
/// hours; a name that has just come into being should not be missing for that long).
pub(super) const MAX_NEGATIVE: u32 = 15 * 60;
/// A failure is kept this long, in seconds: RFC 9520 section 3.2 asks for at least one.
pub(super) const FAILURE: u32 = 1;
/// Where one family has addresses and the other has none, without an SOA that said for how long:
/// in seconds. Stub resolvers that forward (systemd-resolved's) leave the SOA out.
pub(super) const MAX_HALF: u32 = 30;

/// What the servers said of one question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// Perhaps no records.
    Found {
        found: Found,
        /// Of the SOA (RFC 2308 section 5), in seconds; none without one.
        negative_ttl: Option<u32>,
    },
    NxDomain {
        /// As above.
        negative_ttl: Option<u32>,
    },
    ServFail,
    Timeout,
}

/// Something to keep, for so many seconds; 0 is not at all.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept<V> {
    pub(super) value: V,
    pub(super) seconds: u32,
}

/// For how long a negative answer lasts; without an SOA it is not kept (RFC 2308 section 5).
fn negative(found: &Found, negative_ttl: Option<u32>) -> u32 {
    let soa = negative_ttl.unwrap_or(0).min(MAX_NEGATIVE);
    found.ttl.map_or(soa, |chain| chain.min(soa))
}

impl Reply {
    /// What it says of the addresses of its family.
    fn answer(&self) -> Answer {
        match self {
            Reply::Found { found, .. } => {
                Answer::Found { chain: found.chain.clone(), addresses: found.addresses() }
            }
            Reply::NxDomain { .. } => Answer::NxDomain,
            Reply::ServFail => Answer::ServFail,
            Reply::Timeout => Answer::Timeout,
        }
    }

    /// Whether it has addresses.
    pub(super) fn has_addresses(&self) -> bool {
        matches!(self, Reply::Found { found, .. } if !found.records.is_empty())
    }

    /// As the outcome of a lookup of any type. No TTL is more than `max_ttl` seconds.
    pub(super) fn records(self, max_ttl: u32) -> Kept<Records> {
        match self {
            Reply::Found { found, negative_ttl } if found.records.is_empty() => {
                let ttl = negative(&found, negative_ttl);
                let value = Records::Found { chain: found.chain, records: found.records, ttl };
                Kept { value, seconds: ttl }
            }
            Reply::Found { mut found, .. } => {
                let ttl = found.ttl.unwrap_or(0).min(max_ttl);
                for record in &mut found.records {
                    record.ttl = record.ttl.min(max_ttl);
                }
                let value = Records::Found { chain: found.chain, records: found.records, ttl };
                Kept { value, seconds: ttl }
            }
            Reply::NxDomain { negative_ttl } => {
                let ttl = negative(&Found::default(), negative_ttl);
                Kept { value: Records::NxDomain { ttl }, seconds: ttl }
            }
            Reply::ServFail | Reply::Timeout => {
                Kept { value: Records::Failed(None), seconds: FAILURE }
            }
        }
    }
}

/// One lookup decides, of both families; what their replies come to is [`Answer::of_families`].
///
/// Both are kept together, for as long as the shorter lasts: what is judged is one answer, not a
/// mixture of an old half and a new one. A half that failed is asked for again after [`MAX_HALF`]. No TTL is
/// more than `max_ttl` seconds: what is handed out at the end of its keeping must not be worth more than what is
/// left of it.
pub(super) fn union(v4: Reply, v6: Reply, max_ttl: u32) -> Kept<LookupResult> {
    let failed = |answer, seconds| Kept { value: LookupResult::failed(answer), seconds };
    let both_negative = match (&v4, &v6) {
        (Reply::NxDomain { negative_ttl: v4 }, Reply::NxDomain { negative_ttl: v6 }) => {
            v4.unwrap_or(0).min(v6.unwrap_or(0)).min(MAX_NEGATIVE)
        }
        _ => 0,
    };
    let (chain, mut addresses) = match Answer::of_families(v4.answer(), v6.answer()) {
        Answer::NxDomain => return failed(Answer::NxDomain, both_negative),
        Answer::Found { chain, addresses } => (chain, addresses),
        failure => return failed(failure, FAILURE),
    };
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses.truncate(MAX_ADDRESSES);
    let (v4, v6) = (half(v4), half(v6));
    let (v4_ttl, v6_ttl) = (v4.ttl().min(max_ttl), v6.ttl().min(max_ttl));
    let seconds = match (v4.is_empty(), v6.is_empty()) {
        (false, false) => v4_ttl.min(v6_ttl),
        (false, true) => v6.beside(v4_ttl),
        (true, false) => v4.beside(v6_ttl),
        (true, true) => v4.negative().min(v6.negative()),
    };
    let value =
        LookupResult { answer: Answer::Found { chain, addresses }, v4_ttl, v6_ttl, failure: None };
    Kept { value, seconds }
}

/// One family's part of a union.
struct Half {
    found: Found,
    negative_ttl: Option<u32>,
}

fn half(reply: Reply) -> Half {
    match reply {
        Reply::Found { found, negative_ttl } => Half { found, negative_ttl },
        Reply::NxDomain { negative_ttl } => Half { found: Found::default(), negative_ttl },
        // It has no addresses, for as long as that is not known better.
        Reply::ServFail | Reply::Timeout => Half { found: Found::default(), negative_ttl: None },
    }
}

impl Half {
    fn is_empty(&self) -> bool {
        self.found.records.is_empty()
    }

    fn ttl(&self) -> u32 {
        if self.is_empty() { 0 } else { self.found.ttl.unwrap_or(0) }
    }

    fn negative(&self) -> u32 {
        negative(&self.found, self.negative_ttl)
    }

    /// For how long this empty half lasts beside one that has addresses for so many seconds.
    fn beside(&self, positive: u32) -> u32 {
        match self.negative_ttl {
            Some(_) => self.negative().min(positive),
            None => positive.min(MAX_HALF),
        }
    }
}

#[cfg(test)]
mod tests;
