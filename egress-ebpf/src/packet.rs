//! The backstop: a packet leaves only if a hook approved its socket, and only to the very listener
//! that the socket was redirected to: protocol, address, port and interface.
//!
//! This is what holds when an address hook was not asked (UDP-Lite, source routes, raw sends, a
//! device bound after the redirection: each tried on 6.18 and seen to pass the address hooks).

use egress_common::{
    Address,
    event::{Counter, Hook},
    flow::{FlowKey, SocketState, kind, option},
    hello::{Bytes, Finding},
};

use crate::{
    context::{
        IPPROTO_TCP, IPPROTO_UDP, Owner, PASS, Packet, Process, REFUSE, SocketRecord, boot_ns,
    },
    direct, emit, held,
    maps::ASKERS,
    own,
};

/// `BPF_EXIST` of linux/bpf.h.
const EXIST: u64 = 2;

/// `lo` has this index in every network namespace.
pub const LOOPBACK_IFINDEX: u32 = 1;

// The IPv6 extension header and its option for lengths over 64 KiB (RFC 2675).
const HOP_BY_HOP: u8 = 0;
const JUMBO: u8 = 0xc2;

/// What every packet is judged by.
#[derive(Default)]
pub struct Headers {
    /// IPPROTO_TCP, ...
    pub protocol: u32,
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
    /// Where the transport's header begins.
    pub transport: u32,
}

#[inline(always)]
pub fn on_egress(packet: Packet) -> i32 {
    let socket = packet.socket();
    if let Some(socket) = socket
        && let Some(verdict) = fast_path(&packet, socket)
    {
        return verdict;
    }
    slow_path(packet, socket)
}

/// What nearly every packet is: TCP without anything between its headers, to where its socket may
/// send. None where this does not decide. Read where it lies, since each call of a helper costs as much as
/// all of this.
#[inline(always)]
fn fast_path(packet: &Packet, socket: SocketRecord) -> Option<i32> {
    let v4 = packet.words::<9>()?;
    match u32::from_be(v4[0]) >> 24 {
        0x45 => {
            // Not a fragment, and TCP.
            if u32::from_be(v4[1]) & 0x3fff != 0 || u32::from_be(v4[2]) >> 16 & 0xff != IPPROTO_TCP
            {
                return None;
            }
            let destination = Address::from_v4_word(v4[4]);
            passes(packet, socket, destination, [v4[5], v4[6], v4[8]], 20)
        }
        0x60..0x70 => {
            let v6 = packet.words::<14>()?;
            if u32::from_be(v6[1]) >> 8 & 0xff != IPPROTO_TCP {
                return None;
            }
            let destination = Address { words: [v6[6], v6[7], v6[8], v6[9]] };
            passes(packet, socket, destination, [v6[10], v6[11], v6[13]], 40)
        }
        _ => None,
    }
}

/// `tcp`: the ports, the sequence number, and the word with length and flags.
#[inline(always)]
fn passes(
    packet: &Packet,
    socket: SocketRecord,
    destination: Address,
    tcp: [u32; 3],
    transport: u32,
) -> Option<i32> {
    let port = u32::from_be(tcp[0]) as u16;
    if matches!(socket.kind(), kind::TCP | kind::DNS_TCP) {
        if (destination, port) != socket.listener() || packet.interface() != LOOPBACK_IFINDEX {
            return None;
        }
        if is_syn(tcp[2]) && socket.options() & option::HOLD != 0 {
            return Some(held::on_syn(*packet, socket, tcp[2], transport));
        }
        return Some(PASS);
    }
    if (destination, port) != socket.original() {
        return None;
    }
    match socket.kind() {
        kind::VERIFIED => Some(PASS),
        kind::OWN_VERIFIED if packet.interface() == LOOPBACK_IFINDEX => Some(PASS),
        kind::DIRECT | kind::PROVISIONAL if packet.interface() != LOOPBACK_IFINDEX => {
            direct::fast_path(packet, socket, tcp[1], tcp[2], transport)
        }
        _ => None,
    }
}

/// Whether the word with length and flags is that of a connection's first packet.
#[inline(always)]
fn is_syn(flags: u32) -> bool {
    u32::from_be(flags) >> 16 & 0x12 == 0x02
}

#[inline(always)]
fn slow_path(packet: Packet, socket: Option<SocketRecord>) -> i32 {
    let mut headers = Headers::default();
    read(packet, &mut headers);
    if let Some(socket) = socket
        && is_direct(socket.kind())
    {
        let there = direct::is_to_original(socket, &headers);
        match socket.kind() {
            kind::VERIFIED if there => return PASS,
            kind::VERIFIED => {}
            // To the machine itself, which has the address since the connect, or by a route that user space
            // has not heard of yet. What is let out for its name never goes there.
            _ if there && packet.interface() == LOOPBACK_IFINDEX => {
                return direct::refuse_diverted(packet, socket, Finding::NotPinned);
            }
            _ if there => return direct::on_egress(packet, socket, &headers),
            _ => return direct::refuse_diverted(packet, socket, Finding::Diverted),
        }
    }
    if !is_question(socket, &headers) {
        match own::on_egress(packet, socket, &headers) {
            own::PASSES => return PASS,
            own::DROPPED => return REFUSE,
            _ => {}
        }
    }
    to_listener(packet, socket, &headers)
}

/// What goes to the DNS listener is nobody's own.
#[inline(always)]
fn is_question(socket: Option<SocketRecord>, headers: &Headers) -> bool {
    match socket {
        Some(socket) => {
            socket.kind() == kind::DNS_UDP
                && (headers.destination, headers.destination_port) == socket.listener()
        }
        None => false,
    }
}

/// Whether the connection goes to its destination itself.
#[inline(always)]
pub fn is_direct(kind: u16) -> bool {
    matches!(kind, kind::DIRECT | kind::PROVISIONAL | kind::LINE | kind::VERIFIED | kind::REFUSED)
}

/// A function of its own to the kernel: its records would not fit on the stack with a name.
#[inline(never)]
fn to_listener(packet: Packet, socket: Option<SocketRecord>, headers: &Headers) -> i32 {
    // Without an `Option`: see `decide::sandbox`. What is zero belongs to nobody and approves nothing.
    let mut state = SocketState::default();
    if let Some(socket) = socket {
        state = socket.state();
    }
    if approved(&packet, &state, headers) {
        if state.kind == kind::DNS_UDP {
            return if note_asker(&packet, &state, headers) { PASS } else { REFUSE };
        }
        return PASS;
    }
    let owner = Owner::of_socket(&state);
    owner.count(Counter::PacketsDropped);
    let (mut hook, mut process) = (Hook::Packet, Process::NOBODY);
    if state.kind == kind::DATAGRAM {
        hook = Hook::SendConnected;
        process.tgid = state.tgid;
        process.uid = state.uid;
    }
    emit::refuse_packet(
        &packet,
        owner,
        hook,
        &process,
        &headers.destination,
        headers.destination_port,
        headers.protocol,
    );
    REFUSE
}

#[inline(always)]
fn approved(packet: &Packet, state: &SocketState, headers: &Headers) -> bool {
    let protocol = match state.kind {
        kind::TCP | kind::DNS_TCP => IPPROTO_TCP,
        kind::DNS_UDP => IPPROTO_UDP,
        _ => return false,
    };
    headers.protocol == protocol
        && headers.destination == state.listener()
        && headers.destination_port == state.listener_port
        && packet.interface() == LOOPBACK_IFINDEX
}

/// Leaves the headers as they are (protocol 0, which nothing approves) for anything but a whole TCP
/// or UDP packet without IP options, extension headers or fragmentation: those are how a packet gets
/// elsewhere than its address says.
///
/// A function of its own, and one load a field: stacks add up to 512 bytes.
#[inline(never)]
fn read(packet: Packet, headers: &mut Headers) -> i32 {
    // No early return with `?`: see `decide::sandbox`.
    match packet.load::<1>(0) {
        Some([0x45]) => read_v4(&packet, headers),
        Some([first]) if first >> 4 == 6 => read_v6(&packet, headers),
        _ => None,
    };
    0
}

#[inline(always)]
fn read_v4(packet: &Packet, headers: &mut Headers) -> Option<()> {
    // With the ports behind it: each load is a call.
    let ip = packet.load::<24>(0)?;
    if u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0 {
        return None;
    }
    headers.source = v4([ip[12], ip[13], ip[14], ip[15]]);
    headers.destination = v4([ip[16], ip[17], ip[18], ip[19]]);
    headers.source_port = u16::from_be_bytes([ip[20], ip[21]]);
    headers.destination_port = u16::from_be_bytes([ip[22], ip[23]]);
    headers.transport = 20;
    headers.protocol = u32::from(ip[9]);
    Some(())
}

#[inline(always)]
fn read_v6(packet: &Packet, headers: &mut Headers) -> Option<()> {
    let [protocol] = packet.load(6)?;
    headers.source = Address::from_octets(packet.load(8)?);
    headers.destination = Address::from_octets(packet.load(24)?);
    if protocol == HOP_BY_HOP {
        // As the kernel makes it for more than 64 KiB at once ("BIG TCP"), and nothing else.
        let length = packet.length().wrapping_sub(40).to_be_bytes();
        let [none1, none2] = packet.load(4)?;
        let ours = [IPPROTO_TCP as u8, 0, JUMBO, 4];
        if none1 | none2 != 0 || packet.load(40)? != ours || packet.load(44)? != length {
            return None;
        }
        headers.source_port = u16::from_be_bytes(packet.load(48)?);
        headers.destination_port = u16::from_be_bytes(packet.load(50)?);
        headers.transport = 48;
        headers.protocol = IPPROTO_TCP;
        return Some(());
    }
    let ports = packet.load::<4>(40)?;
    headers.source_port = u16::from_be_bytes([ports[0], ports[1]]);
    headers.destination_port = u16::from_be_bytes([ports[2], ports[3]]);
    headers.transport = 40;
    headers.protocol = u32::from(protocol);
    Some(())
}

#[inline(always)]
fn v4(bytes: [u8; 4]) -> Address {
    Address::from_v4_word(u32::from_ne_bytes(bytes))
}

/// Written before the datagram reaches the listener, so the listener never misses it. False when the sandbox
/// has too many sockets that ask: nothing would know the datagram then.
#[inline(always)]
#[must_use]
fn note_asker(packet: &Packet, state: &SocketState, headers: &Headers) -> bool {
    let key = FlowKey {
        netns: state.netns,
        address: headers.source,
        listener: Address { words: [0; 4] },
        port: headers.source_port,
        listener_port: 0,
        protocol: IPPROTO_UDP as u16,
        reserved: 0,
    };
    let now_ns = boot_ns();
    let value = state.flow(packet.cookie(), now_ns);
    // Most sockets ask several times (A and AAAA): another question takes no room.
    if ASKERS.insert(&key, &value, EXIST).is_ok() {
        return true;
    }
    let owner = Owner::of_socket(state);
    if owner.may_ask(now_ns) && ASKERS.insert(&key, &value, 0).is_ok() {
        return true;
    }
    owner.count(Counter::MapFull);
    false
}
