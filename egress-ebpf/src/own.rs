//! Loopback that is the sandbox's own: its programs reach the sockets that they have made, known by the socket and
//! not by its port, and nobody else's.
//!
//! A port can change hands, and be shared (SO_REUSEPORT), so what the connect hook has found is only the beginning. Each
//! packet of a client is judged by the socket that it would reach, until that is a connection of the sandbox: a listener
//! outside may see a SYN, but the acknowledgement that would make a connection of it never comes. No payload goes with
//! the SYN.

use egress_common::{
    Address,
    flow::{SocketOwner, SocketState, kind, owner},
    hello::Bytes,
    sandbox::{Sandbox, flags},
};

use crate::{
    context::{self, At, Ends, IPPROTO_TCP, IPPROTO_UDP, Packet, Receiver, SockAddr, SocketRecord},
    decide,
    maps::SANDBOXES,
    packet::{Headers, LOOPBACK_IFINDEX},
};

/// Flag of a TCP header (RFC 9293 section 3.1).
const SYN: u8 = 0x02;

/// What a program finds on loopback.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Finds {
    /// A listener of its sandbox.
    Own,
    /// Nobody listens.
    Nobody,
    /// Somebody else's, or this is not loopback, or not to be asked.
    Other,
}

/// Who would answer a TCP connection to this address.
#[inline(always)]
pub fn listener(call: &SockAddr, sandbox: &Sandbox, address: Address) -> Finds {
    if sandbox.flags & flags::OWN_LOOPBACK == 0 || !address.is_loopback() {
        return Finds::Other;
    }
    match find(call.again(), sandbox.id, &address, call.port()) {
        OWN => Finds::Own,
        NOBODY => Finds::Nobody,
        _ => Finds::Other,
    }
}

const OWN: u32 = 1;
const NOBODY: u32 = 2;

/// A function of its own to the kernel: what it goes through is over for the verifier when it returns, where all that
/// comes behind would be gone through again for each way to here.
#[inline(never)]
fn find(call: SockAddr, sandbox: u64, address: &Address, port: u16) -> u32 {
    if decide::is_denied(sandbox, address) {
        return 0;
    }
    let receiver = call.tcp_receiver(*address, port);
    match receiver.at {
        At::Nothing => NOBODY,
        _ if is_of(&receiver, sandbox) => OWN,
        _ => 0,
    }
}

/// Whether a datagram to this address would reach a socket of the sandbox's.
#[inline(always)]
pub fn takes_datagram(call: &SockAddr, sandbox: &Sandbox, address: Address) -> bool {
    sandbox.flags & flags::OWN_LOOPBACK != 0
        && address.is_loopback()
        && !decide::is_denied(sandbox.id, &address)
        && is_only_ones(&call.udp_receiver(address, call.port()), sandbox.id)
}

/// What becomes of a packet, as `on_egress` gives it.
pub const PASSES: i32 = 1;
/// It is dropped, and that is no news: the kernel sends it again in another form.
pub const DROPPED: i32 = 0;
/// It is none of these.
pub const NOT_OWN: i32 = 2;

/// Judges what goes to no listener of egress's: it passes between sockets of one sandbox, or in answer to who has
/// connected from outside.
///
/// A function of its own to the kernel, as in `packet`.
#[inline(never)]
pub fn on_egress(packet: Packet, socket: Option<SocketRecord>, headers: &Headers) -> i32 {
    let mut kind = kind::LISTENER;
    if let Some(socket) = socket {
        kind = socket.kind();
    }
    let owner = packet.owner();
    if owner.sandbox == 0 {
        return NOT_OWN;
    }
    let flags = context::flags(&SANDBOXES, owner.sandbox);
    let own = flags & flags::OWN_LOOPBACK != 0 && packet.interface() == LOOPBACK_IFINDEX;
    let ends = Ends {
        source: headers.source,
        destination: headers.destination,
        source_port: headers.source_port,
        destination_port: headers.destination_port,
    };
    if headers.protocol == IPPROTO_UDP {
        let mut sends = matches!(kind, kind::DATAGRAM | kind::DNS_UDP);
        if socket.is_none() {
            sends = true;
        }
        let passes = sends
            && own
            && ends.destination.is_loopback()
            && !decide::is_denied(owner.sandbox, &ends.destination)
            && is_only_ones(&packet.udp_receiver(&ends), owner.sandbox);
        return if passes { PASSES } else { NOT_OWN };
    }
    if headers.protocol != IPPROTO_TCP {
        return NOT_OWN;
    }
    match (kind, socket) {
        (kind::OWN, Some(socket)) if own => asks(packet, socket, headers, &ends, owner.sandbox),
        (kind::LISTENER, _) if owner.options & owner::LISTENS != 0 => {
            let passes = own && answers(packet, &ends, &owner)
                || flags & flags::INBOUND != 0
                    && !decide::is_denied(owner.sandbox, &ends.destination);
            if passes { PASSES } else { NOT_OWN }
        }
        _ => NOT_OWN,
    }
}

/// A client's packet, before its connection is known to be accepted.
#[inline(always)]
fn asks(packet: Packet, socket: SocketRecord, headers: &Headers, ends: &Ends, sandbox: u64) -> i32 {
    if (ends.destination, ends.destination_port) != socket.original() {
        return NOT_OWN;
    }
    let Some([offset, bits]) = packet.load::<2>(headers.transport + 12) else { return NOT_OWN };
    let is_syn = bits & SYN != 0;
    if is_syn && packet.length() != headers.transport + u32::from(offset >> 4) * 4 {
        // Fast Open: no payload before it is known who gets it.
        return DROPPED;
    }
    let receiver = packet.tcp_receiver(ends);
    let passes = match receiver.at {
        // The kernel answers with a reset; behind a connection that has ended, a SYN begins another one, whose
        // listener is looked at when it is to be acknowledged.
        At::Nothing => true,
        At::Socket if is_syn => is_of(&receiver, sandbox),
        // A SYN cookie's acknowledgement, which any listener of the port may get.
        At::Socket => is_of(&receiver, sandbox) && receiver.owner.options & owner::REUSES_PORT == 0,
        At::Connection if is_of(&receiver, sandbox) => {
            // What is about to be a connection has its listener's owner, and is asked for once more.
            if !is_syn && receiver.is_whole {
                socket.set_kind(kind::OWN_VERIFIED);
            }
            true
        }
        At::Connection => false,
    };
    if passes { PASSES } else { NOT_OWN }
}

/// What a listener or an accepted connection sends on loopback.
#[inline(always)]
fn answers(packet: Packet, ends: &Ends, owner: &SocketOwner) -> bool {
    let receiver = packet.tcp_receiver(ends);
    if receiver.at != At::Connection || !is_of(&receiver, owner.sandbox) {
        return false;
    }
    packet.remember(&SocketState {
        sandbox: owner.sandbox,
        slot: owner.slot,
        kind: kind::OWN_VERIFIED,
        original: ends.destination,
        original_port: ends.destination_port,
        ..SocketState::default()
    });
    true
}

#[inline(always)]
fn is_of(receiver: &Receiver, sandbox: u64) -> bool {
    receiver.owner.sandbox == sandbox && sandbox != 0
}

/// The same of a datagram socket, whose port nobody may share: a datagram is read by whoever has the port when it
/// arrives.
#[inline(always)]
fn is_only_ones(receiver: &Receiver, sandbox: u64) -> bool {
    is_of(receiver, sandbox)
        && receiver.owner.options & (owner::REUSES_ADDRESS | owner::REUSES_PORT) == 0
}
