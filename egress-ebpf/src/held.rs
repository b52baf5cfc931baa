//! The SYN of a connection by way of the proxy: held, and told of. User space dials meanwhile and then sends the
//! very same SYN to the listener, or the network's answer to the program.
//!
//! What is held here opens nothing: whatever reaches a listener of ours is judged there.

use egress_common::{
    event::Counter,
    held::{HeldHead, HeldSyn, SYN_BYTES},
    usage::ring_bytes,
};

use crate::{
    context::{self, PASS, Packet, REFUSE, SocketRecord, lookup},
    maps::{RELEASED, SYNS},
};

/// `flags`: the word of the TCP header with its length; `transport`: where that header begins.
///
/// A function of its own to the kernel: nearly no packet is a SYN.
#[inline(never)]
pub fn on_syn(packet: Packet, socket: SocketRecord, flags: u32, transport: u32) -> i32 {
    // What is answered must never leave the machine, whatever address a program has bound (IP_FREEBIND).
    if !packet.is_from_loopback(transport) {
        return PASS;
    }
    let cookie = packet.cookie();
    // Sent again behind the release: the first was lost in a full queue.
    if lookup(&RELEASED, &cookie).is_some() {
        return PASS;
    }
    // Ours, or a stranger's that took its place: neither gets it. Without one the kernel answers
    // ECONNREFUSED at once, where user space, being dead, would not.
    if !packet.has_listener(transport) {
        return PASS;
    }
    let length = transport + (u32::from_be(flags) >> 28) * 4;
    // Fast Open: the kernel sends one without data right behind.
    if packet.length() != length || length > SYN_BYTES as u32 {
        return REFUSE;
    }
    let (owner, worker) = (socket.owner(), socket.worker());
    let Some(ring) = SYNS.get(worker) else { return REFUSE };
    if owner.may_hold(ring, worker, ring_bytes::<HeldSyn>())
        && let Some(mut entry) = ring.reserve(0)
    {
        if context::write_held(entry.as_mut_ptr(), packet, socket, cookie, length) {
            entry.submit(0);
        } else {
            entry.discard(0);
        }
    } else {
        owner.count(Counter::SynsLost);
    }
    REFUSE
}

/// The socket has left the state in which its SYN was held, without being connected.
#[inline(always)]
pub fn gone(socket: SocketRecord, cookie: u64) {
    // Lost: user space finds out when nobody takes what it offers.
    let worker = socket.worker();
    let Some(ring) = SYNS.get(worker) else { return };
    if socket.owner().may_hold(ring, worker, ring_bytes::<HeldHead>())
        && let Some(mut entry) = ring.reserve_untyped::<HeldHead>(0)
    {
        context::write_head(entry.as_mut_ptr(), socket, cookie, 0);
        entry.submit(0);
    }
}
