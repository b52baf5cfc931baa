//! A segment of a direct connection, and whether it is one that may be judged.

use egress_common::{
    flow::{kind, option},
    hello::{Bytes, Finding},
};

use crate::context::{Packet, SocketRecord};

// Flags of a TCP header (RFC 9293 section 3.1).
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
const URG: u8 = 0x20;

/// A segment with payload.
#[derive(Default)]
pub struct Segment {
    pub sequence: u32,
    pub acknowledged: u32,
    /// Where the payload begins in the packet.
    pub start: u32,
    /// Bytes of payload.
    pub length: u32,
    /// Nothing stands behind it in the stream.
    pub ends: u32,
}

// What a look at a segment comes to, besides the number of a finding.
pub const PASSES: u32 = 0x100;
pub const DROP: u32 = 0x101;
pub const GO_ON: u32 = 0x102;

/// Whether a segment is one that may be judged. A function of its own to the kernel.
#[inline(never)]
pub fn check(packet: Packet, socket: SocketRecord, transport: u32, segment: &mut Segment) -> u32 {
    // No early return with `?`: see `decide::sandbox`.
    match checked(&packet, socket, transport, segment) {
        Ok(what) => what,
        Err(finding) => finding as u32,
    }
}

#[inline(always)]
fn checked(
    packet: &Packet,
    socket: SocketRecord,
    transport: u32,
    segment: &mut Segment,
) -> Result<u32, Finding> {
    let Some([s1, s2, s3, s4, a1, a2, a3, a4, offset, flags]) = packet.load::<10>(transport + 4)
    else {
        return Ok(DROP);
    };
    let sequence = u32::from_be_bytes([s1, s2, s3, s4]);
    let start = transport + u32::from(offset >> 4) * 4;
    let Some(length) = packet.length().checked_sub(start) else { return Ok(DROP) };
    if flags & SYN != 0 {
        // Fast Open: without its data the kernel sends a plain SYN, and the data after it.
        if length != 0 {
            return Ok(DROP);
        }
        socket.set_next(sequence.wrapping_add(1));
        return Ok(PASSES);
    }
    if length == 0 {
        return Ok(PASSES);
    }
    // Told already: user space ends the connection.
    if socket.kind() == kind::REFUSED {
        return Ok(DROP);
    }
    // Bytes that have been let out, and are sent again.
    let again = socket.next().wrapping_sub(sequence);
    let is_untouched = socket.kind() == kind::DIRECT && socket.options() & option::LEFT == 0;
    if socket.options() & option::SEQUENCE == 0 || again >= 1 << 31 || is_untouched && again != 0 {
        return Err(Finding::OutOfOrder);
    }
    if flags & URG != 0 {
        return Err(Finding::Urgent);
    }
    if packet.shares_pages() {
        return Err(Finding::SharedPages);
    }
    if again >= length {
        return Ok(PASSES);
    }
    segment.sequence = sequence;
    segment.acknowledged = u32::from_be_bytes([a1, a2, a3, a4]);
    segment.start = start;
    segment.length = length;
    segment.ends = u32::from(flags & FIN);
    Ok(GO_ON)
}
