//! What the hooks remember of a socket.

use core::ptr::{NonNull, null_mut};

use aya_ebpf::{bindings::bpf_sock, helpers::generated::bpf_sk_storage_get};
use egress_common::{
    Address,
    answer::Answer,
    flow::{SocketState, kind, listener, option},
    sandbox::WORKERS,
};

use super::Owner;
use crate::maps::SOCKETS;

#[inline(always)]
pub(super) fn storage(sk: *mut bpf_sock, value: *mut SocketState, flags: u64) -> *mut SocketState {
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the verifier checks that `sk` is a socket and `value` null or a whole record.
    unsafe { bpf_sk_storage_get(map, sk.cast(), value.cast(), flags).cast() }
}

/// The record of a socket, in place.
#[derive(Clone, Copy)]
pub struct SocketRecord(NonNull<SocketState>);

#[inline(always)]
pub(super) fn socket_record(sk: *mut bpf_sock) -> Option<SocketRecord> {
    if sk.is_null() {
        return None;
    }
    let state = storage(sk, null_mut(), 0);
    // Without an unset payload where there is none: the verifier would refuse to pass it on.
    NonNull::new(state).map(SocketRecord)
}

impl SocketRecord {
    /// A copy.
    #[inline(always)]
    pub fn state(&self) -> SocketState {
        // SAFETY: storage lives as long as its socket, which the hook holds.
        unsafe { *self.0.as_ptr() }
    }

    /// Without a copy of the whole: for what every packet asks.
    #[inline(always)]
    pub fn kind(&self) -> u16 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).kind }
    }

    #[inline(always)]
    pub fn original(&self) -> (Address, u16) {
        // SAFETY: as in `state`.
        unsafe { ((*self.0.as_ptr()).original, (*self.0.as_ptr()).original_port) }
    }

    /// Address and port of the listener that the socket was redirected to.
    #[inline(always)]
    pub fn listener(&self) -> (Address, u16) {
        // SAFETY: as in `state`.
        let (family, v4, port) = unsafe {
            (
                (*self.0.as_ptr()).listener_family,
                (*self.0.as_ptr()).listener4,
                (*self.0.as_ptr()).listener_port,
            )
        };
        (listener(family, v4), port)
    }

    /// Whose listener that is, below [`WORKERS`].
    #[inline(always)]
    pub fn worker(&self) -> u32 {
        // SAFETY: as in `state`.
        u32::from(unsafe { (*self.0.as_ptr()).worker }) & (WORKERS as u32 - 1)
    }

    /// Bits of [`option`].
    #[inline(always)]
    pub fn options(&self) -> u32 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).options }
    }

    /// The next payload's sequence number, where [`option::SEQUENCE`] is set.
    #[inline(always)]
    pub fn next(&self) -> u32 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).next }
    }

    /// Sequence number at which the client's next record begins.
    #[inline(always)]
    pub fn record(&self) -> u32 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).record }
    }

    #[inline(always)]
    pub fn hellos(&self) -> u32 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).hellos }
    }

    #[inline(always)]
    pub fn pin(&self) -> u64 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).pin }
    }

    /// A copy of how far the server's bytes have been read.
    #[inline(always)]
    pub fn answer(&self) -> Answer {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).answer }
    }

    #[inline(always)]
    pub fn connected_ns(&self) -> u64 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).connected_ns }
    }

    #[inline(always)]
    pub fn owner(&self) -> Owner {
        // SAFETY: as in `state`.
        unsafe { Owner { sandbox: (*self.0.as_ptr()).sandbox, slot: (*self.0.as_ptr()).slot } }
    }

    /// (sandbox, thread group, user).
    #[inline(always)]
    pub fn who(&self) -> (u64, u32, u32) {
        // SAFETY: as in `state`.
        unsafe { ((*self.0.as_ptr()).sandbox, (*self.0.as_ptr()).tgid, (*self.0.as_ptr()).uid) }
    }

    #[inline(always)]
    pub fn set_kind(&self, kind: u16) {
        // SAFETY: as in `state`; the socket is locked by whoever sends, so nobody else writes.
        unsafe { (*self.0.as_ptr()).kind = kind };
    }

    /// All before `next` has been let out.
    #[inline(always)]
    pub fn set_next(&self, next: u32) {
        // SAFETY: as in `set_kind`.
        unsafe {
            (*self.0.as_ptr()).next = next;
            (*self.0.as_ptr()).options |= option::SEQUENCE;
        }
    }

    #[inline(always)]
    pub fn set_record(&self, record: u32) {
        // SAFETY: as in `set_kind`.
        unsafe { (*self.0.as_ptr()).record = record };
    }

    /// What [`Self::next`] and [`Self::record`] become once the segment that is judged is let out.
    #[inline(always)]
    pub fn set_after(&self, next: u32, record: u32) {
        // SAFETY: as in `set_kind`.
        unsafe {
            (*self.0.as_ptr()).next_after = next;
            (*self.0.as_ptr()).record_after = record;
        }
    }

    /// The segment that is judged is let out.
    #[inline(always)]
    pub fn let_out(&self) {
        // SAFETY: as in `set_kind`.
        unsafe {
            (*self.0.as_ptr()).next = (*self.0.as_ptr()).next_after;
            (*self.0.as_ptr()).record = (*self.0.as_ptr()).record_after;
        }
    }

    #[inline(always)]
    pub fn set_hellos(&self, hellos: u32) {
        // SAFETY: as in `set_kind`. User space is told of the next hello that is not whole, too.
        unsafe {
            (*self.0.as_ptr()).hellos = hellos;
            (*self.0.as_ptr()).options &= !option::REPORTED;
        }
    }

    /// Written where packets arrive, without the socket's lock: two of one connection at once, on two
    /// processors, may undo each other, which leaves the connection provisional.
    #[inline(always)]
    pub fn set_answer(&self, answer: &Answer) {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).answer = *answer };
    }

    #[inline(always)]
    pub fn set_reported(&self) {
        // SAFETY: as in `set_kind`.
        unsafe { (*self.0.as_ptr()).options |= option::REPORTED };
    }

    /// Whether a hello has left that no server has answered.
    #[inline(always)]
    pub fn is_provisional(&self) -> bool {
        self.kind() == kind::PROVISIONAL
    }

    /// Sequence number behind the last byte that user space has a copy of, where [`option::REPORTED`] is set.
    #[inline(always)]
    pub fn told(&self) -> u32 {
        // SAFETY: as in `state`.
        unsafe { (*self.0.as_ptr()).told }
    }

    /// User space has copies of all before this.
    #[inline(always)]
    pub fn set_told(&self, told: u32) {
        // SAFETY: as in `set_kind`.
        unsafe { (*self.0.as_ptr()).told = told };
        self.add_options(option::REPORTED);
    }

    #[inline(always)]
    pub fn add_options(&self, options: u32) {
        // SAFETY: as in `set_kind`.
        unsafe { (*self.0.as_ptr()).options |= options };
    }

    #[inline(always)]
    pub fn remove_options(&self, options: u32) {
        // SAFETY: as in `set_kind`.
        unsafe { (*self.0.as_ptr()).options &= !options };
    }

    /// The name that the socket has for its program; port 0 is none.
    #[inline(always)]
    pub fn local(&self) -> (Address, u16) {
        // SAFETY: as in `state`.
        unsafe { ((*self.0.as_ptr()).local, (*self.0.as_ptr()).local_port) }
    }

    #[inline(always)]
    pub fn set_local(&self, local: &Address, port: u16) {
        // SAFETY: as in `set_kind`.
        unsafe {
            (*self.0.as_ptr()).local = *local;
            (*self.0.as_ptr()).local_port = port;
        }
    }

    /// Its SYN passes at once.
    #[inline(always)]
    pub fn unhold(&self) {
        // SAFETY: as in `set_kind`.
        unsafe { (*self.0.as_ptr()).options &= !option::HOLD };
    }

    #[inline(always)]
    pub fn set_pin(&self, pin: u64) {
        // SAFETY: as in `set_kind`.
        unsafe { (*self.0.as_ptr()).pin = pin };
    }
}
