//! How many connections a sandbox may have at once; the number may change while they live.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for connections.
pub(super) struct Admission {
    free: Arc<Semaphore>,
    limit: Mutex<usize>,
    /// Places that are taken and will be gone once they are given back.
    owed: Arc<AtomicUsize>,
}

/// A connection's place.
pub(super) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    owed: Arc<AtomicUsize>,
}

impl Admission {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limit)),
            limit: Mutex::new(limit),
            owed: Arc::default(),
        }
    }

    /// A place, if one is free.
    pub(super) fn try_take(&self) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(|permit| self.permit(Some(permit)))
    }

    /// Waits for one.
    pub(super) async fn take(&self) -> Permit {
        // Nobody closes it.
        self.permit(Arc::clone(&self.free).acquire_owned().await.ok())
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// From here on there may be so many.
    pub(super) fn set_limit(&self, wanted: usize) {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted < *limit {
            let fewer = *limit - wanted;
            let gone = self.free.forget_permits(fewer);
            self.owed.fetch_add(fewer - gone, Ordering::AcqRel);
        } else {
            // What is owed need not be taken away first.
            let more = wanted - *limit;
            let paid = take_up_to(&self.owed, more);
            self.free.add_permits(more - paid);
        }
        *limit = wanted;
    }

    fn permit(&self, permit: Option<OwnedSemaphorePermit>) -> Permit {
        Permit { permit, owed: Arc::clone(&self.owed) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && take_up_to(&self.owed, 1) == 1
        {
            permit.forget();
        }
    }
}

/// Takes away at most so many, and gives how many.
fn take_up_to(counter: &AtomicUsize, most: usize) -> usize {
    let before = counter
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| Some(count.saturating_sub(most)))
        .unwrap_or_default();
    before.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_waits_for_those_that_are_there() {
        let admission = Admission::new(3);
        let mut taken: Vec<_> = (0..3).map(|_| admission.try_take().unwrap()).collect();
        admission.set_limit(1);
        taken.pop();
        taken.pop();
        assert!(admission.try_take().is_none(), "one is there, and no more may be");
        taken.pop();
        let one = admission.try_take().unwrap();
        assert!(admission.try_take().is_none());
        admission.set_limit(2);
        let two = admission.try_take().unwrap();
        drop((one, two));
        let taken: Vec<_> = std::iter::from_fn(|| admission.try_take()).collect();
        assert_eq!(taken.len(), 2);
    }

    #[test]
    fn a_limit_that_goes_down_and_up_again_is_the_same_one() {
        let admission = Admission::new(2);
        let taken = [admission.try_take().unwrap(), admission.try_take().unwrap()];
        admission.set_limit(0);
        admission.set_limit(2);
        assert!(admission.try_take().is_none());
        drop(taken);
        let taken: Vec<_> = std::iter::from_fn(|| admission.try_take()).collect();
        assert_eq!(taken.len(), 2);
    }
}
