//! A segment of a direct connection, and whether it is one that may be judged.

use egress_common::{
    flow::{kind, option},
    hello::{Bytes, Finding},
};

use crate::{
    context::{Packet, SocketRecord},
    opaque,
};

// Flags of a TCP header (RFC 9293 section 3.1).
const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
const URG: u8 = 0x20;

/// A segment, and what a look at it comes to: in one word, as the stacks of a hook and of the functions that it calls add
/// up to 512 bytes, which 6.1 reckons in steps of 32.
#[derive(Clone, Copy)]
pub struct Segment(u64);

// What it comes to, besides the number of a finding, in the low bits.
pub const PASSES: u32 = 0x100;
pub const DROP: u32 = 0x101;
pub const GO_ON: u32 = 0x102;
const WHAT: u64 = 0x3ff;
// Behind them. No packet has a MiB.
const START: u32 = 10;
const LENGTH: u32 = 30;
const ENDS: u32 = 50;
const TRANSPORT: u32 = 51;
const OFFSET: u64 = (1 << 20) - 1;

impl Segment {
    /// `PASSES`, `DROP`, `GO_ON` for one that is to be judged, or the number of a finding.
    #[inline(always)]
    pub fn what(self) -> u32 {
        (self.0 & WHAT) as u32
    }

    /// Where the payload begins in the packet.
    #[inline(always)]
    pub fn start(self) -> u32 {
        (self.0 >> START & OFFSET) as u32
    }

    /// Bytes of payload.
    #[inline(always)]
    pub fn length(self) -> u32 {
        (self.0 >> LENGTH & OFFSET) as u32
    }

    /// Nothing stands behind it in the stream.
    #[inline(always)]
    pub fn ends(self) -> bool {
        self.0 >> ENDS & 1 != 0
    }

    /// Sequence number of the first byte, and what the segment acknowledges.
    #[inline(always)]
    pub fn numbers(self, packet: &Packet) -> Option<(u32, u32)> {
        let transport = (self.0 >> TRANSPORT & 0xff) as u32;
        let [s1, s2, s3, s4, a1, a2, a3, a4] = packet.load::<8>(transport + 4)?;
        Some((u32::from_be_bytes([s1, s2, s3, s4]), u32::from_be_bytes([a1, a2, a3, a4])))
    }
}

/// Whether a segment is one that may be judged; its TCP header begins at `transport`. A function of its own to the kernel.
#[inline(never)]
pub fn check(packet: Packet, socket: SocketRecord, transport: u32) -> u64 {
    // No early return with `?`: see `decide::sandbox`.
    match checked(&packet, socket, transport) {
        Ok(what) => what,
        Err(finding) => finding as u64,
    }
}

/// The same, as it is used.
#[inline(always)]
pub fn segment(packet: Packet, socket: SocketRecord, transport: u32) -> Segment {
    Segment(check(packet, socket, transport))
}

#[inline(always)]
fn checked(packet: &Packet, socket: SocketRecord, transport: u32) -> Result<u64, Finding> {
    const PASSES: u64 = self::PASSES as u64;
    const DROP: u64 = self::DROP as u64;
    let Some([s1, s2, s3, s4, _, _, _, _, offset, flags]) = packet.load::<10>(transport + 4) else {
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
    if socket.kind() == kind::LINE
        && flags & FIN != 0
        && sequence.wrapping_add(length) == socket.next()
    {
        opaque::verified(*packet, socket);
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
    Ok(u64::from(GO_ON)
        | u64::from(start) << START
        | u64::from(length) << LENGTH
        | u64::from(flags & FIN) << ENDS
        | u64::from(transport) << TRANSPORT)
}
