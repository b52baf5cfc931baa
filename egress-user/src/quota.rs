//! How many of something there may be at once, of all who share it; the number may change while they live.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The number, and how many there are.
#[derive(Debug)]
pub struct Quota {
    limit: AtomicUsize,
    taken: AtomicUsize,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Taken(Arc<Quota>);

impl Quota {
    /// At most so many at once.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), taken: AtomicUsize::new(0) })
    }

    /// From here on at most so many: those that are there already live on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// One more, where it fits.
    pub fn take(self: &Arc<Self>) -> Option<Taken> {
        // Whatever it was before, the drop gives it back.
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let taken = Taken(Arc::clone(self));
        (before < self.limit.load(Ordering::Relaxed)).then_some(taken)
    }
}

impl Taken {
    /// Whether it counts there.
    pub fn is_of(&self, quota: &Arc<Quota>) -> bool {
        Arc::ptr_eq(&self.0, quota)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_the_limit_and_what_ends_makes_room() {
        let quota = Quota::new(2);
        let one = quota.take().unwrap();
        let two = quota.take().unwrap();
        assert!(quota.take().is_none() && quota.take().is_none());
        drop(one);
        let three = quota.take().unwrap();
        assert!(quota.take().is_none());
        drop((two, three));
        assert!(quota.take().is_some());
    }

    #[test]
    fn a_limit_goes_down_and_up_again() {
        let quota = Quota::new(2);
        let taken = [quota.take().unwrap(), quota.take().unwrap()];
        quota.set_limit(1);
        assert!(quota.take().is_none());
        let [one, two] = taken;
        drop(two);
        assert!(quota.take().is_none(), "one is there, and no more may be");
        quota.set_limit(2);
        assert!(quota.take().is_some());
        drop(one);
    }

    #[test]
    fn nobody_elses_counts() {
        let (quota, other) = (Quota::new(1), Quota::new(1));
        let taken = quota.take().unwrap();
        let others = other.take().unwrap();
        assert!(taken.is_of(&quota) && !taken.is_of(&other) && others.is_of(&other));
    }
}
