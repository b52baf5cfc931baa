//! What arrives at a connection whose verdict is provisional: the server's answer makes it final.
//!
//! TLS 1.2 encrypts what stands behind the client's ChangeCipherSpec, and there it can look like
//! anything, a hello included; in TLS 1.3 a second hello stands there in the clear. Only what the server
//! says tells the two apart. Every packet of a sandbox comes by here, so all others are let through by
//! one look at their socket.

use egress_common::{flow::kind, hello::Bytes};

use crate::{
    context::{IPPROTO_TCP, Packet, SocketRecord, usage},
    maps::UNVERIFIED,
};

/// Never refuses: what is not understood leaves the connection provisional.
#[inline(always)]
pub fn arrive(packet: &Packet) {
    let Some(socket) = packet.socket() else { return };
    if socket.kind() == kind::PROVISIONAL && answers(packet, socket).unwrap_or(false) {
        socket.set_kind(kind::VERIFIED);
        socket.owner().remove(&UNVERIFIED, &packet.cookie(), usage::unverified);
    }
}

/// Reads on in what the server says. Whether it has answered.
#[inline(always)]
fn answers(packet: &Packet, socket: SocketRecord) -> Option<bool> {
    let [first] = packet.load::<1>(0)?;
    let transport = match first {
        0x40..0x50 => {
            let [protocol] = packet.load::<1>(9)?;
            (u32::from(protocol) == IPPROTO_TCP).then_some(u32::from(first & 0xf) * 4)?
        }
        0x60..0x70 => {
            let [protocol] = packet.load::<1>(6)?;
            (u32::from(protocol) == IPPROTO_TCP).then_some(40)?
        }
        _ => return None,
    };
    let [sequence @ .., _, _, _, _, offset] = packet.load::<9>(transport + 4)?;
    let start = transport + u32::from(offset >> 4) * 4;
    let length = packet.length().checked_sub(start)?;
    if length == 0 {
        return None;
    }
    let mut answer = socket.answer();
    let answered = answer.read(packet, start, length, u32::from_be_bytes(sequence));
    socket.set_answer(&answer);
    Some(answered)
}
