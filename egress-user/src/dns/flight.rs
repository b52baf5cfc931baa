//! One lookup for all who ask for the same name at the same time: stub resolvers send their A
//! and AAAA queries together, and both are to get the answer of one lookup.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::OnceCell;

use crate::policy::Name;

/// Lookups on their way, and those that have just landed.
pub(super) struct Flights<T> {
    reuse_ns: u64,
    flying: Mutex<Flying<T>>,
}

struct Flying<T> {
    by_name: HashMap<Name, Arc<Flight<T>>>,
    sweep_at_ns: u64,
}

struct Flight<T> {
    outcome: OnceCell<Arc<T>>,
    /// When it landed; [`STILL_FLYING`] before.
    landed_ns: AtomicU64,
}

const STILL_FLYING: u64 = u64::MAX;

impl<T> Flights<T> {
    /// A landed lookup is given to those who ask within `reuse_ns` of its landing.
    pub(super) fn new(reuse_ns: u64) -> Self {
        let flying = Flying { by_name: HashMap::new(), sweep_at_ns: 0 };
        Self { reuse_ns, flying: Mutex::new(flying) }
    }

    /// The outcome for this name: of the lookup that is on its way or has just landed, else of
    /// `lookup`. Whoever leads may be dropped: the next who waits takes over with its own.
    pub(super) async fn join<F>(
        &self,
        name: &Name,
        clock: fn() -> u64,
        lookup: impl FnOnce() -> F,
    ) -> Arc<T>
    where
        F: Future<Output = T>,
    {
        let flight = self.board(name, clock());
        let outcome = flight.outcome.get_or_init(|| async {
            let outcome = Arc::new(lookup().await);
            flight.landed_ns.store(clock(), Ordering::Release);
            outcome
        });
        Arc::clone(outcome.await)
    }

    /// Those who ask from now on get another lookup's outcome.
    pub(super) fn clear(&self) {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner).by_name.clear();
    }

    fn board(&self, name: &Name, now_ns: u64) -> Arc<Flight<T>> {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |flight: &Flight<T>| {
            let landed_ns = flight.landed_ns.load(Ordering::Acquire);
            landed_ns == STILL_FLYING || now_ns < landed_ns.saturating_add(self.reuse_ns)
        };
        if now_ns >= flying.sweep_at_ns {
            // What nobody flies any more (its askers were dropped) goes too.
            flying.by_name.retain(|_, flight| {
                is_fresh(flight) && (flight.outcome.initialized() || Arc::strong_count(flight) > 1)
            });
            flying.sweep_at_ns = now_ns.saturating_add(self.reuse_ns);
        }
        if let Some(flight) = flying.by_name.get(name)
            && is_fresh(flight)
        {
            return Arc::clone(flight);
        }
        let landed_ns = AtomicU64::new(STILL_FLYING);
        let flight = Arc::new(Flight { outcome: OnceCell::new(), landed_ns });
        flying.by_name.insert(name.clone(), Arc::clone(&flight));
        flight
    }
}
