//! What one sandbox takes of what all sandboxes of a loaded object share, and what there is to count
//! of it.

use crate::{abi::capacity, event::COUNTERS, sandbox::WORKERS};

/// Element of the array [`crate::abi::map::USAGE`], one a sandbox, at [`crate::sandbox::Sandbox::slot`]. Both
/// sides change it by atomic additions, user space in its own memory (the map is mapped there). As
/// large as four cache lines, so that the count of one sandbox is no weight on another's.
#[repr(C, align(128))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose it is: [`crate::sandbox::Sandbox::id`]. 0 in slot 0, which is that of what belongs to no
    /// sandbox, and in slots that nobody has.
    pub sandbox: u64,
    /// Indexed by [`crate::event::Counter`].
    pub counters: [u64; COUNTERS as usize],
    /// Its entries in [`crate::abi::map::FLOWS`].
    pub flows: u64,
    /// Its entries in [`crate::abi::map::UNVERIFIED`].
    pub unverified: u64,
    /// Bytes of the event ring that it has filled since user space had last read all of its events.
    pub unread: u64,
    /// Position in the ring behind its latest event.
    pub unread_until: u64,
    /// Sockets of it that have begun to ask the DNS listener since [`Usage::asked_since_ns`].
    pub asked: u64,
    /// Begin of the second in which they are counted, in CLOCK_BOOTTIME nanoseconds.
    pub asked_since_ns: u64,
    /// The same of the ring of held SYNs of each worker.
    pub syns: [Unread; WORKERS],
    /// The same of the ring of held payloads.
    pub payloads_unread: u64,
    /// As [`Usage::unread_until`].
    pub payloads_unread_until: u64,
    /// Zero.
    pub reserved: u64,
}

/// What a sandbox has in a ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// As [`Usage::unread`].
    pub bytes: u64,
    /// As [`Usage::unread_until`].
    pub until: u64,
}

const _: () = {
    // Both sides reckon in whole words, and the ring's share in its capacity.
    assert!(size_of::<Usage>() == 256);
    assert!(capacity::EVENT_BYTES.is_power_of_two());
    assert!(capacity::SYN_BYTES.is_power_of_two());
    assert!(capacity::PAYLOAD_BYTES.is_power_of_two());
    // A piece of each sandbox always finds room where nobody has more.
    assert!(
        2 * ring_bytes::<crate::payload::Piece>() * capacity::SANDBOXES as u64
            <= capacity::PAYLOAD_BYTES as u64
    );
    // One event always finds room where nobody has any.
    assert!(
        2 * ring_bytes::<crate::event::HelloEvent>() * capacity::SANDBOXES as u64
            <= capacity::EVENT_BYTES as u64
    );
};

/// Slot of what belongs to no sandbox.
pub const NOBODY: u32 = 0;

/// Where the fields of a [`Usage`] stand, counted in its words: user space has it as atomic words.
pub mod word {
    use core::mem::offset_of;

    use super::Usage;

    /// [`Usage::sandbox`].
    pub const SANDBOX: usize = offset_of!(Usage, sandbox) / 8;
    /// [`Usage::counters`], the first.
    pub const COUNTERS: usize = offset_of!(Usage, counters) / 8;
    /// [`Usage::flows`].
    pub const FLOWS: usize = offset_of!(Usage, flows) / 8;
    /// [`Usage::unverified`].
    pub const UNVERIFIED: usize = offset_of!(Usage, unverified) / 8;
    /// Words of a whole one.
    pub const ALL: usize = size_of::<Usage>() / 8;
}

/// Whether a sandbox may put an event into the ring: as much as it has there, it must leave free. So one
/// that floods gets half of the ring, two get a third each, and something is always left for the next
/// one, without anybody being told how many there are (a "dynamic threshold", as switches share their
/// buffers by).
///
/// `own`: bytes of its events that are not read yet; `unread`: of everybody's; `event`: of the new one; `ring`: of the
/// whole ring.
#[inline(always)]
pub const fn may_report(own: u64, unread: u64, event: u64, ring: u64) -> bool {
    own + unread + event <= ring
}

/// Most UDP sockets of a sandbox that may begin to ask the DNS listener within [`ASKED_WITHIN_NS`]; twelve
/// times the lookups that it is answered for long. The map of them drops the oldest when it is full, whoever's
/// it is: with this many of each, twice fit in, so that none is dropped before its datagram was read.
pub const ASKED_MOST: u64 = capacity::ASKERS as u64 / 2;

/// In nanoseconds: a second.
pub const ASKED_WITHIN_NS: u64 = 1_000_000_000;

/// Whether a new second has begun in which sockets that ask are counted anew.
#[inline(always)]
pub const fn is_next_second(since_ns: u64, now_ns: u64) -> bool {
    now_ns.wrapping_sub(since_ns) >= ASKED_WITHIN_NS
}

/// Bytes that a record takes in the ring: with the kernel's header, a multiple of eight.
#[inline(always)]
pub const fn ring_bytes<T>() -> u64 {
    (size_of::<T>() as u64 + 8).next_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::{may_report, ring_bytes};
    use crate::{abi::capacity, event::Event};

    /// Fills the ring with the events of so many sandboxes, in turns. Gives how much each got.
    fn flooded(by: usize) -> [u64; 64] {
        let (mut own, mut unread) = ([0; 64], 0);
        let event = ring_bytes::<Event>();
        loop {
            let before = unread;
            for own in own.iter_mut().take(by) {
                if may_report(*own, unread, event, u64::from(capacity::EVENT_BYTES)) {
                    *own += event;
                    unread += event;
                }
            }
            if unread == before {
                return own;
            }
        }
    }

    #[test]
    fn floods_leave_room_for_another_sandbox() {
        for by in [1, 2, 10, 63] {
            let own = flooded(by);
            let unread: u64 = own.iter().sum();
            let mut quiet = 0;
            while may_report(
                quiet,
                unread + quiet,
                ring_bytes::<Event>(),
                u64::from(capacity::EVENT_BYTES),
            ) {
                quiet += ring_bytes::<Event>();
            }
            let share = u64::from(capacity::EVENT_BYTES) / (by as u64 + 1);
            assert!(quiet * 2 >= share - 200, "{by} leave {quiet} of a share of {share}");
            assert!(own[0] >= share - 200, "{by} have {} each", own[0]);
        }
    }
}
