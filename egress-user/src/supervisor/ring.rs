//! The rings that the kernel side writes to, read as they fill.

use std::{future::Future, io, os::fd::BorrowedFd};

use crate::sys;

/// Has `give_some` read a ring whenever there is something in it, until it says that there is no more; between two
/// calls that is waited for which `pause` gives. Within a runtime, for as long as that lives.
///
/// # Errors
/// When the ring cannot be watched.
pub(super) fn follow<P>(
    ring: BorrowedFd<'_>,
    mut give_some: impl FnMut() -> bool + Send + 'static,
    pause: impl Fn() -> P + Send + Sync + 'static,
) -> io::Result<()>
where
    P: Future<Output = ()> + Send + 'static,
{
    let ring = sys::watched::watch(ring.try_clone_to_owned()?)?;
    tokio::spawn(async move {
        while let Ok(mut ready) = ring.readable().await {
            ready.clear_ready();
            while !give_some() {
                pause().await;
            }
        }
    });
    Ok(())
}
