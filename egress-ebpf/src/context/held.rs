//! Writing records of held SYNs.

use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use egress_common::held::{HeldHead, HeldSyn, SYN_BYTES};

use super::{Packet, SocketRecord, boot_ns};

/// Fills a reserved record, all but the packet.
#[inline(always)]
pub fn write_head(record: *mut HeldHead, socket: SocketRecord, cookie: u64, length: u16) {
    let (original, port) = socket.original();
    let (_, listener_port) = socket.listener();
    // SAFETY: the ring has given room for the whole record, which nobody reads before it is
    // submitted; every field is written.
    unsafe {
        (&raw mut (*record).sandbox).write(socket.owner().sandbox);
        (&raw mut (*record).cookie).write(cookie);
        (&raw mut (*record).time_ns).write(boot_ns());
        (&raw mut (*record).original).write(original);
        (&raw mut (*record).original_port).write(port);
        (&raw mut (*record).listener_port).write(listener_port);
        (&raw mut (*record).length).write(length);
        (&raw mut (*record).reserved).write(0);
    }
}

/// Fills a reserved record with a packet of at most [`SYN_BYTES`]; false where it cannot be read. What is behind
/// it in the record is left as it was: user space knows the length.
#[inline(always)]
#[must_use]
pub fn write_held(
    record: *mut HeldSyn,
    packet: Packet,
    socket: SocketRecord,
    cookie: u64,
    length: u32,
) -> bool {
    // 1 to 128 to the verifier, which does not follow the caller's checks this far.
    let length = (core::hint::black_box(length - 1) & (SYN_BYTES as u32 - 1)) + 1;
    // SAFETY: as in `write_head`; the helper writes at most the 128 bytes of the field, or fails.
    unsafe {
        write_head(&raw mut (*record).head, socket, cookie, length as u16);
        let syn = (&raw mut (*record).syn).cast();
        bpf_skb_load_bytes(packet.skb.cast(), 0, syn, length) == 0
    }
}
