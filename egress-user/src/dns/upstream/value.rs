//! How outcomes of lookups age in the cache, and what they weigh there.

use std::net::IpAddr;

use hickory_proto::serialize::binary::BinEncodable as _;

use super::{LookupResult, Records, cache::Value};
use crate::policy::{Answer, Name};

/// Of an entry and its key in the store, in bytes: with it, a full cache of usual names was measured
/// to take its budget.
const OVERHEAD: usize = 820;

impl Value for LookupResult {
    fn failed() -> Self {
        LookupResult::failed(Answer::ServFail)
    }

    fn aged(&self, seconds: u32) -> Self {
        Self {
            answer: self.answer.clone(),
            v4_ttl: self.v4_ttl.saturating_sub(seconds),
            v6_ttl: self.v6_ttl.saturating_sub(seconds),
            failure: self.failure.clone(),
        }
    }

    fn weight(&self) -> u32 {
        let answer = match &self.answer {
            Answer::Found { chain, addresses } => {
                names(chain) + addresses.len() * size_of::<IpAddr>()
            }
            _ => self.failure.as_ref().map_or(0, |failure| failure.len()),
        };
        u32::try_from(OVERHEAD + answer).unwrap_or(u32::MAX)
    }
}

impl Value for Records {
    fn failed() -> Self {
        Records::Failed(None)
    }

    fn aged(&self, seconds: u32) -> Self {
        match self {
            Records::Found { chain, records, ttl } => {
                let mut records = records.clone();
                for record in &mut records {
                    record.ttl = record.ttl.saturating_sub(seconds);
                }
                let ttl = ttl.saturating_sub(seconds);
                Records::Found { chain: chain.clone(), records, ttl }
            }
            Records::NxDomain { ttl } => Records::NxDomain { ttl: ttl.saturating_sub(seconds) },
            Records::Failed(failure) => Records::Failed(failure.clone()),
        }
    }

    fn weight(&self) -> u32 {
        let answer = match self {
            Records::Found { chain, records, .. } => {
                let sizes = records.iter().map(|record| {
                    // In memory next to the bytes: the record, its owner, its pieces.
                    let bytes = record.to_bytes().map_or(usize::from(u16::MAX), |b| b.len());
                    2 * bytes + size_of_val(record)
                });
                names(chain) + sizes.sum::<usize>()
            }
            Records::NxDomain { .. } | Records::Failed(_) => 0,
        };
        u32::try_from(OVERHEAD + answer).unwrap_or(u32::MAX)
    }
}

fn names(chain: &[Name]) -> usize {
    chain.iter().map(|name| name.as_str().len() + size_of::<Name>()).sum()
}
