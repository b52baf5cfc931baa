//! Lookups for connections to addresses whose pins have ended.
//!
//! A program may keep an address longer than its pin lives. What connects to it waits with the proxy while the
//! names that it was pinned for are looked up again, as the sandbox's own lookups are: judged, counted, pinned.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::join_all;
use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, Semaphore},
    time::{Duration, Instant},
};

use super::Service;
use crate::policy::Name;

/// Most connections of a sandbox that wait for such a lookup; others are refused at once.
pub const MAX_WAITING: usize = 1024;

/// For so long the outcome of a lookup is that of every connection. Shorter than any pin lives.
const OUTCOME_LASTS: Duration = Duration::from_millis(500);

/// Names whose last lookup is kept, before those that are over are cleared away.
const MOST_NAMES: usize = 1024;

/// When the last lookup of a name ended, and whether it pinned something. Held during a lookup.
type Last = Arc<AsyncMutex<Option<(Instant, bool)>>>;

/// Those of one sandbox.
pub struct Renewals {
    service: Arc<Service>,
    /// Where lookups run: who waits for one may be elsewhere.
    runtime: Handle,
    waiting: Semaphore,
    last: Mutex<HashMap<Name, Last>>,
}

impl Renewals {
    /// By this DNS, whose lookups run on `runtime`.
    pub fn new(service: Arc<Service>, runtime: Handle) -> Self {
        Self { service, runtime, waiting: Semaphore::new(MAX_WAITING), last: Mutex::default() }
    }

    /// Looks the names up again, all at once; a name that others wait for already is asked for once. Returns when
    /// each has an answer, or has failed: within the time of a lookup. Says whether all of them were answered with
    /// something that could be pinned; what was pinned stands in the pins.
    pub async fn renew(&self, names: &[Name]) -> bool {
        let Ok(_waiting) = self.waiting.try_acquire() else { return false };
        join_all(names.iter().map(|name| self.once(name))).await.into_iter().all(|found| found)
    }

    async fn once(&self, name: &Name) -> bool {
        let came = Instant::now();
        let last = self.last_of(name);
        let mut last = last.lock().await;
        if let Some((ended, found)) = *last
            && (ended >= came || ended.elapsed() < OUTCOME_LASTS)
        {
            return found;
        }
        let (service, asked) = (Arc::clone(&self.service), name.clone());
        let lookup = self.runtime.spawn(async move { service.renew(&asked).await });
        let found = lookup.await.unwrap_or(false);
        *last = Some((Instant::now(), found));
        found
    }

    fn last_of(&self, name: &Name) -> Last {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MOST_NAMES {
            // Nobody else has it: it is over, or as good as.
            last.retain(|_, one| Arc::strong_count(one) > 1);
        }
        last.entry(name.clone()).or_default().clone()
    }
}
