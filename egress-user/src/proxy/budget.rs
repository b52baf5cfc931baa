//! Memory that all connections of a sandbox share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes held at most for a sandbox of what its clients send before the answer to an upgrade.
pub(super) const EARLY_BYTES: usize = 4 << 20;

/// Bytes held at most for a sandbox of what waits to be judged: heads of requests, field sections, TLS
/// hellos. Each connection's first [`UNCOUNTED_BYTES`] are not counted.
pub(super) const UNJUDGED_BYTES: usize = 16 << 20;

/// What a connection may hold without a share: nearly every head and hello. As much as is read at once.
pub(super) const UNCOUNTED_BYTES: usize = 8 * 1024;

/// An amount of bytes that is given away in shares.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes) })
    }

    /// Nothing of it yet.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

/// One connection's part, which goes back with it.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Whether the share is now at least so many bytes; otherwise it stays as it was.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|&more| more > 0) else {
            return true;
        };
        let take = |left: usize| left.checked_sub(more);
        let taken = self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_ok() {
            self.bytes = bytes;
        }
        taken.is_ok()
    }

    /// Whether a connection that holds so many bytes, unjudged, may hold more: they are its share from here
    /// on, but for the first [`UNCOUNTED_BYTES`].
    pub(super) fn holds(&mut self, bytes: usize) -> bool {
        match bytes.saturating_sub(UNCOUNTED_BYTES) {
            0 => {
                self.give_back();
                true
            }
            counted => self.grow(counted),
        }
    }

    pub(super) fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_whole_and_go_back() {
        let budget = Budget::new(10);
        let mut one = budget.share();
        let mut other = budget.share();
        assert!(one.grow(6) && one.grow(4) && !other.grow(5) && other.grow(4));
        assert!(!one.grow(7) && one.grow(6));
        drop(one);
        assert!(other.grow(10) && !budget.share().grow(1));
        other.give_back();
        assert!(budget.share().grow(10));
    }

    #[test]
    fn the_first_bytes_of_each_connection_are_free() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.holds(UNCOUNTED_BYTES + 10) && !other.holds(UNCOUNTED_BYTES + 1));
        assert!(other.holds(UNCOUNTED_BYTES));
        // What was judged is held no more.
        assert!(one.holds(1) && other.holds(UNCOUNTED_BYTES + 10));
    }
}
