//! Connects that the kernel side holds, given to the sandbox that they are of.

use std::{io, os::fd::AsFd as _, sync::Arc};

use super::{Registry, ring};
use crate::kernel::HeldSyns;

/// Most that are given out before other tasks have their turn.
const AT_ONCE: usize = 64;

/// Gives those of one worker's listeners out as they come. Within its runtime: what comes of them stays there.
pub(super) fn follow(mut held: HeldSyns, registry: Arc<Registry>) -> io::Result<()> {
    let at = held.as_fd().try_clone_to_owned()?;
    ring::follow(at.as_fd(), move || give_some(&mut held, &registry), tokio::task::yield_now)
}

/// Gives out a few; true when there are no more.
fn give_some(held: &mut HeldSyns, registry: &Registry) -> bool {
    for _ in 0..AT_ONCE {
        let Some(event) = held.take() else { return true };
        match registry.find(event.sandbox) {
            Some(sandbox) => sandbox.on_held(event),
            None => tracing::debug!(id = event.sandbox, "a held connect of no sandbox that lives"),
        }
    }
    false
}
