//! Direct connections of other protocols than TLS: their first line is followed as the proxy follows it,
//! and what would make a request of it does not leave.
//!
//! What the server says decides nothing here: it may speak first, and what its client says then is judged
//! all the same. Behind the first line nothing is looked for, on both ways: an HTTP server has refused it.

use egress_common::{
    event::LINE,
    first_line::Begun,
    flow::{kind, option},
    hello::{Bytes, Finding},
};

use crate::{
    context::{self, Packet, SocketRecord, follows_lines, usage},
    maps::UNVERIFIED,
    segment::{DROP, PASSES},
};

/// Whether a first payload is not TLS, where that may pass, and its line is followed here. Too little to tell is TLS.
#[inline(always)]
pub fn begins(packet: &Packet, socket: SocketRecord, at: u32) -> bool {
    follows_lines()
        && socket.options() & option::UNREAD != 0
        && match packet.load::<2>(at) {
            Some(two) => two != [22, 3],
            None => packet.load::<1>(at) != Some([22]),
        }
}

/// Judges a segment whose bytes from `at` to `end` have not left before; `ends`: nothing comes behind
/// it. Gives the number of a finding, [`PASSES`] or [`DROP`]. A function of its own to the kernel.
///
/// Of a first payload user space judges a copy, where it is too little to tell (`Undecided`) or may be a request: there
/// nothing has left. What of a line has begun to leave is judged here alone.
#[inline(never)]
pub fn judge(packet: Packet, socket: SocketRecord, at: u32, end: u32, ends: bool) -> u32 {
    // Without memory nothing leaves; TCP tries again.
    let Some(line) = packet.line() else { return DROP };
    let is_first = socket.kind() == kind::DIRECT;
    let is_asked = socket.options() & option::REPORTED != 0 && Packet::can_ask();
    if is_first {
        line.reset(socket.original().1);
    }
    if !packet.follow(line, at, end) {
        return Finding::Unreadable as u32;
    }
    match line.after(ends).begun(is_first) {
        Begun::Opaque => verified(packet, socket),
        // User space has a part of it, and is to have the rest.
        Begun::Passes if is_first && is_asked => Finding::Undecided as u32,
        Begun::Passes => {
            line.let_out();
            let_out(packet, socket, is_first);
            socket.set_kind(kind::LINE);
            PASSES
        }
        Begun::Held => Finding::Undecided as u32,
        Begun::Request => Finding::Request as u32,
    }
}

/// All passes from here on.
#[inline(always)]
pub fn verified(packet: Packet, socket: SocketRecord) -> u32 {
    socket.set_kind(kind::VERIFIED);
    socket.owner().remove(&UNVERIFIED, &packet.cookie(), usage::unverified);
    PASSES
}

/// Whoever waits for the rest of what was held waits no more; who ends the filter waits for the rest of the line.
#[inline(always)]
fn let_out(packet: Packet, socket: SocketRecord, is_first: bool) {
    socket.let_out();
    let is_reported = socket.options() & option::REPORTED != 0;
    if is_first || is_reported {
        let parts = socket.hellos() + u32::from(is_reported);
        context::note_hellos(&UNVERIFIED, &packet.cookie(), parts | LINE);
        socket.set_hellos(parts);
    }
}
