//! Direct connections: nothing leaves but the TLS hello of a name that the address is pinned for, and
//! everything once the server has answered it.
//!
//! Until then the verdict is provisional: a server may ask for a second hello (RFC 8446 section 4.1.4),
//! and many act on the name in that one. So every plaintext hello is judged like the first. What stands
//! around them is passed by its record headers; neither a ChangeCipherSpec nor early data ends the
//! waiting, only the server's answer (`answer`).
//!
//! A segment that is dropped here fails in the sender's own transmit call, before TCP counts it as
//! sent: it stays in the write queue, and later writes join it. So TCP is the buffer in which a hello
//! in pieces becomes whole, and no byte leaves before the verdict (6.1, 6.18).

use core::mem::MaybeUninit;

use egress_common::{
    answer::Answer,
    flow::{kind, option},
    hello::{Bytes, Finding, MAX_HELLOS, NAME_BYTES, Walk},
    pin::NameKey,
    records::Records,
};

use crate::{
    context::{self, IPPROTO_TCP, PASS, Packet, REFUSE, SocketRecord, add},
    emit,
    maps::{LIVE, NAMES, UNVERIFIED},
    opaque,
    packet::Headers,
    payload,
    segment::{DROP, GO_ON, PASSES, SYN, Segment, segment},
};

/// The connected address and port, by TCP without anything between the headers: on every packet,
/// since options can be set after the verdict.
#[inline(always)]
pub fn is_to_original(socket: SocketRecord, headers: &Headers) -> bool {
    let (address, port) = socket.original();
    headers.protocol == IPPROTO_TCP
        && headers.destination == address
        && headers.destination_port == port
}

/// What of a connection's packets carries no payload passes; what carries some is not decided here.
/// `offset_and_flags` is the fourth word of the TCP header.
#[inline(always)]
pub fn fast_path(
    packet: &Packet,
    socket: SocketRecord,
    sequence: u32,
    offset_and_flags: u32,
    transport: u32,
) -> Option<i32> {
    let word = u32::from_be(offset_and_flags);
    if packet.length() != transport + (word >> 28) * 4 {
        return None;
    }
    if word >> 16 & u32::from(SYN) != 0 {
        socket.set_next(u32::from_be(sequence).wrapping_add(1));
    }
    Some(PASS)
}

#[inline(always)]
pub fn on_egress(packet: Packet, socket: SocketRecord, headers: &Headers) -> i32 {
    let segment = segment(packet, socket, headers.transport);
    match segment.what() {
        GO_ON => {}
        PASSES => return PASS,
        DROP => return REFUSE,
        finding => return refuse_unnamed(packet, socket, finding),
    }
    if socket.options() & option::REPORTED != 0
        && Packet::can_ask()
        && payload::let_out(packet, socket, segment) == PASS
    {
        return PASS;
    }
    let finding = decide(packet, socket, segment);
    match finding {
        PASSES => PASS,
        DROP => REFUSE,
        finding if Packet::can_ask() => payload::ask(packet, socket, segment, finding),
        finding => refuse_unnamed(packet, socket, finding),
    }
}

/// Judges a segment: `PASSES`, `DROP`, or the number of a finding.
#[inline(always)]
fn decide(packet: Packet, socket: SocketRecord, segment: Segment) -> u32 {
    let examined = examine(packet, socket, segment);
    match (examined & WHAT) as u32 {
        JUDGE => {
            let offset = |shift: u32| (examined >> shift & OFFSET) as u32;
            judge(packet, socket, offset(HELLO), offset(LEFT), (examined >> BEHIND & 0xff) as u32)
        }
        what => what,
    }
}

// What `examine` comes to: in one word, as the stacks of a hook and of the functions that it calls add up to
// 512 bytes.
const WHAT: u64 = 0x3ff;
const JUDGE: u32 = 0x103;
// Of JUDGE: the finding in what stands behind the hello, 0 without one; where the hello begins; how much
// there is from there on. No packet has a MiB.
const BEHIND: u32 = 10;
const HELLO: u32 = 20;
const LEFT: u32 = 40;
const OFFSET: u64 = (1 << 20) - 1;

/// Looks for what is to be judged in a segment. A function of its own to the kernel.
#[inline(never)]
fn examine(packet: Packet, socket: SocketRecord, segment: Segment) -> u64 {
    // No early return with `?`: see `decide::sandbox`.
    match inspect(&packet, socket, segment) {
        Ok(what) => what,
        Err(finding) => finding as u64,
    }
}

#[inline(always)]
fn inspect(packet: &Packet, socket: SocketRecord, segment: Segment) -> Result<u64, Finding> {
    // Something has left, or what it belongs to is user space's to judge.
    if socket.options() & option::FOLLOWED != 0 {
        return Err(Finding::Unreadable);
    }
    let (start, length) = (segment.start(), segment.length());
    let Some((sequence, acknowledged)) = segment.numbers(packet) else {
        return Ok(u64::from(DROP));
    };
    let end = start + length;
    let is_first = socket.kind() == kind::DIRECT;
    if socket.kind() == kind::LINE || is_first && opaque::begins(packet, socket, start) {
        let again = socket.next().wrapping_sub(sequence);
        socket.set_after(sequence.wrapping_add(length), 0);
        let judged = opaque::judge(*packet, socket, start + again, end, segment.ends());
        return Ok(u64::from(judged));
    }
    let mut hello = start;
    if is_first {
        // The server has said nothing to a hello yet.
        socket.set_answer(&Answer::at(acknowledged));
    } else {
        // The rest of a record that began earlier.
        let rest = socket.record().wrapping_sub(sequence);
        if rest >= length {
            socket.set_next(sequence.wrapping_add(length));
            return Ok(u64::from(PASSES));
        }
        let mut records = Records::new(start + rest, end);
        packet.records(&mut records);
        match records.finish()? {
            (Some(at), _) => hello = at,
            (None, next) => {
                socket.set_record(sequence.wrapping_add(next - start));
                socket.set_next(sequence.wrapping_add(length));
                return Ok(u64::from(PASSES));
            }
        }
        if socket.hellos() >= MAX_HELLOS {
            return Err(Finding::Malformed);
        }
    }
    let left = end - hello;
    let (mut record, mut behind) = (sequence.wrapping_add(length), 0);
    // What is no whole record is none to `judge` either.
    if left > 5 {
        let Some([_, _, _, high, low]) = packet.load::<5>(hello) else {
            return Ok(u64::from(DROP));
        };
        let next = hello + 5 + (u32::from(high) << 8 | u32::from(low));
        record = sequence.wrapping_add(next - start);
        if next < end {
            let mut records = Records::new(next, end);
            packet.records(&mut records);
            match records.finish() {
                Ok((None, next)) => record = sequence.wrapping_add(next - start),
                // Two hellos at once are the proxy's to read.
                Ok((Some(_), _)) => behind = Finding::Unreadable as u64,
                Err(finding) => behind = finding as u64,
            }
        }
    }
    socket.set_after(sequence.wrapping_add(length), record);
    Ok(u64::from(JUDGE) | behind << BEHIND | u64::from(hello) << HELLO | u64::from(left) << LEFT)
}

/// Judges the hello of a segment: `PASSES`, `DROP`, or the number of a finding that user space is to judge. A function of
/// its own to the kernel: its stack holds a name.
#[inline(never)]
fn judge(packet: Packet, socket: SocketRecord, hello: u32, left: u32, behind: u32) -> u32 {
    let mut key = MaybeUninit::uninit();
    let key = context::empty_key(&mut key, socket.owner().sandbox, socket.original().0);
    // The hello's own finding comes first: what is refused by its name is refused for good.
    match read(&packet, socket, hello, left, key) {
        Ok(_) if behind != 0 => undecided(packet, socket, behind, key),
        Ok(pin) => named(packet, socket, pin),
        Err(finding) => undecided(packet, socket, finding as u32, key),
    }
}

/// What is not let out here. A kernel without loops has it told with its name, and refused.
#[inline(always)]
fn undecided(packet: Packet, socket: SocketRecord, finding: u32, key: &NameKey) -> u32 {
    if Packet::can_ask() {
        return finding;
    }
    if finding == Finding::Incomplete as u32 {
        await_rest(packet, socket, finding, key);
    } else {
        refuse(packet, socket, finding, key);
    }
    DROP
}

/// The pin of the hello at this offset; 0 where it names nobody and that may pass.
#[inline(always)]
fn read(
    packet: &Packet,
    socket: SocketRecord,
    hello: u32,
    left: u32,
    key: &mut NameKey,
) -> Result<u64, Finding> {
    let options = socket.options();
    // Where another protocol may pass, a hello that names nobody may.
    let may_be_nameless = options & option::UNREAD != 0;
    let mut walk = match Walk::begin(packet, hello, left) {
        Ok(walk) => walk,
        Err(Finding::NoName) if may_be_nameless => return Ok(0),
        Err(finding) => return Err(finding),
    };
    packet.walk(&mut walk);
    let found = walk.finish(packet, &mut key.name);
    let is_hidden = walk.is_encrypted() && options & option::ECH == 0;
    let said = match found {
        Ok(said) => said,
        Err(Finding::NoName) if may_be_nameless && !is_hidden => return Ok(0),
        Err(finding) => return Err(finding),
    };
    key.length = said.length;
    if is_hidden {
        return Err(Finding::Encrypted);
    }
    match context::named(&NAMES, key, socket.original().1) {
        // A connection may name what was pinned when it began.
        Some((expires_ns, pin)) if expires_ns > socket.connected_ns() => Ok(pin),
        _ => Err(Finding::NotPinned),
    }
}

/// A hello leaves. Where its connection has named something before, that counts no more.
#[inline(always)]
fn named(packet: Packet, socket: SocketRecord, pin: u64) -> u32 {
    let hellos = socket.hellos() + 1;
    if socket.options() & option::REPORTED != 0 {
        // Whoever waits for the rest of this hello waits no more.
        context::note_hellos(&UNVERIFIED, &packet.cookie(), hellos);
    }
    socket.set_hellos(hellos);
    socket.let_out();
    switch_pin(socket, pin);
    if hellos == 1 {
        // Last: from now on packets that arrive are read.
        socket.set_kind(kind::PROVISIONAL);
    }
    PASSES
}

/// The connection counts for this name from here on. What names nobody (0) leaves it as it was: counted for its
/// address, or for what it has named before.
#[inline(always)]
pub fn switch_pin(socket: SocketRecord, pin: u64) {
    let before = socket.pin();
    if pin == before || pin == 0 {
        return;
    }
    if before != 0 {
        add(&LIVE, &before, u64::MAX);
    }
    add(&LIVE, &pin, 1);
    socket.set_pin(pin);
}

/// A packet to the machine itself ([`Finding::NotPinned`]), or to another place than the connection's, or of
/// another form ([`Finding::Diverted`]): the machine itself changes what leaves (NAT of its own output,
/// IPsec), or the program has set an option. Its proxy's packets are changed in the same way and nobody's
/// to judge.
#[inline(always)]
pub fn refuse_diverted(packet: Packet, socket: SocketRecord, finding: Finding) -> i32 {
    if socket.kind() == kind::REFUSED {
        return REFUSE;
    }
    refuse_unnamed(packet, socket, finding as u32)
}

/// A function of its own to the kernel: its stack holds a key.
#[inline(never)]
pub fn refuse_unnamed(packet: Packet, socket: SocketRecord, finding: u32) -> i32 {
    let key = NameKey {
        sandbox: 0,
        address: socket.original().0,
        length: 0,
        reserved: 0,
        name: [0; NAME_BYTES / 8],
    };
    if finding == Finding::Incomplete as u32 || finding == Finding::Undecided as u32 {
        await_rest(packet, socket, finding, &key)
    } else {
        refuse(packet, socket, finding, &key)
    }
}

/// The rest may come with the next write; user space waits for it, but not for ever.
#[inline(always)]
fn await_rest(packet: Packet, socket: SocketRecord, finding: u32, key: &NameKey) -> i32 {
    // Where the ring is full the next attempt tells it.
    if socket.options() & option::REPORTED == 0 && emit::hello(packet, socket, finding, key) {
        socket.set_reported();
    }
    REFUSE
}

/// Where the ring is full the next attempt is judged again, and told.
#[inline(always)]
fn refuse(packet: Packet, socket: SocketRecord, finding: u32, key: &NameKey) -> i32 {
    if emit::hello(packet, socket, finding, key) {
        socket.set_kind(kind::REFUSED);
    }
    REFUSE
}
