//! What a lookup is, and what it gives.

use std::{future::Future, pin::Pin, sync::Arc};

use hickory_resolver::proto::rr::{self, RecordType};

use crate::policy::{Answer, Name};

/// What one lookup gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupResult {
    /// For the policy to judge; at most [`super::MAX_ADDRESSES`] addresses, each once, v4-mapped ones
    /// as IPv4.
    pub answer: Answer,
    /// What remains of the least TTL on the way to the IPv4 addresses, in seconds; 0 when there
    /// are none.
    pub v4_ttl: u32,
    /// What remains of the least TTL on the way to the IPv6 addresses, in seconds; 0 when there
    /// are none.
    pub v6_ttl: u32,
    /// Of a lookup that failed, which server did what in place of an answer, for a person; none where nobody knows.
    pub failure: Option<Arc<str>>,
}

impl LookupResult {
    /// A lookup that gave no addresses.
    pub fn failed(answer: Answer) -> Self {
        Self { answer, v4_ttl: 0, v6_ttl: 0, failure: None }
    }
}

/// Who looks names up; a trait so that tests can script the answers.
pub trait Upstream: Send + Sync {
    /// Looks up A and AAAA of an allowed name, without search domains and without any hosts file.
    fn lookup<'a>(
        &'a self,
        name: &'a Name,
    ) -> Pin<Box<dyn Future<Output = LookupResult> + Send + 'a>>;

    /// What is kept of a lookup of A and AAAA, where nobody would be asked.
    fn kept(&self, _name: &Name) -> Option<LookupResult> {
        None
    }

    /// Whether an answer to this is kept, so that nobody would be asked.
    fn is_kept(&self, _name: &Name, _record_type: RecordType) -> bool {
        false
    }

    /// Looks up the records of one other type, of an allowed name.
    fn records<'a>(
        &'a self,
        name: &'a Name,
        record_type: RecordType,
    ) -> Pin<Box<dyn Future<Output = Records> + Send + 'a>> {
        let _ = (name, record_type);
        Box::pin(async { Records::Failed(None) })
    }
}

/// What a lookup of another type than A and AAAA gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// Records of this type, at the end of the chain of aliases from the question; perhaps none.
    Found {
        /// Names of the chain, without the question: each is to be judged for denies.
        chain: Vec<Name>,
        /// The records as sent, without the chain's; of their TTLs what remains.
        records: Vec<rr::Record>,
        /// What remains of the least TTL on the way, in seconds; of the negative answer where
        /// there are no records.
        ttl: u32,
    },
    /// The name does not exist.
    NxDomain {
        /// For how long, in seconds.
        ttl: u32,
    },
    /// An error, no answer in time, or an answer that does not follow from the question: which server did what, where
    /// that is known.
    Failed(Option<Arc<str>>),
}
