//! Ends connections, in a thread of its own: the kernel waits for whoever uses the socket, and a program
//! can use it for as long as it likes. That must not stop the proxy.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use crate::kernel::{Destroyer, Maps};

/// Most connections that wait for their end. What comes later ends by itself after four seconds
/// (`egress-ebpf/src/sockops.rs`).
const MAX_QUEUED: usize = 4096;

/// Ends connections of one network namespace.
pub(super) struct Ender {
    queue: SyncSender<u64>,
}

impl Ender {
    /// For sockets of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel cannot end sockets, or the thread cannot be started.
    pub(super) fn start(maps: Arc<Maps>) -> io::Result<Self> {
        let destroyer = Destroyer::open()?;
        let (queue, wanted) = sync_channel(MAX_QUEUED);
        thread::Builder::new()
            .name("direct-end".to_owned())
            .spawn(move || end_all(&wanted, &maps, &destroyer))?;
        Ok(Self { queue })
    }

    /// Ends the connection with this socket cookie, soon. Never blocks.
    pub(super) fn end(&self, cookie: u64) {
        if self.queue.try_send(cookie).is_err() {
            tracing::debug!("too many refused connections at once; this one ends by itself");
        }
    }
}

/// Until the queue's other end is gone.
fn end_all(wanted: &Receiver<u64>, maps: &Maps, destroyer: &Destroyer) {
    for cookie in wanted {
        // Gone when it has ended by itself.
        let Some(held) = maps.held(cookie) else { continue };
        if let Err(error) = destroyer.end(cookie, &held) {
            tracing::debug!(%error, "a refused connection could not be ended");
        }
    }
}
