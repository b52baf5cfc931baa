//! The machine's own addresses, as they change: a service on every address of the host must not be reached
//! by one that looks public.
//!
//! The kernel tells of a change when it is made; within a millisecond or so the policy knows it, what was
//! pinned there is unpinned, and the kernel side refuses. Who dials looks again behind the connect
//! ([`Watch::settle`]), so that no byte passes by an address that has become the machine's meanwhile.

mod keeper;
mod netlink;

use std::{
    convert::Infallible,
    io,
    net::{Ipv6Addr, UdpSocket},
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use keeper::Keeper;
use netlink::Changes;

use crate::{policy::OwnAddresses, sys};

/// Wait before tables that could not be read, or changed all the while, are read again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The addresses of now, of the calling thread's network namespace.
///
/// # Errors
/// When the kernel does not tell them.
pub fn read() -> io::Result<OwnAddresses> {
    netlink::read().map(|read| read.own)
}

/// Who is told of a change.
pub trait Listener: Send + Sync {
    /// These are the addresses of now.
    fn changed(&self, own: OwnAddresses);
}

/// Watches the addresses of the network namespace in which it was made.
pub struct Watch {
    /// Held until a change has been told: whoever settles waits for whoever does so already.
    changes: Mutex<Changes>,
    listener: Arc<dyn Listener>,
}

impl Watch {
    /// From now on; the listener is told of the addresses of now at once.
    ///
    /// # Errors
    /// When the kernel does not tell of them: then nothing may be dialled.
    pub fn start(listener: Arc<dyn Listener>) -> io::Result<Arc<Self>> {
        // Changes first, so that none falls between.
        let changes = Changes::open()?;
        listener.changed(netlink::read()?.own);
        Ok(Arc::new(Self { changes: Mutex::new(changes), listener }))
    }

    /// Takes notice of every change that the kernel has made until now. Where it cannot be found out, every
    /// address counts as the machine's. True when it has to be called again soon.
    pub fn settle(&self) -> bool {
        let mut changes = self.changes();
        match changes.take() {
            Ok(false) => false,
            Ok(true) => self.reread(),
            Err(error) => self.lost(&error),
        }
    }

    fn reread(&self) -> bool {
        match netlink::read() {
            Ok(read) => {
                self.listener.changed(read.own);
                !read.is_settled
            }
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&self, error: &io::Error) -> bool {
        tracing::warn!(%error, "the machine's own addresses cannot be read: every address is closed to names");
        self.listener.changed(OwnAddresses::unknown());
        true
    }

    /// Takes notice of changes as they come. For ever; within a runtime.
    pub async fn follow(self: Arc<Self>) {
        let Err(error) = self.follow_socket().await;
        self.lost(&error);
    }

    async fn follow_socket(&self) -> io::Result<Infallible> {
        let socket = self.changes().as_fd().try_clone_to_owned()?;
        let socket = sys::watched::watch(socket)?;
        let mut again = false;
        loop {
            if again {
                tokio::time::sleep(AGAIN_AFTER).await;
                let _changes = self.changes();
                again = self.reread();
            } else {
                socket.readable().await?.clear_ready();
                again = self.settle();
            }
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is a route to the public IPv6 internet. Connecting a UDP socket sends nothing.
pub fn has_ipv6_route() -> bool {
    let public = (Ipv6Addr::new(0x2600, 0, 0, 0, 0, 0, 0, 1), 53);
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok_and(|socket| socket.connect(public).is_ok())
}
