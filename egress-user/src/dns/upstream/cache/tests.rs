use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

/// Aged: seconds taken off; each weighs a thousand bytes.
#[derive(Clone, Debug, PartialEq)]
struct Left(u32);

impl Value for Left {
    fn aged(&self, seconds: u32) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    fn weight(&self) -> u32 {
        1000
    }

    fn failed() -> Self {
        FAILED
    }
}

/// What a lookup that broke off gives.
const FAILED: Left = Left(4_000_000);

struct World {
    now_ns: Arc<AtomicU64>,
    asked: Arc<AtomicUsize>,
    cache: Cache<u32, Left>,
}

impl World {
    fn new() -> Self {
        Self::with_least(Duration::ZERO)
    }

    fn with_least(least: Duration) -> Self {
        let now_ns = Arc::new(AtomicU64::new(7 * SECOND_NS));
        let clock = now_ns.clone();
        let cache = Cache::new(BUDGET, least, Arc::new(move || clock.load(Ordering::Relaxed)));
        Self { now_ns, asked: Arc::default(), cache }
    }

    fn pass(&self, milliseconds: u64) {
        self.now_ns.fetch_add(milliseconds * 1_000_000, Ordering::Relaxed);
    }

    async fn get(&self, key: u32, seconds: u32) -> Left {
        let asked = self.asked.clone();
        let ask = || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            Kept { value: Left(seconds), seconds }
        };
        self.cache.get(&key, ask).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn what_is_handed_out_is_what_remains() {
    let world = World::new();
    assert_eq!(world.get(1, 60).await, Left(60));
    assert_eq!(world.get(1, 60).await, Left(60));
    world.pass(500);
    assert_eq!(world.get(1, 60).await, Left(59), "never more than remains");
    world.pass(59_499);
    assert_eq!(world.get(1, 60).await, Left(0));
    assert_eq!(world.asked(), 1);
    world.pass(1);
    assert_eq!(world.get(1, 20).await, Left(20), "asked anew at its end");
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn zero_is_not_kept_and_ends_what_was() {
    let world = World::new();
    world.get(1, 0).await;
    world.get(1, 0).await;
    assert_eq!(world.asked(), 2);
    world.get(1, 5).await;
    world.pass(5_000);
    world.get(1, 0).await;
    world.get(1, 0).await;
    assert_eq!(world.asked(), 5);
}

#[tokio::test]
async fn a_clock_that_goes_back_hands_out_no_more() {
    let world = World::new();
    world.get(1, 60).await;
    world.now_ns.store(0, Ordering::Relaxed);
    assert_eq!(world.get(1, 60).await, Left(60));
}

#[tokio::test]
async fn memory_is_bounded() {
    let world = World::new();
    let many = 3 * u32::try_from(BUDGET / 1000).unwrap();
    for key in 0..many {
        world.get(key, 60).await;
    }
    world.cache.store.run_pending_tasks();
    assert!(world.cache.store.weighted_size() <= BUDGET);
    assert!(world.cache.store.entry_count() > 0);
    assert!(world.cache.flights.lock().is_empty());
}

#[tokio::test]
async fn those_who_ask_at_once_get_one_lookup_even_when_the_first_is_dropped() {
    let world = Arc::new(World::new());
    let gate = Arc::new(Notify::new());
    let ask = |cache: Arc<World>, gate: Arc<Notify>| async move {
        let asked = cache.asked.clone();
        let ask = || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            gate.notified().await;
            Kept { value: Left(9), seconds: 0 }
        };
        cache.cache.get(&1, ask).await
    };
    let mut first = Box::pin(ask(world.clone(), gate.clone()));
    let mut second = Box::pin(ask(world.clone(), gate.clone()));
    let mut third = Box::pin(ask(world.clone(), gate.clone()));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut third).now_or_never().is_none());
    drop(first);
    gate.notify_one();
    assert_eq!((second.await, third.await), (Left(9), Left(9)));
    assert_eq!(world.asked(), 1);
    assert!(world.cache.flights.lock().is_empty());
}

#[tokio::test]
async fn a_lookup_that_nobody_awaits_ends_and_the_next_begins_anew() {
    let world = World::new();
    let never = || async { std::future::pending::<Kept<Left>>().await };
    let mut flight = Box::pin(world.cache.get(&1, never));
    assert!((&mut flight).now_or_never().is_none());
    assert_eq!(world.cache.flights.lock().len(), 1);
    drop(flight);
    assert!(world.cache.flights.lock().is_empty());
    assert_eq!(world.get(1, 3).await, Left(3));
}

#[tokio::test]
async fn what_landed_lasts_for_a_moment_whatever_its_ttl() {
    let world = World::with_least(SAME_LOOKUP);
    world.get(1, 0).await;
    world.pass(499);
    assert_eq!(world.get(1, 0).await, Left(0));
    assert_eq!(world.asked(), 1);
    world.pass(1);
    world.get(1, 60).await;
    assert_eq!(world.asked(), 2);
    world.pass(59_999);
    world.get(1, 60).await;
    assert_eq!(world.asked(), 2, "what lasts for longer does");
}

#[tokio::test]
async fn a_lookup_that_panics_fails_for_all_who_await_it_and_the_next_begins_anew() {
    let world = World::new();
    let gate = Arc::new(Notify::new());
    let ask = |gate: Arc<Notify>| {
        let ask = || async move {
            gate.notified().await;
            panic!("on purpose, in a lookup");
        };
        world.cache.get(&1, ask)
    };
    let mut askers: Vec<_> = (0..3).map(|_| Box::pin(ask(gate.clone()))).collect();
    for asker in &mut askers {
        assert!(asker.now_or_never().is_none());
    }
    gate.notify_one();
    let all = futures_util::future::join_all(askers);
    // A hang is a failure that says so.
    let all = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    assert_eq!(all, [FAILED, FAILED, FAILED]);
    assert!(world.cache.flights.lock().is_empty());
    // A failure like any other: for a second.
    assert_eq!(world.get(1, 5).await, FAILED.aged(0));
    world.pass(1_000);
    assert_eq!(world.get(1, 5).await, Left(5));
}
