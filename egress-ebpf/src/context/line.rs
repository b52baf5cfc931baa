//! How far the first line of a connection has been followed, in storage of its socket.

use core::{
    ffi::c_void,
    ptr::{NonNull, null_mut, read_volatile},
};

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    helpers::generated::{bpf_loop, bpf_sk_storage_get},
};
use egress_common::first_line::{FirstLine, FollowedLine};

use super::{Packet, packet::follows_lines};
use crate::maps::LINES;

/// The record of a socket, in place.
#[derive(Clone, Copy)]
pub struct LineRecord(NonNull<FollowedLine>);

impl Packet {
    /// The sender's, made where there is none; none without memory.
    #[inline(always)]
    pub fn line(&self) -> Option<LineRecord> {
        // SAFETY: the context is valid for the whole program.
        let sk = unsafe { (*self.skb).__bindgen_anon_2.sk };
        if sk.is_null() {
            return None;
        }
        let map = (&raw const LINES).cast_mut().cast();
        // SAFETY: the verifier checks that `sk` is a socket; a new record is all zeros.
        let line = unsafe {
            let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
            bpf_sk_storage_get(map, sk.cast(), null_mut(), flags)
        };
        NonNull::new(line.cast()).map(LineRecord)
    }

    /// Follows the line through `end - at` bytes from `at` on, from where the last bytes that left have
    /// led. False where this kernel cannot.
    #[inline(always)]
    pub fn follow(&self, line: LineRecord, at: u32, end: u32) -> bool {
        if !follows_lines() {
            return false;
        }
        line.begin_again();
        let mut carried = Carried { packet: *self, line, at, end };
        // SAFETY: the verifier checks `byte` with `carried` as its argument.
        unsafe { bpf_loop(end - at, step as *mut c_void, (&raw mut carried).cast(), 0) };
        true
    }
}

struct Carried {
    packet: Packet,
    line: LineRecord,
    at: u32,
    end: u32,
}

/// One turn of `bpf_loop`; 1 ends it.
#[inline(never)]
extern "C" fn step(_index: u32, carried: *mut c_void) -> i64 {
    // SAFETY: `Packet::follow` gives a `Carried` of its own stack, which outlives the loop.
    let carried = unsafe { &mut *carried.cast::<Carried>() };
    let (packet, at, end) = (carried.packet, carried.at, carried.end);
    if at >= end {
        return 1;
    }
    // SAFETY: storage lives as long as its socket, which the hook holds, and which is locked by whoever
    // sends, so that nobody else looks at it.
    let line = unsafe { &mut (*carried.line.0.as_ptr()).after };
    let looked = line.step(&packet, at, end);
    carried.at = at + looked;
    if looked == 0 { 1 } else { 0 }
}

impl LineRecord {
    /// Of a connection to this port nothing has left.
    #[inline(always)]
    pub fn reset(&self, port: u16) {
        // SAFETY: as in `step`.
        unsafe { (*self.0.as_ptr()).left = FirstLine::new(port) };
    }

    #[inline(always)]
    fn begin_again(&self) {
        // SAFETY: as in `step`.
        unsafe { (*self.0.as_ptr()).after = (*self.0.as_ptr()).left };
    }

    /// What was followed has left.
    #[inline(always)]
    pub fn let_out(&self) {
        // SAFETY: as in `step`.
        unsafe { (*self.0.as_ptr()).left = (*self.0.as_ptr()).after };
    }

    /// Where what was followed has led. `ends`: nothing comes behind it.
    #[inline(always)]
    pub fn after(&self, ends: bool) -> FirstLine {
        // SAFETY: as in `step`. A copy of its own, so that nothing of it is a constant to the compiler.
        let mut line = unsafe { read_volatile(&raw const (*self.0.as_ptr()).after) };
        if ends {
            line.end();
        }
        line
    }
}
