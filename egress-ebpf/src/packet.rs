//! The backstop: a packet leaves only if a hook approved its socket, and only to the very listener
//! that the socket was redirected to: protocol, address, port and interface.
//!
//! This is what holds when an address hook was not asked (UDP-Lite, source routes, raw sends, a
//! device bound after the redirection: each tried on 6.18 and seen to pass the address hooks).

use egress_common::{
    Address, Reason,
    event::Counter,
    flow::{FlowKey, SocketState, kind},
};

use crate::{
    context::{IPPROTO_TCP, IPPROTO_UDP, PASS, Packet, REFUSE, boot_ns, count},
    emit,
    maps::{ASKERS, COUNTERS},
};

/// `lo` has this index in every network namespace.
const LOOPBACK_IFINDEX: u32 = 1;

struct Headers {
    protocol: u32,
    source: Address,
    destination: Address,
    source_port: u16,
    destination_port: u16,
}

#[inline(always)]
pub fn leave(packet: &Packet) -> i32 {
    let state = packet.state();
    let headers = headers(packet);
    if let (Some(state), Some(headers)) = (&state, &headers)
        && approved(packet, state, headers)
    {
        if state.kind == kind::DNS_UDP {
            note_asker(packet, state, headers);
        }
        return PASS;
    }
    count(&COUNTERS, Counter::PacketsDropped as u32);
    let (address, port, protocol) = match &headers {
        Some(headers) => (headers.destination, headers.destination_port, headers.protocol),
        None => (Address::default(), 0, 0),
    };
    let sandbox = state.map_or(0, |state| state.sandbox);
    emit::refuse_packet(packet, sandbox, Reason::ProtocolNotAllowed, &address, port, protocol);
    REFUSE
}

#[inline(always)]
fn approved(packet: &Packet, state: &SocketState, headers: &Headers) -> bool {
    let protocol = match state.kind {
        kind::TCP | kind::DNS_TCP => IPPROTO_TCP,
        kind::DNS_UDP => IPPROTO_UDP,
        _ => return false,
    };
    let listener = if state.listener_family == 4 { Address::LOOPBACK4 } else { Address::LOOPBACK6 };
    headers.protocol == protocol
        && headers.destination == listener
        && headers.destination_port == state.listener_port
        && packet.interface() == LOOPBACK_IFINDEX
}

/// None for anything but a whole TCP or UDP packet without IP options, extension headers or
/// fragmentation: those are how a packet gets elsewhere than its address says.
#[inline(always)]
fn headers(packet: &Packet) -> Option<Headers> {
    let [first] = packet.load::<1>(0)?;
    match first {
        0x45 => {
            let fixed = packet.load::<20>(0)?;
            let ports = packet.load::<4>(20)?;
            let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
            if fragment & 0x3fff != 0 {
                return None;
            }
            Some(Headers {
                protocol: u32::from(fixed[9]),
                source: v4([fixed[12], fixed[13], fixed[14], fixed[15]]),
                destination: v4([fixed[16], fixed[17], fixed[18], fixed[19]]),
                source_port: u16::from_be_bytes([ports[0], ports[1]]),
                destination_port: u16::from_be_bytes([ports[2], ports[3]]),
            })
        }
        0x60..=0x6f => {
            let [next] = packet.load::<1>(6)?;
            let source = packet.load::<16>(8)?;
            let destination = packet.load::<16>(24)?;
            let ports = packet.load::<4>(40)?;
            Some(Headers {
                protocol: u32::from(next),
                source: Address::from_octets(source),
                destination: Address::from_octets(destination),
                source_port: u16::from_be_bytes([ports[0], ports[1]]),
                destination_port: u16::from_be_bytes([ports[2], ports[3]]),
            })
        }
        _ => None,
    }
}

#[inline(always)]
fn v4(octets: [u8; 4]) -> Address {
    Address::from_v4_word(u32::from_ne_bytes(octets))
}

/// Written before the datagram reaches the listener, so the listener never misses it.
#[inline(always)]
fn note_asker(packet: &Packet, state: &SocketState, headers: &Headers) {
    let key = FlowKey {
        netns: state.netns,
        address: headers.source,
        port: headers.source_port,
        protocol: IPPROTO_UDP as u16,
        reserved: 0,
    };
    let value = state.flow(packet.cookie(), boot_ns());
    if ASKERS.insert(&key, &value, 0).is_err() {
        count(&COUNTERS, Counter::MapFull as u32);
    }
}
