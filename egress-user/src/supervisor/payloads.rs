//! Payloads that the kernel side holds, given to the sandbox that they are of.

use std::{io, os::fd::AsFd as _, sync::Arc};

use super::{Registry, ring};
use crate::kernel::HeldPayloads;

/// Most pieces that are given out before other tasks have their turn.
const AT_ONCE: usize = 64;

/// Gives them out as they come; each sandbox judges its own in a thread of its own. Within a runtime.
pub(super) fn follow(mut payloads: HeldPayloads, registry: Arc<Registry>) -> io::Result<()> {
    let at = payloads.as_fd().try_clone_to_owned()?;
    ring::follow(at.as_fd(), move || give_some(&mut payloads, &registry), tokio::task::yield_now)
}

/// Gives out a few; true when there are no more.
fn give_some(payloads: &mut HeldPayloads, registry: &Registry) -> bool {
    for _ in 0..AT_ONCE {
        let Some(piece) = payloads.take() else { return true };
        match registry.find(piece.head.sandbox) {
            Some(sandbox) => sandbox.on_payload(piece),
            None => tracing::debug!(id = piece.head.sandbox, "a payload of no sandbox that lives"),
        }
    }
    false
}
