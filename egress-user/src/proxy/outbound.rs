//! What the connections of all sandboxes of a process share, beside their own two sockets.

use std::sync::Arc;

use crate::{quota::Quota, relay::MAX_PIPES};

/// Descriptors that a connection takes where there are some left, and does without otherwise.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Pipes by which busy connections are spliced; without one they are copied.
    pub pipes: Arc<Quota>,
    /// Attempts to connect beside a first one; without one it is alone.
    pub attempts: Arc<Quota>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self { pipes: Quota::new(MAX_PIPES), attempts: Quota::new(usize::MAX) }
    }
}

impl Outbound {
    /// From here on there may be so many of each.
    pub fn set_limits(&self, pipes: usize, attempts: usize) {
        self.pipes.set_limit(pipes.min(MAX_PIPES));
        self.attempts.set_limit(attempts);
    }
}
