//! Pipes for splice(2): bytes go from socket to socket as pages, without being copied.
//!
//! A pipe is borrowed while it holds something, and goes back to its thread when it is empty: a
//! connection at rest has none.
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

use crate::quota::{Quota, Taken};

/// What a pipe is asked to hold. The kernel counts pages: small packets fill it earlier. Twice as much
/// is no faster, and leaves the processor's caches.
const CAPACITY_BYTES: usize = 512 * 1024;

/// Empty pipes that a thread keeps for its next busy connection.
const KEPT: usize = 4;

/// Most pipes at once, of all who share their workers: each takes two descriptors. A receiver that doesn't
/// read holds its pipe with what is in it; further busy connections are copied.
pub const MAX_PIPES: usize = 256;

/// How often any pipe was filled: tests want to know that one was.
#[cfg(test)]
static FILLED: AtomicUsize = AtomicUsize::new(0);

/// See [`FILLED`].
#[cfg(test)]
pub(super) fn filled() -> usize {
    FILLED.load(Ordering::Relaxed)
}

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe, and how much is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    unwritten_bytes: usize,
    place: Taken,
}

impl Pipe {
    /// An empty pipe; none where there are enough, or where the process may open no more.
    pub(super) fn take(pipes: &Arc<Quota>) -> Option<Self> {
        let kept = EMPTY.with_borrow_mut(|empty| {
            // What another owner's connections left on this thread counts there.
            let at = empty.iter().rposition(|pipe| pipe.place.is_of(pipes))?;
            Some(empty.swap_remove(at))
        });
        kept.or_else(|| Self::make(pipes))
    }

    fn make(pipes: &Arc<Quota>) -> Option<Self> {
        let place = pipes.take()?;
        let (read, write) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).ok()?;
        let pipe = Self { read, write, unwritten_bytes: 0, place };
        // Where the user's pages for pipes are used up, it stays at 64 KiB: slower, not wrong.
        let wanted = i32::try_from(CAPACITY_BYTES).unwrap_or(i32::MAX);
        let _ = fcntl(&pipe.write, FcntlArg::F_SETPIPE_SZ(wanted));
        Some(pipe)
    }

    /// Gives an empty pipe back; one that holds something is closed, and that with it.
    pub(super) fn give_back(self) {
        if self.unwritten_bytes > 0 {
            return;
        }
        EMPTY.with_borrow_mut(|empty| {
            if empty.len() < KEPT {
                empty.push(self);
            }
        });
    }

    /// What is in it.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes
    }

    /// Moves what `socket` has received, at most `limit_bytes`, into the empty pipe: 0 at the end of the
    /// stream.
    ///
    /// # Errors
    /// The socket's. `WouldBlock` also where the next byte is urgent, which only a read gets past.
    pub(super) fn fill(&mut self, socket: impl AsFd, limit_bytes: usize) -> io::Result<usize> {
        let wanted = CAPACITY_BYTES.min(limit_bytes);
        let moved = splice(socket, None, &self.write, None, wanted, flags())?;
        self.unwritten_bytes += moved;
        #[cfg(test)]
        FILLED.fetch_add(1, Ordering::Relaxed);
        Ok(moved)
    }

    /// Moves some of what it holds to `socket`.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` where it takes no more now.
    pub(super) fn drain(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let moved = splice(&self.read, None, socket, None, self.unwritten_bytes, flags())?;
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(moved);
        Ok(moved)
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE
}
