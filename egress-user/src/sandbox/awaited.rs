//! What whoever holds a sandbox waits for, without holding up a thread.

use std::{future::pending, io, os::fd::BorrowedFd};

use nix::unistd::Pid;

use crate::{
    launch::{Arrived, Init, Signals},
    sys::{descriptors::is_readable, watched::watch},
};

/// Waits for a signal. Within a runtime.
pub(super) async fn signal(signals: &Signals) -> io::Result<Arrived> {
    use std::os::fd::AsFd;
    readable(signals.as_fd()).await?;
    signals.wait()
}

/// Waits until the command is told to stand, and gives its id in its namespace. Never ready again once the init has
/// ended. Within a runtime.
pub(super) async fn stopped(init: &Init) -> io::Result<Pid> {
    readable(init.channel()).await?;
    match init.read_stopped() {
        Some(id) => Ok(id),
        None => pending().await,
    }
}

/// Waits for the end of the sandbox, and gives the command's exit code. Within a runtime.
///
/// # Errors
/// When the kernel does not tell.
pub async fn end_of(init: &Init) -> io::Result<i32> {
    let handle = watch(init.handle().try_clone_to_owned()?)?;
    loop {
        if let Some(code) = init.ended() {
            return Ok(code);
        }
        handle.readable().await?.clear_ready();
    }
}

async fn readable(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let watched = watch(descriptor.try_clone_to_owned()?)?;
    loop {
        let mut ready = watched.readable().await?;
        if is_readable(descriptor) {
            return Ok(());
        }
        ready.clear_ready();
    }
}
