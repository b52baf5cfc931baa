//! What one sandbox takes of what all share.

use core::{
    arch::asm,
    ptr::{self, NonNull, read_volatile, write_volatile},
};

use aya_ebpf::{
    helpers::bpf_ringbuf_query,
    maps::{HashMap, RingBuf},
};
use egress_common::{
    abi::capacity,
    event::Counter,
    flow::SocketState,
    sandbox::{Sandbox, WORKERS},
    usage::{self, NOBODY, Unread, Usage},
};

use crate::maps::{EVENTS, PAYLOADS, SynRing, USAGE};

// linux/bpf.h, linux/errno.h.
const NOEXIST: u64 = 1;
const EEXIST: i32 = -17;
const RING_SIZE: u64 = 1;
const CONSUMER_POSITION: u64 = 2;
const PRODUCER_POSITION: u64 = 3;

/// Whose something is.
#[derive(Clone, Copy)]
pub struct Owner {
    /// `Sandbox::id`; 0 is none.
    pub sandbox: u64,
    /// `Sandbox::slot`.
    pub slot: u32,
}

impl Owner {
    pub const NOBODY: Self = Self { sandbox: 0, slot: NOBODY };

    #[inline(always)]
    pub fn of(sandbox: &Sandbox) -> Self {
        Self { sandbox: sandbox.id, slot: sandbox.slot }
    }

    #[inline(always)]
    pub fn of_socket(state: &SocketState) -> Self {
        Self { sandbox: state.sandbox, slot: state.slot }
    }

    /// None of a sandbox that is no more: the slot may be another's.
    #[inline(always)]
    fn usage(self) -> Option<NonNull<Usage>> {
        let usage = NonNull::new(USAGE.get_ptr_mut(self.slot)?)?;
        // SAFETY: a live element of an array, which is never freed; the verifier has seen the null check.
        let owner = unsafe { read_volatile(&raw const (*usage.as_ptr()).sandbox) };
        (owner == self.sandbox).then_some(usage)
    }

    /// Counts one for it.
    #[inline(always)]
    pub fn count(self, counter: Counter) {
        if let Some(usage) = self.usage() {
            // SAFETY: as in `usage`; a field of it.
            add(unsafe { &raw mut (*usage.as_ptr()).counters[counter as usize] }, 1);
        }
    }

    /// Writes one more record of the sandbox into a map of which it may have `most`. False where it has
    /// them, or the map is full; that is counted.
    #[inline(always)]
    pub fn put<K, V>(
        self,
        map: &HashMap<K, V>,
        key: &K,
        value: &V,
        most: u32,
        taken: fn(*mut Usage) -> *mut u64,
    ) -> bool {
        let Some(usage) = self.usage() else { return false };
        let taken = taken(usage.as_ptr());
        // SAFETY: as in `usage`; a field of it. Processors that look at once exceed it by one each.
        if unsafe { read_volatile(taken) } < u64::from(most) {
            match map.insert(key, value, NOEXIST) {
                Ok(()) => {
                    add(taken, 1);
                    return true;
                }
                // In the place of one of its own.
                Err(EEXIST) if map.insert(key, value, 0).is_ok() => return true,
                Err(_) => {}
            }
        }
        self.count(Counter::MapFull);
        false
    }

    /// Removes a record of the sandbox.
    #[inline(always)]
    pub fn remove<K, V>(self, map: &HashMap<K, V>, key: &K, taken: fn(*mut Usage) -> *mut u64) {
        if map.remove(key).is_ok()
            && let Some(usage) = self.usage()
        {
            add(taken(usage.as_ptr()), u64::MAX);
        }
    }

    /// Whether one more of its sockets may ask the DNS listener, which is counted then.
    #[inline(always)]
    pub fn may_ask(self, now_ns: u64) -> bool {
        let Some(usage) = self.usage() else { return false };
        let usage = usage.as_ptr();
        // SAFETY: as in `usage`. Processors that do this at once may exceed it by one each.
        unsafe {
            if usage::is_next_second(read_volatile(&raw const (*usage).asked_since_ns), now_ns) {
                write_volatile(&raw mut (*usage).asked_since_ns, now_ns);
                write_volatile(&raw mut (*usage).asked, 0);
            }
            if read_volatile(&raw const (*usage).asked) >= usage::ASKED_MOST {
                return false;
            }
            add(&raw mut (*usage).asked, 1);
        }
        true
    }

    /// Whether there is room in the ring for so many bytes of this sandbox's, which it takes then.
    #[inline(always)]
    pub fn may_report(self, bytes: u64) -> bool {
        let Some(usage) = self.usage() else { return false };
        let usage = usage.as_ptr();
        // SAFETY: the addresses of fields, which are not looked at here.
        let unread = unsafe { (&raw mut (*usage).unread, &raw mut (*usage).unread_until) };
        may_fill(Room::of(&EVENTS, capacity::EVENT_BYTES), unread, bytes)
    }

    /// The same of a worker's ring of held SYNs.
    #[inline(always)]
    pub fn may_hold(self, ring: &SynRing, worker: u32, bytes: u64) -> bool {
        let Some(usage) = self.usage() else { return false };
        let (usage, worker) = (usage.as_ptr(), worker as usize & (WORKERS - 1));
        // SAFETY: as in `may_report`; the verifier has seen that the index is one of the array.
        let unread = unsafe {
            let unread = (&raw mut (*usage).syns).cast::<Unread>().add(worker);
            (&raw mut (*unread).bytes, &raw mut (*unread).until)
        };
        let ring = ptr::from_ref(ring).cast_mut().cast();
        let query = |what| {
            // SAFETY: a ring buffer, which lives as long as the program that has looked it up runs.
            unsafe { bpf_ringbuf_query(ring, what) }
        };
        let room = Room {
            size: query(RING_SIZE),
            read: query(CONSUMER_POSITION),
            written: query(PRODUCER_POSITION),
        };
        may_fill(room, unread, bytes)
    }

    /// The same of the ring of held payloads.
    #[inline(always)]
    pub fn may_tell(self, bytes: u64) -> bool {
        let Some(usage) = self.usage() else { return false };
        let usage = usage.as_ptr();
        // SAFETY: as in `may_report`.
        let unread =
            unsafe { (&raw mut (*usage).payloads_unread, &raw mut (*usage).payloads_unread_until) };
        may_fill(Room::of(&PAYLOADS, capacity::PAYLOAD_BYTES), unread, bytes)
    }
}

/// A ring: its size in bytes, and how far it is read and written.
struct Room {
    size: u64,
    read: u64,
    written: u64,
}

impl Room {
    #[inline(always)]
    fn of(ring: &RingBuf, size: u32) -> Self {
        Self {
            size: u64::from(size),
            read: ring.query(CONSUMER_POSITION),
            written: ring.query(PRODUCER_POSITION),
        }
    }
}

/// Takes so many bytes of a ring, where they are in a sandbox's share of it. `unread`: its counts, within its
/// record.
#[inline(always)]
fn may_fill(room: Room, unread: (*mut u64, *mut u64), bytes: u64) -> bool {
    let Room { size, read, written } = room;
    let (unread, until) = unread;
    // SAFETY: fields of a live element of an array; the verifier has seen its null check. Processors that do
    // this at once may forget an event of each other's.
    unsafe {
        let mut own = read_volatile(unread);
        if read >= read_volatile(until) {
            own = 0;
            write_volatile(unread, 0);
        }
        if !usage::may_report(own, written.wrapping_sub(read), bytes, size) {
            return false;
        }
        add(unread, bytes);
        write_volatile(until, written.wrapping_add(bytes));
    }
    true
}

/// The count of records in `FLOWS`.
#[inline(always)]
pub fn flows(usage: *mut Usage) -> *mut u64 {
    // SAFETY: the address of a field, which is not looked at here.
    unsafe { &raw mut (*usage).flows }
}

/// The count of records in `UNVERIFIED`.
#[inline(always)]
pub fn unverified(usage: *mut Usage) -> *mut u64 {
    // SAFETY: as in `flows`.
    unsafe { &raw mut (*usage).unverified }
}

/// Adds to a shared count: 1, or -1 as its two's complement.
#[inline(always)]
pub(super) fn add(count: *mut u64, amount: u64) {
    // SAFETY: within a live element of a map, aligned; the verifier has seen its null check. In
    // assembly, as Rust's BPF target has no atomic read-modify-write.
    unsafe {
        asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) count, in(reg) amount, options(nostack));
    }
}
