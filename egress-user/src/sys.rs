//! Raw system calls: those of `egress_broker::sys`, and what of them needs a runtime.
#![expect(unsafe_code, reason = "a descriptor that the runtime waits for; with its SAFETY note")]

pub use egress_broker::sys::*;

/// Descriptors that a runtime waits for.
pub mod watched {
    use std::{io, os::fd::OwnedFd};

    use tokio::io::{Interest, unix::AsyncFd};

    /// Lets the running tokio runtime wait until a descriptor can be read, and hear of nothing else: a socket that
    /// is written to would wake it for each packet that has gone. Must be called inside a runtime.
    ///
    /// # Errors
    /// What epoll gives.
    pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
        // SAFETY: an owned descriptor stays open, and the same, for as long as the watch owns it.
        unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
            .map_err(io::Error::from)
    }
}
