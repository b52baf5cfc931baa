//! How many queries a sandbox asked, and how they ended.

use std::sync::atomic::{AtomicU64, Ordering};

use egress_common::Reason;

use super::answer::Reply;

/// Counts of one sandbox, from its start. Each message is counted once.
#[derive(Debug, Default)]
pub struct Counters {
    answered: AtomicU64,
    failed: AtomicU64,
    malformed: AtomicU64,
    dropped: AtomicU64,
    /// By the number of the reason; those beyond the table, of which there are none, in the first.
    refused: [AtomicU64; REASONS],
}

/// Room for the numbers of all reasons.
const REASONS: usize = 32;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const _: () = {
    let mut at = 0;
    while at < Reason::ALL.len() {
        assert!((Reason::ALL[at] as usize) < REASONS, "a reason without a counter");
        at += 1;
    }
};

/// The counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Answered as the name servers did, "no such name" and "no data" among it.
    pub answered: u64,
    /// No usable answer of a name server, or too many queries at once.
    pub failed: u64,
    /// Answered with an error of the query's own.
    pub malformed: u64,
    /// Not answered: responses, less than a header, or junk beyond the limit.
    pub dropped: u64,
    /// Refused, by reason; those that happened.
    pub refused: Vec<(Reason, u64)>,
}

impl Counters {
    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn replied(&self, reply: &Reply) {
        let counter = match reply {
            Reply::Addresses(_)
            | Reply::Pointer { .. }
            | Reply::Records { .. }
            | Reply::NoData
            | Reply::NxDomain => &self.answered,
            Reply::Refused(refusal) => self.of(refusal.reason),
            Reply::Limited(_) => self.of(Reason::RateLimited),
            Reply::Failed(_) => &self.failed,
            Reply::Error(_) => &self.malformed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads them; queries that are being answered meanwhile may be in it or not.
    pub fn read(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = Reason::ALL.iter().map(|&reason| (reason, of(self.of(reason))));
        Counted {
            answered: of(&self.answered),
            failed: of(&self.failed),
            malformed: of(&self.malformed),
            dropped: of(&self.dropped),
            refused: refused.filter(|&(_, count)| count > 0).collect(),
        }
    }

    fn of(&self, reason: Reason) -> &AtomicU64 {
        let [first, ..] = &self.refused;
        self.refused.get(reason as usize).unwrap_or(first)
    }
}
