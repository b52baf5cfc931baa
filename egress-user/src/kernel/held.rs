//! Connects that the kernel side holds, and what user space lets in.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    sync::PoisonError,
};

use aya::maps::{MapData, RingBuf};
use egress_common::{
    Address,
    held::{HeldHead, HeldSyn, Released},
};

use super::maps::{Maps, key_of};
use crate::sys::{self, pod::Wire};

/// The ring of held SYNs.
pub struct HeldSyns {
    ring: RingBuf<MapData>,
}

/// What became of a connect that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldEvent {
    /// [`egress_common::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// The program's socket.
    pub cookie: u64,
    /// Where it wants to go.
    pub to: SocketAddr,
    /// The port of the listener that it was redirected to.
    pub listener_port: u16,
    /// The SYN; none when its program has given up.
    pub syn: Option<Vec<u8>>,
}

impl HeldSyns {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// The next one; none when the ring is empty. Records that are too short are passed over.
    pub fn take(&mut self) -> Option<HeldEvent> {
        loop {
            let item = self.ring.next()?;
            let Some(head) = sys::pod::read::<HeldHead>(&item) else { continue };
            let syn = match usize::from(head.length) {
                0 => None,
                length => {
                    let Some(whole) = sys::pod::read::<HeldSyn>(&item) else { continue };
                    let Some(syn) = whole.syn.get(..length) else { continue };
                    Some(syn.to_vec())
                }
            };
            return Some(HeldEvent {
                sandbox: head.sandbox,
                cookie: head.cookie,
                to: SocketAddr::new(head.original.into(), head.original_port),
                listener_port: head.listener_port,
                syn,
            });
        }
    }
}

impl AsFd for HeldSyns {
    /// Readable when there is something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl Maps {
    /// The rings of held SYNs, one a worker; only the first call gets any.
    pub fn take_held(&mut self) -> Vec<HeldSyns> {
        std::mem::take(&mut self.syns).into_iter().map(HeldSyns::new).collect()
    }

    /// Lets the SYNs of a socket pass, and has it be called by this name once it is connected; by its own where
    /// there is none.
    ///
    /// # Errors
    /// When the map is full.
    pub(super) fn release(&self, cookie: u64, local: Option<SocketAddr>) -> io::Result<()> {
        let unspecified = Address { words: [0; 4] };
        let canonical = |address: IpAddr| key_of(address.to_canonical());
        let released = Released {
            local: local.map_or(unspecified, |local| canonical(local.ip())),
            local_port: local.map_or(0, |local| local.port()),
            reserved: [0; 3],
        };
        let mut map = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(cookie, Wire(released), 0).map_err(io::Error::other)
    }

    /// The counterpart of [`Maps::release`] where the socket was not connected, with which the kernel forgets it.
    pub(super) fn forget_released(&self, cookie: u64) {
        let mut map = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        // Absent is as good.
        let _ = map.remove(&cookie);
    }
}
