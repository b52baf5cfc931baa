//! What was looked up, for as long as it lasts, and one lookup for all who ask at once.
//!
//! Shared by all sandboxes: here are only facts of the DNS, and each sandbox's policy judges them
//! anew. What a sandbox can do to another through it is to make lookups slower, by filling it, or to
//! learn from the time of an answer that some sandbox has asked for a name that it may ask for too.
//!
//! A record's TTL bounds how long an answer is kept (`max_ttl` at most, an hour by default), and
//! what is handed out is what remains of it. So a long TTL of a poisoned answer ends with
//! `max_ttl`, and a pin made from a kept answer gets the remaining TTL, never the full one again. A
//! TTL of 0 lasts for a moment ([`SAME_LOOKUP`]) where a stub resolver asks twice for one lookup.
//!
//! This is the only place where lookups are shared. Whoever awaits one may leave, the first one too: it goes on
//! while anybody awaits it. A lookup that panics is a failure for all who await it.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use moka::sync::Cache as Store;

use super::reply::{FAILURE, Kept};

/// Most memory of one cache, in bytes, as far as it can be estimated.
pub(super) const BUDGET: u64 = 8 << 20;

/// How long an answer lasts whatever its TTL, for the lookups whose A and AAAA questions come one behind the
/// other: longer than a stub resolver takes for its second one, shorter than anybody's patience with a stale
/// failure. As a "transaction in progress", for which a TTL of 0 is good (RFC 1035 section 3.2.1).
pub(super) const SAME_LOOKUP: Duration = Duration::from_millis(500);

/// Nanoseconds of a clock that goes on during suspend.
pub(super) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What can be kept.
pub(super) trait Value: Clone + Send + Sync + 'static {
    /// The value so many seconds later.
    fn aged(&self, seconds: u32) -> Self;
    /// Bytes of memory, roughly.
    fn weight(&self) -> u32;
    /// What a lookup that broke off gives.
    fn failed() -> Self;
}

/// Bounded; entries are found until they expire, or room is needed.
pub(super) struct Cache<K, V: Value> {
    clock: Clock,
    /// How long what landed lasts at least, in nanoseconds.
    least_ns: u64,
    store: Store<K, Arc<Entry<V>>>,
    flights: Arc<Flights<K, V>>,
}

struct Entry<V> {
    value: V,
    landed_ns: u64,
    expires_ns: u64,
}

/// Lookups on their way. Weak: one that nobody awaits any more is dropped, and ends.
struct Flights<K, V: Clone>(Mutex<HashMap<K, Flight<V>>>);

struct Flight<V: Clone> {
    /// Tells it from an earlier one of its key.
    number: u64,
    lookup: WeakShared<BoxFuture<'static, V>>,
}

impl<K, V> Cache<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Value,
{
    /// Of so many bytes. What landed lasts for `least` at least.
    pub(super) fn new(budget: u64, least: Duration, clock: Clock) -> Self {
        let least_ns = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX);
        let store = Store::builder()
            .max_capacity(budget)
            .weigher(|_, entry: &Arc<Entry<V>>| entry.value.weight())
            .build();
        Self { clock, least_ns, store, flights: Arc::new(Flights(Mutex::default())) }
    }

    /// What is kept, else what the lookup on its way gives, else what `ask` gives. Whoever began
    /// a lookup may be dropped: it goes on as long as anybody awaits it, and ends with the last.
    pub(super) async fn get<F>(&self, key: &K, ask: impl FnOnce() -> F) -> V
    where
        F: Future<Output = Kept<V>> + Send + 'static,
    {
        match self.fresh(key) {
            Some(value) => value,
            None => self.board(key, ask).await,
        }
    }

    /// Whether a value is kept.
    pub(super) fn has(&self, key: &K) -> bool {
        self.store.get(key).is_some_and(|entry| (self.clock)() < entry.expires_ns)
    }

    fn fresh(&self, key: &K) -> Option<V> {
        let entry = self.store.get(key)?;
        let now_ns = (self.clock)();
        if now_ns >= entry.expires_ns {
            return None;
        }
        // Rounded up: what is handed out never exceeds what remains.
        let age = now_ns.saturating_sub(entry.landed_ns).div_ceil(SECOND_NS);
        Some(entry.value.aged(u32::try_from(age).unwrap_or(u32::MAX)))
    }

    fn board<F>(&self, key: &K, ask: impl FnOnce() -> F) -> Shared<BoxFuture<'static, V>>
    where
        F: Future<Output = Kept<V>> + Send + 'static,
    {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(key).and_then(|flight| flight.lookup.upgrade()) {
            return flight;
        }
        // It may have landed since the caller looked.
        if let Some(value) = self.fresh(key) {
            return futures_util::future::ready(value).boxed().shared();
        }
        let number = flights.get(key).map_or(0, |flight| flight.number.wrapping_add(1));
        // Before there is a `Leave`, whose end takes the lock that is held here.
        let asked = ask();
        let leave = Leave { flights: self.flights.clone(), key: key.clone(), number };
        let (store, clock, least_ns) = (self.store.clone(), self.clock.clone(), self.least_ns);
        let flight = async move {
            // A shared future that panics would wake nobody, and leave those who await it waiting for ever.
            let asked = AssertUnwindSafe(asked).catch_unwind().await;
            let Kept { value, seconds } = asked.unwrap_or_else(|_panic| {
                tracing::error!("a lookup has panicked");
                Kept { value: V::failed(), seconds: FAILURE }
            });
            let kept_ns = least_ns.max(u64::from(seconds) * SECOND_NS);
            if kept_ns > 0 {
                let landed_ns = clock();
                let expires_ns = landed_ns.saturating_add(kept_ns);
                let entry = Entry { value: value.clone(), landed_ns, expires_ns };
                // Before the flight is taken off the list, so that nobody finds neither.
                store.insert(leave.key.clone(), Arc::new(entry));
            } else {
                store.invalidate(&leave.key);
            }
            drop(leave);
            value
        };
        let flight = flight.boxed().shared();
        if let Some(lookup) = flight.downgrade() {
            flights.insert(key.clone(), Flight { number, lookup });
        }
        flight
    }
}

const SECOND_NS: u64 = 1_000_000_000;

impl<K, V: Clone> Flights<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight off the list when it has landed, or was dropped on its way.
struct Leave<K: Eq + Hash, V: Clone> {
    flights: Arc<Flights<K, V>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, V: Clone> Drop for Leave<K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        if flights.get(&self.key).is_some_and(|flight| flight.number == self.number) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
