//! The chain from a question to its addresses, through the records of an answer section. Pure.

use std::net::IpAddr;

use hickory_proto::rr::{self, DNSClass, RData, Record, RecordType};

use crate::{dns::query::policy_name, policy::Name};

/// Most CNAMEs followed from the question; a longer chain is a failed lookup.
pub const MAX_CHAIN: usize = 8;

/// Most addresses of a lookup; those beyond are neither judged, nor pinned, nor answered.
pub const MAX_ADDRESSES: usize = 64;

/// What follows from a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Names of the CNAMEs' targets, in order.
    pub(super) chain: Vec<Name>,
    /// Addresses of the last name.
    pub(super) addresses: Vec<IpAddr>,
    /// Least TTL on the way, in seconds; 0 without addresses.
    pub(super) ttl: u32,
}

/// Why a chain is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It comes back to a name that it had.
    Loop,
    /// It is longer than [`MAX_CHAIN`].
    TooLong,
    /// Two targets for one name, or a CNAME beside addresses (RFC 1034 section 3.6.2).
    Ambiguous,
    /// A target is no host name, so no rule could judge it.
    BadName,
}

/// Follows the CNAMEs from the question and collects the addresses at the end. Records that do
/// not follow from the question are ignored; their order does not matter.
pub(super) fn walk(
    name: &Name,
    question: &rr::Name,
    record_type: RecordType,
    answers: &[Record],
) -> Result<Found, Broken> {
    let mut found = Found { ttl: u32::MAX, ..Found::default() };
    let mut owner = question;
    loop {
        let here = || answers.iter().filter(|r| r.dns_class == DNSClass::IN && r.name == *owner);
        for record in here() {
            let address: IpAddr = match &record.data {
                RData::A(a) if record_type == RecordType::A => a.0.into(),
                RData::AAAA(aaaa) if record_type == RecordType::AAAA => aaaa.0.into(),
                _ => continue,
            };
            found.ttl = found.ttl.min(record.ttl);
            let address = address.to_canonical();
            if found.addresses.len() < MAX_ADDRESSES && !found.addresses.contains(&address) {
                found.addresses.push(address);
            }
        }
        let mut targets = here().filter_map(|record| match &record.data {
            RData::CNAME(target) => Some((&target.0, record.ttl)),
            _ => None,
        });
        let Some((target, ttl)) = targets.next() else { break };
        if !found.addresses.is_empty() || targets.any(|(other, _)| other != target) {
            return Err(Broken::Ambiguous);
        }
        let target_name = policy_name(target).map_err(|_| Broken::BadName)?;
        if target_name == *name || found.chain.contains(&target_name) {
            return Err(Broken::Loop);
        }
        if found.chain.len() == MAX_CHAIN {
            return Err(Broken::TooLong);
        }
        found.chain.push(target_name);
        found.ttl = found.ttl.min(ttl);
        owner = target;
    }
    if found.addresses.is_empty() {
        found.ttl = 0;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
