//! Direct connections of other protocols than TLS: their first line is followed as the proxy follows it,
//! and what would make a request of it does not leave.
//!
//! What the server says decides nothing here: it may speak first, and what its client says then is judged
//! all the same. Behind the first line nothing is looked for, on both ways: an HTTP server has refused it.

use egress_common::{
    first_line::Begun,
    flow::{kind, option},
    hello::{Bytes, Finding},
};

use crate::{
    context::{self, PASS, Packet, REFUSE, SocketRecord, usage},
    direct,
    maps::UNVERIFIED,
};

/// Whether a first payload is not TLS, where that may pass. Too little to tell is TLS.
#[inline(always)]
pub fn begins(packet: &Packet, socket: SocketRecord, at: u32) -> bool {
    socket.options() & option::UNREAD != 0
        && match packet.load::<2>(at) {
            Some(two) => two != [22, 3],
            None => packet.load::<1>(at) != Some([22]),
        }
}

/// Judges a segment whose `length` bytes from `at` on have not left before; `ends`: nothing comes behind
/// it. A function of its own to the kernel.
#[inline(never)]
pub fn judge(packet: Packet, socket: SocketRecord, at: u32, length: u32, ends: u32) -> i32 {
    // Without memory nothing leaves; TCP tries again.
    let Some(line) = packet.line() else { return REFUSE };
    let is_first = socket.kind() == kind::DIRECT;
    if is_first {
        line.reset(socket.original().1);
    }
    if !packet.follow(line, at, at + length) {
        return direct::refuse_unnamed(packet, socket, Finding::Unreadable as u32);
    }
    match line.after(ends != 0).begun(is_first) {
        Begun::Opaque => verified(packet, socket),
        Begun::Passes => {
            line.let_out();
            let_out(packet, socket);
            socket.set_kind(kind::FOLLOWED);
            PASS
        }
        // What this cannot tell alone: user space waits for more, or ends it, and sends the next one to the
        // proxy. Here it is to judge a copy of what is held.
        Begun::Held => direct::refuse_unnamed(packet, socket, Finding::Undecided as u32),
        Begun::Request => direct::refuse_unnamed(packet, socket, Finding::Request as u32),
    }
}

/// All passes from here on.
#[inline(always)]
pub fn verified(packet: Packet, socket: SocketRecord) -> i32 {
    socket.set_kind(kind::VERIFIED);
    socket.owner().remove(&UNVERIFIED, &packet.cookie(), usage::unverified);
    PASS
}

/// Whoever waits for the rest of what was held waits no more.
#[inline(always)]
fn let_out(packet: Packet, socket: SocketRecord) {
    socket.let_out();
    if socket.options() & option::REPORTED != 0 {
        let parts = socket.hellos() + 1;
        context::note_hellos(&UNVERIFIED, &packet.cookie(), parts);
        socket.set_hellos(parts);
    }
}
