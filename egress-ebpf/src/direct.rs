//! Direct connections: nothing leaves but the TLS hello of a name that the address is pinned for, and
//! after it everything.
//!
//! A segment that is dropped here fails in the sender's own transmit call, before TCP counts it as
//! sent: it stays in the write queue, and later writes join it. So TCP is the buffer in which a hello
//! in pieces becomes whole, and no octet leaves before the verdict (6.1, 6.18).

use core::mem::MaybeUninit;

use egress_common::{
    first_line,
    flow::{kind, option},
    hello::{Finding, NAME_OCTETS, Octets, Walk},
    pin::NameKey,
};

use crate::{
    context::{self, IPPROTO_TCP, PASS, Packet, REFUSE, Stored, add},
    emit,
    maps::{HELD, LIVE, NAMES},
    packet::{Headers, UNDECIDED},
};

// Flags of a TCP header (RFC 9293 section 3.1).
const SYN: u8 = 0x02;
const URG: u8 = 0x20;

/// The connected address and port, by TCP without anything between the headers: on every packet,
/// since options can be set after the verdict.
#[inline(always)]
pub fn goes_where_it_may(stored: Stored, headers: &Headers) -> bool {
    let (address, port) = stored.original();
    headers.protocol == IPPROTO_TCP
        && headers.destination == address
        && headers.destination_port == port
}

/// What is read of a segment.
struct Segment {
    sequence: u32,
    flags: u8,
    /// Where the payload begins, and how long it is.
    start: u32,
    length: u32,
}

/// What of a connection's packets carries no payload passes; what carries some is not decided here.
/// `offset_and_flags` is the fourth word of the TCP header.
#[inline(always)]
pub fn quick(
    packet: &Packet,
    stored: Stored,
    sequence: u32,
    offset_and_flags: u32,
    transport: u32,
) -> i32 {
    let word = u32::from_be(offset_and_flags);
    if packet.length() != transport + (word >> 28) * 4 {
        return UNDECIDED;
    }
    if word >> 16 & u32::from(SYN) != 0 {
        stored.set_first(u32::from_be(sequence).wrapping_add(1));
    }
    PASS
}

/// A function of its own to the kernel: its stack holds a name.
#[inline(never)]
pub fn leave(packet: Packet, stored: Stored, headers: &Headers) -> i32 {
    let Some(segment) = segment(&packet, headers) else { return REFUSE };
    if segment.flags & SYN != 0 {
        // Fast Open: without its data the kernel sends a plain SYN, and the data after it.
        if segment.length != 0 {
            return REFUSE;
        }
        stored.set_first(segment.sequence.wrapping_add(1));
        return PASS;
    }
    if segment.length == 0 {
        return PASS;
    }
    // Told already: user space ends the connection.
    if stored.kind() == kind::REFUSED {
        return REFUSE;
    }
    let mut key = MaybeUninit::uninit();
    let key = context::empty_key(&mut key, stored.owner().0, headers.destination);
    match judge(&packet, stored, &segment, key) {
        Ok(pin) => verified(packet, stored, pin),
        Err(Finding::Incomplete) => hold(packet, stored, key),
        Err(finding) => refuse(packet, stored, finding, key),
    }
}

/// A packet to the machine itself ([`Finding::NotPinned`]), or to another place than the connection's, or of
/// another form ([`Finding::Diverted`]): the machine itself changes
/// what leaves (NAT of its own output, IPsec), or the program has set an option. Its proxy's packets
/// are changed in the same way and nobody's to judge.
///
/// A function of its own for the same reason.
#[inline(never)]
pub fn astray(packet: Packet, stored: Stored, finding: Finding) -> i32 {
    if stored.kind() == kind::DIRECT {
        let key = NameKey {
            sandbox: 0,
            address: stored.original().0,
            length: 0,
            reserved: 0,
            name: [0; NAME_OCTETS / 8],
        };
        refuse(packet, stored, finding, &key);
    }
    REFUSE
}

#[inline(always)]
fn segment(packet: &Packet, headers: &Headers) -> Option<Segment> {
    let [offset, flags] = packet.load::<2>(headers.transport + 12)?;
    let sequence = u32::from_be_bytes(packet.load::<4>(headers.transport + 4)?);
    let start = headers.transport + u32::from(offset >> 4) * 4;
    let length = packet.length().checked_sub(start)?;
    Some(Segment { sequence, flags, start, length })
}

/// The pin that the payload names, 0 for a payload that passes unread.
#[inline(always)]
fn judge(
    packet: &Packet,
    stored: Stored,
    segment: &Segment,
    key: &mut NameKey,
) -> Result<u64, Finding> {
    let options = stored.options();
    if options & option::SEQUENCE == 0 || segment.sequence != stored.first() {
        return Err(Finding::OutOfOrder);
    }
    if segment.flags & URG != 0 {
        return Err(Finding::Urgent);
    }
    if packet.shares_pages() {
        return Err(Finding::SharedPages);
    }
    let mut walk = match Walk::begin(packet, segment.start, segment.length) {
        Ok(walk) => walk,
        Err(Finding::NotTls)
            if options & option::UNREAD != 0
                && first_line::is_no_request(packet, segment.start, segment.length) =>
        {
            return Ok(0);
        }
        Err(finding) => return Err(finding),
    };
    packet.walk(&mut walk);
    let said = walk.finish(packet, &mut key.name)?;
    key.length = said.length;
    if said.encrypted && options & option::ECH == 0 {
        return Err(Finding::Encrypted);
    }
    match context::named(&NAMES, key, stored.original().1) {
        // A connection may name what was pinned when it began.
        Some((expires_ns, pin)) if expires_ns > stored.connected_ns() => Ok(pin),
        _ => Err(Finding::NotPinned),
    }
}

#[inline(always)]
fn verified(packet: Packet, stored: Stored, pin: u64) -> i32 {
    stored.set_kind(kind::VERIFIED);
    let _ = HELD.remove(&packet.cookie());
    if pin != 0 {
        stored.set_pin(pin);
        add(&LIVE, &pin, 1);
    }
    PASS
}

/// The rest of the hello may come with the next write; user space waits for it, but not for ever.
#[inline(always)]
fn hold(packet: Packet, stored: Stored, key: &NameKey) -> i32 {
    // Where the ring is full the next attempt tells it.
    if stored.options() & option::TOLD == 0 && emit::hello(packet, stored, Finding::Incomplete, key)
    {
        stored.set_told();
    }
    REFUSE
}

/// Where the ring is full the next attempt is judged again, and told.
#[inline(always)]
fn refuse(packet: Packet, stored: Stored, finding: Finding, key: &NameKey) -> i32 {
    if emit::hello(packet, stored, finding, key) {
        stored.set_kind(kind::REFUSED);
    }
    REFUSE
}
