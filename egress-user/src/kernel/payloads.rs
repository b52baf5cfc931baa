//! Payloads of direct connections that the kernel side holds, and what of them may leave.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{MutexGuard, PoisonError},
};

use aya::maps::{HashMap, MapData, RingBuf};
use egress_common::{
    hello,
    payload::{Approval, BLOCK_BYTES, Block, BlockKey, CHUNK_BYTES, PieceHead},
    pin::NameKey,
};

use super::maps::{Hash, Maps, key_of};
use crate::{
    policy::Name,
    sys::{self, pod::Wire},
};

/// The ring of held payloads.
pub struct HeldPayloads {
    ring: RingBuf<MapData>,
}

/// Some bytes of a payload that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPiece {
    /// Whose they are, and where they stand.
    pub head: PieceHead,
    /// These.
    pub bytes: Vec<u8>,
}

impl HeldPayloads {
    /// The next piece; none when the ring is empty. Records that are too short are passed over.
    pub fn take(&mut self) -> Option<HeldPiece> {
        loop {
            let item = self.ring.next()?;
            let Some(head) = sys::pod::read::<PieceHead>(&item) else { continue };
            let bytes = item.get(size_of::<PieceHead>()..).unwrap_or_default();
            let Some(bytes) = bytes.get(..usize::from(head.length)) else { continue };
            return Some(HeldPiece { head, bytes: bytes.to_vec() });
        }
    }
}

impl AsFd for HeldPayloads {
    /// Readable when there is something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// The maps of what may leave.
pub(super) struct ApprovalMaps {
    pub(super) approvals: HashMap<MapData, u64, Wire<Approval>>,
    pub(super) blocks: Hash<BlockKey, Block>,
}

impl Maps {
    /// The ring of held payloads; only the first call gets it.
    pub fn take_payloads(&mut self) -> Option<HeldPayloads> {
        self.payloads.take().map(|ring| HeldPayloads { ring })
    }

    /// Lets exactly these bytes of a connection leave, as many as the approval says.
    ///
    /// # Errors
    /// When there is no room; then none of them may that could not before.
    pub(crate) fn approve(&self, cookie: u64, approval: Approval, bytes: &[u8]) -> io::Result<()> {
        let mut maps = self.approval_maps();
        // Before the approval: until then they are read by nobody.
        let (mut sequence, mut rest) = (approval.from, bytes);
        while !rest.is_empty() {
            let at = sequence as usize % BLOCK_BYTES;
            let (now, later) = rest.split_at(rest.len().min(BLOCK_BYTES - at));
            let key = Wire(BlockKey::of(cookie, sequence));
            let mut block = Block { bytes: [0; BLOCK_BYTES + CHUNK_BYTES] };
            // What stands there of an earlier approval still may leave.
            if at > 0
                && let Ok(before) = maps.blocks.get(&key, 0)
            {
                block = before.0;
            }
            if let Some(place) = block.bytes.get_mut(at..at + now.len()) {
                place.copy_from_slice(now);
            }
            maps.blocks.insert(key, Wire(block), 0).map_err(io::Error::other)?;
            sequence = sequence.wrapping_add(u32::try_from(now.len()).unwrap_or(0));
            rest = later;
        }
        maps.approvals.insert(cookie, Wire(approval), 0).map_err(io::Error::other)
    }

    /// The counterpart of [`Maps::approve`], once the bytes have left, or are no more: `length` bytes from a sequence
    /// number on.
    pub(crate) fn withdraw(&self, cookie: u64, from: u32, length: usize) {
        let mut maps = self.approval_maps();
        // Absent is as good as removed.
        let _ = maps.approvals.remove(&cookie);
        let first = from as usize / BLOCK_BYTES * BLOCK_BYTES;
        let blocks = (from as usize + length - first).div_ceil(BLOCK_BYTES);
        for block in 0..blocks {
            let sequence = (first + block * BLOCK_BYTES) as u32;
            let _ = maps.blocks.remove(&Wire(BlockKey::of(cookie, sequence)));
        }
    }

    /// By which number connections of this name are counted; 0 where the kernel side does not know it there.
    pub(crate) fn pin_number(&self, sandbox: u64, address: std::net::IpAddr, name: &Name) -> u64 {
        let text = name.as_str().as_bytes();
        let key = NameKey {
            sandbox,
            address: key_of(address),
            length: u32::try_from(text.len()).unwrap_or(0),
            reserved: 0,
            name: hello::words(text),
        };
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&Wire(key), 0).map_or(0, |value| value.0.pin)
    }

    fn approval_maps(&self) -> MutexGuard<'_, ApprovalMaps> {
        self.approvals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
