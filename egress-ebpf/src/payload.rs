//! What the packet hook does not judge alone: it is held, copied to user space, which judges it by the proxy's parsers,
//! and leaves once user space has approved it, byte for byte. What leaves is compared with what was judged, so that
//! it does not matter how TCP cuts it anew.
//!
//! What is dropped stays in the socket's write queue (`direct`), and TCP tries again by itself, or when user space
//! has it push.

use egress_common::{
    answer::Answer,
    event::Counter,
    flow::{kind, option},
    payload::{Approval, HELD_BYTES, then},
};

use crate::{
    context::{self, PASS, Packet, REFUSE, SocketRecord, lookup, usage},
    direct::{refuse_unnamed, switch_pin},
    maps::{APPROVALS, UNVERIFIED},
    segment::Segment,
};

/// Lets a segment out that is approved. False where none of it has left.
///
/// A function of its own to the kernel: nearly no socket is asked for.
#[inline(never)]
pub fn let_out(packet: Packet, socket: SocketRecord, segment: Segment) -> i32 {
    let Some(approval) = lookup(&APPROVALS, &packet.cookie()) else { return REFUSE };
    // Of an earlier connection of the socket.
    if approval.connected_ns != socket.connected_ns() {
        return REFUSE;
    }
    let Some((sequence, acknowledged)) = segment.numbers(&packet) else { return REFUSE };
    let next = socket.next();
    let behind = next.wrapping_sub(approval.from);
    if behind >= approval.length {
        return REFUSE;
    }
    let approved = approval.length - behind;
    let again = next.wrapping_sub(sequence);
    let fresh = segment.length().wrapping_sub(again);
    if again > segment.length() || fresh > approved && approval.then != then::PASS {
        return REFUSE;
    }
    let compared = if fresh < approved { fresh } else { approved };
    if !packet.is_approved(next, segment.start() + again, compared) {
        return REFUSE;
    }
    socket.set_next(next.wrapping_add(fresh));
    switch_pin(socket, approval.pin);
    if compared < approved {
        socket.add_options(option::LEFT | option::FOLLOWED);
        return PASS;
    }
    finish(packet, socket, acknowledged, &approval);
    PASS
}

/// All that was approved has left.
#[inline(always)]
fn finish(packet: Packet, socket: SocketRecord, acknowledged: u32, approval: &Approval) {
    match approval.then {
        then::HELLO => {
            context::note_hellos(&UNVERIFIED, &packet.cookie(), approval.hellos);
            socket.set_record(approval.record);
            if socket.kind() == kind::DIRECT {
                // The server has said nothing to a hello yet.
                socket.set_answer(&Answer::at(acknowledged));
            }
            socket.set_hellos(approval.hellos);
            socket.remove_options(option::FOLLOWED);
            // Last: from now on packets that arrive are read.
            socket.set_kind(kind::PROVISIONAL);
        }
        then::PASS => {
            socket.set_kind(kind::VERIFIED);
            socket.owner().remove(&UNVERIFIED, &packet.cookie(), usage::unverified);
        }
        _ => socket.add_options(option::LEFT | option::FOLLOWED),
    }
}

/// Holds a segment, and tells user space of what it does not have a copy of yet. Where the ring is full the next
/// attempt tells it.
#[inline(never)]
pub fn ask(packet: Packet, socket: SocketRecord, segment: Segment, finding: u32) -> i32 {
    // Of a line that has begun to leave user space does not have the beginning.
    if socket.kind() == kind::LINE {
        return refuse_unnamed(packet, socket, finding);
    }
    let Some((sequence, _)) = segment.numbers(&packet) else { return REFUSE };
    let next = socket.next();
    let told = if socket.options() & option::REPORTED != 0 { socket.told() } else { next };
    // What has left since then is not to be told.
    let from = if told.wrapping_sub(next) < 1 << 31 { told } else { next };
    let end = sequence.wrapping_add(segment.length());
    let is_end = segment.ends();
    let mut fresh = end.wrapping_sub(from);
    if fresh >= 1 << 31 || fresh == 0 && !is_end {
        return REFUSE;
    }
    let room = HELD_BYTES.saturating_sub(from.wrapping_sub(next));
    let cut = fresh > room;
    if cut {
        fresh = room;
    }
    if cut && fresh == 0 {
        return REFUSE;
    }
    let offset = segment.start() + from.wrapping_sub(sequence);
    let now = packet.tell(socket, from, offset, fresh, is_end && !cut, finding as u8);
    socket.set_told(now);
    if now == from {
        socket.owner().count(Counter::PayloadsUntold);
    }
    REFUSE
}
