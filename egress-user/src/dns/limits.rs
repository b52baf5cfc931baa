//! What one sandbox may ask for in a time. Pure: the caller gives the time.
//!
//! Two brakes, each a token bucket. Queries of all kinds are counted but those whose answer is kept. Of names that go to a name
//! server, what their labels can carry is counted for each registered domain, as that is the party
//! which reads them: a wildcard, or `*`, would else be a way to send data out as fast as queries go.
//! A brake is no wall: what passes under it passes, and the order of known names says something too.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use crate::policy::Name;

/// Queries that a sandbox may ask at once, by those that it may ask per second for long.
const AT_ONCE: u32 = 2;

/// Queries beyond these that are refused per second; what comes faster is left to the kernel, which
/// drops it when the socket's buffer is full: refusing it would cost other sandboxes their processor.
pub const REFUSALS_PER_SECOND: u32 = 1000;

/// Refusals at once on top.
pub const REFUSALS_AT_ONCE: u32 = 4000;

/// Bytes of new names below one registered domain, per minute. A content network names a host in
/// 20 to 30 bytes: some 600 new hosts of one company a minute.
pub const NAME_BYTES_PER_MINUTE: u32 = 16 << 10;

/// Bytes of new names below one registered domain at once.
pub const NAME_BYTES_AT_ONCE: u32 = 16 << 10;

/// Names that are remembered as asked already, at least; each costs 8 bytes, twice. What is asked
/// again after that many others counts as new.
const KNOWN_NAMES: usize = 16 << 10;

/// Registered domains with a bucket of their own; each costs about 100 bytes. Beyond them the
/// others share one.
const DOMAINS: usize = 4096;

/// A bucket that holds `capacity` tokens and gets `capacity_per_minute` back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    /// Billionths of a token.
    left: u64,
    filled_at_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    capacity: u32,
    per_minute: u32,
}

const UNIT: u64 = 1_000_000_000;

const REFUSALS: Rate = Rate { capacity: REFUSALS_AT_ONCE, per_minute: REFUSALS_PER_SECOND * 60 };
const NAMES: Rate = Rate { capacity: NAME_BYTES_AT_ONCE, per_minute: NAME_BYTES_PER_MINUTE };

impl Rate {
    const fn full(self) -> u64 {
        self.capacity as u64 * UNIT
    }
}

impl Bucket {
    const fn full(rate: Rate, now_ns: u64) -> Self {
        Self { left: rate.full(), filled_at_ns: now_ns }
    }

    fn fill(&mut self, rate: Rate, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.filled_at_ns);
        // One token a second is one billionth a nanosecond.
        let gained = u128::from(passed_ns) * u128::from(rate.per_minute) / 60;
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        // What is too little to count stays in the time that has passed.
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(rate.full());
            self.filled_at_ns = now_ns;
        }
    }

    fn give_back(&mut self, rate: Rate, tokens: u32) {
        self.left = self.left.saturating_add(u64::from(tokens) * UNIT).min(rate.full());
    }

    fn take(&mut self, rate: Rate, tokens: u32, now_ns: u64) -> bool {
        self.fill(rate, now_ns);
        let wanted = u64::from(tokens) * UNIT;
        let has = self.left >= wanted;
        if has {
            self.left -= wanted;
        }
        has
    }
}

/// What a query gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Answer,
    /// REFUSED, as there are too many.
    Refuse,
    /// Nothing, and the next one is not read for a while, as there are far too many.
    Ignore,
}

/// The brakes of one sandbox.
#[derive(Debug)]
pub(super) struct Limits {
    rate: Rate,
    queries: Bucket,
    refusals: Bucket,
    domains: HashMap<Box<str>, Bucket>,
    /// For domains that have none of their own.
    others: Bucket,
    known: Known,
}

impl Limits {
    /// Full, for so many queries per second.
    pub(super) fn new(queries_per_second: u16, now_ns: u64) -> Self {
        let per_second = u32::from(queries_per_second);
        let rate = Rate { capacity: per_second * AT_ONCE, per_minute: per_second * 60 };
        Self {
            rate,
            queries: Bucket::full(rate, now_ns),
            refusals: Bucket::full(REFUSALS, now_ns),
            domains: HashMap::new(),
            others: Bucket::full(NAMES, now_ns),
            known: Known::default(),
        }
    }

    /// Counts one query.
    pub(super) fn query(&mut self, now_ns: u64) -> Admission {
        if self.queries.take(self.rate, 1, now_ns) {
            Admission::Answer
        } else if self.refusals.take(REFUSALS, 1, now_ns) {
            Admission::Refuse
        } else {
            Admission::Ignore
        }
    }

    /// Takes back that a query was counted: nobody is asked for its answer.
    pub(super) fn uncount(&mut self, admission: Admission) {
        match admission {
            Admission::Answer => self.queries.give_back(self.rate, 1),
            Admission::Refuse => self.refusals.give_back(REFUSALS, 1),
            Admission::Ignore => {}
        }
    }

    /// Counts a name that is about to be asked of a name server.
    ///
    /// # Errors
    /// The registered domain below which there were too many new names.
    pub(super) fn name<'a>(&mut self, name: &'a Name, now_ns: u64) -> Result<(), &'a str> {
        if self.known.has(name.as_str()) {
            return Ok(());
        }
        let domain = registered(name.as_str());
        let bytes = name.as_str().len().saturating_sub(domain.len() + 1);
        // A name has 253 bytes at most.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes > 0 && !self.bucket(domain, now_ns).take(NAMES, bytes, now_ns) {
            return Err(domain);
        }
        self.known.add(name.as_str());
        Ok(())
    }

    fn bucket(&mut self, domain: &str, now_ns: u64) -> &mut Bucket {
        if self.domains.len() >= DOMAINS && !self.domains.contains_key(domain) {
            self.domains.retain(|_, bucket| {
                bucket.fill(NAMES, now_ns);
                bucket.left < NAMES.full()
            });
            if self.domains.len() >= DOMAINS {
                return &mut self.others;
            }
        }
        self.domains.entry(domain.into()).or_insert_with(|| Bucket::full(NAMES, now_ns))
    }
}

/// The part of a name that somebody registered, and answers for; the whole name where it is a public
/// suffix itself.
fn registered(name: &str) -> &str {
    psl::domain_str(name).unwrap_or(name)
}

/// Names by their hashes, in two generations: the older one goes when the younger is full.
#[derive(Debug, Default)]
struct Known {
    young: HashSet<u64>,
    old: HashSet<u64>,
    /// With a key of its own, so that nobody outside can make names collide.
    hasher: RandomState,
}

impl Known {
    fn has(&mut self, name: &str) -> bool {
        let hash = self.hasher.hash_one(name);
        if self.young.contains(&hash) {
            return true;
        }
        let was_old = self.old.contains(&hash);
        if was_old {
            self.insert(hash);
        }
        was_old
    }

    fn add(&mut self, name: &str) {
        self.insert(self.hasher.hash_one(name));
    }

    fn insert(&mut self, hash: u64) {
        if self.young.len() >= KNOWN_NAMES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }
}

#[cfg(test)]
mod tests;
