//! The chain from a question to its records, through an answer section. Pure.

use std::net::IpAddr;

use hickory_proto::{
    dnssec::Proof,
    rr::{self, DNSClass, RData, Record, RecordType},
};

use crate::{dns::query::policy_name, policy::Name};

/// Most CNAMEs followed from the question; a longer chain is a failed lookup.
pub const MAX_CHAIN: usize = 16;

/// Most addresses of a lookup; those beyond are neither judged, nor pinned, nor answered.
pub const MAX_ADDRESSES: usize = 64;

/// What follows from a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Names of the CNAMEs' targets, in order.
    pub(super) chain: Vec<Name>,
    /// Records of the asked type at the last name, as sent.
    pub(super) records: Vec<Record>,
    /// Least TTL on the way, in seconds; none without any record on it.
    pub(super) ttl: Option<u32>,
}

impl Found {
    /// The addresses among the records, each once, v4-mapped ones as IPv4; at most
    /// [`MAX_ADDRESSES`].
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        for record in &self.records {
            let address = match &record.data {
                RData::A(a) => IpAddr::V4(a.0),
                RData::AAAA(aaaa) => IpAddr::V6(aaaa.0).to_canonical(),
                _ => continue,
            };
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    fn pass(&mut self, ttl: u32) {
        // RFC 2181 section 8: a TTL with the highest bit set is 0.
        let ttl = if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl };
        self.ttl = Some(self.ttl.map_or(ttl, |least| least.min(ttl)));
    }
}

/// Why a chain is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// It comes back to a name that it had.
    #[error("the chain of aliases is a loop")]
    Loop,
    /// It is longer than [`MAX_CHAIN`].
    #[error("the chain of aliases is too long")]
    TooLong,
    /// Two targets for one name, or a CNAME beside other records (RFC 1034 section 3.6.2).
    #[error("an alias has two targets, or other records beside it")]
    Ambiguous,
    /// A target is no host name, so no rule could judge it.
    #[error("the target of an alias is no host name")]
    BadName,
    /// A record on the way is not signed as its zone says (RFC 4035 section 4.3).
    #[error("a record fails DNSSEC validation")]
    Bogus,
}

/// Follows the CNAMEs from the question and collects the records of the asked type at the end.
/// Records that do not follow from the question are ignored; their order does not matter. A
/// question for CNAME itself is not followed, but its target counts as part of the chain, so that
/// it is judged.
///
/// `validated`: the records have proofs, and those on the way are believed only with a good one.
pub(super) fn walk(
    name: &Name,
    question: &rr::Name,
    record_type: RecordType,
    answers: &[Record],
    validated: bool,
) -> Result<Found, Broken> {
    let mut found = Found::default();
    let mut owner = question;
    let believed =
        |record: &Record| !validated || matches!(record.proof, Proof::Secure | Proof::Insecure);
    loop {
        let here = || answers.iter().filter(|r| r.dns_class == DNSClass::IN && r.name == *owner);
        for record in here().filter(|record| record.record_type() == record_type) {
            if !believed(record) {
                return Err(Broken::Bogus);
            }
            found.pass(record.ttl);
            found.records.push(record.clone());
        }
        let mut targets = here().filter_map(|record| match &record.data {
            RData::CNAME(target) => Some((&target.0, record)),
            _ => None,
        });
        let Some((target, record)) = targets.next() else { return Ok(found) };
        let asked_for = record_type == RecordType::CNAME;
        if !asked_for && !found.records.is_empty() || targets.any(|(other, _)| other != target) {
            return Err(Broken::Ambiguous);
        }
        if !believed(record) {
            return Err(Broken::Bogus);
        }
        let target_name = policy_name(target).map_err(|_| Broken::BadName)?;
        if target_name == *name || found.chain.contains(&target_name) {
            return Err(Broken::Loop);
        }
        if found.chain.len() == MAX_CHAIN {
            return Err(Broken::TooLong);
        }
        found.chain.push(target_name);
        found.pass(record.ttl);
        if asked_for {
            return Ok(found);
        }
        owner = target;
    }
}

#[cfg(test)]
mod tests;
