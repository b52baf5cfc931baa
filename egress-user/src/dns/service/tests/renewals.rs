//! Lookups for connections to addresses whose pins have ended.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::*;
use crate::dns::{MAX_WAITING, Renewals};

#[tokio::test]
async fn connections_that_wait_for_one_name_are_one_lookup() {
    let world = World::new(&["allow example.org"]).knows("example.org", &[HOME]);
    let gate = world.diary.gate();
    let renewals = Renewals::new(world.service.clone(), Handle::current());
    let names = [name("example.org")];
    let is_open = AtomicBool::new(false);
    let connections = join_all((0..50).map(|_| async {
        let found = renewals.renew(&names).await;
        assert!(is_open.load(Ordering::Relaxed), "it waits for the answer");
        found
    }));
    let open = async {
        // The others have asked by then: they are polled in turns.
        while world.diary.lookups() == 0 {
            tokio::task::yield_now().await;
        }
        is_open.store(true, Ordering::Relaxed);
        gate.send(true).unwrap();
    };
    let (found, ()) = tokio::join!(connections, open);
    assert_eq!(found, [true; 50]);
    assert_eq!(world.diary.lookups(), 1);
    assert!(world.pins().is_pinned_for(&names[0], address(HOME), boottime_ns()));
}

#[tokio::test]
async fn what_a_renewal_gives_is_judged_as_that_of_any_lookup() {
    let world = World::new(&["allow example.org"]).knows("example.org", &["10.1.2.3"]);
    let renewals = Renewals::new(world.service.clone(), Handle::current());
    assert!(!renewals.renew(&[name("example.org")]).await);
    assert_eq!(world.noted(), ["example.org not_allowed_local"]);
    // Nobody is asked for what no rule allows.
    assert!(!renewals.renew(&[name("other.test")]).await);
    assert_eq!(world.diary.lookups(), 1);
    assert!(world.diary.open().is_empty());
}

#[tokio::test]
async fn more_than_may_wait_are_not_kept_waiting() {
    let world = World::new(&["allow example.org"]).knows("example.org", &[HOME]);
    let gate = world.diary.gate();
    let renewals = Renewals::new(world.service.clone(), Handle::current());
    let names = [name("example.org")];
    let waiting = join_all((0..MAX_WAITING).map(|_| renewals.renew(&names)));
    let one_more = async {
        while world.diary.lookups() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!renewals.renew(&names).await, "at once, while the lookup is on its way");
        gate.send(true).unwrap();
    };
    tokio::join!(waiting, one_more);
}
