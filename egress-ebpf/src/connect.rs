//! connect(2), and every other call that connects (TCP Fast Open, io_uring).

use egress_common::{
    Address, Reason,
    abi::DNS_PORT,
    event::{Counter, Hook},
    flow::{SocketState, kind, option},
    sandbox::{Sandbox, WORKERS, flags},
};

use crate::{
    context::{
        Family, IPPROTO_TCP, IPPROTO_UDP, PASS, Process, SOCK_DGRAM, SOCK_STREAM, SockAddr,
        boot_ns, count, random,
    },
    decide::{self, Way},
    emit,
    maps::COUNTERS,
};

#[inline(always)]
pub fn connect(call: &SockAddr) -> i32 {
    let sandbox = decide::sandbox();
    if sandbox.is_none() {
        return emit::refuse_address(call, 0, Hook::Connect, Reason::NotAllowed);
    }
    let tcp = call.socket_type() == SOCK_STREAM && call.protocol() == IPPROTO_TCP;
    let udp = call.socket_type() == SOCK_DGRAM && call.protocol() == IPPROTO_UDP;
    if call.port() == DNS_PORT && (tcp || udp) {
        let kind = if tcp { kind::DNS_TCP } else { kind::DNS_UDP };
        return redirect(call, &sandbox, kind, Hook::Connect);
    }
    if !tcp {
        return emit::refuse_address(call, sandbox.id, Hook::Connect, Reason::ProtocolNotAllowed);
    }
    match decide::gate(&sandbox, &call.address(), call.port()) {
        Ok(Way::Proxy) => redirect(call, &sandbox, kind::TCP, Hook::Connect),
        // A namespace of the program's own: no listener is there, and nothing to end connections.
        Ok(_) if call.netns() != sandbox.netns => {
            redirect(call, &sandbox, kind::TCP, Hook::Connect)
        }
        Ok(way) => direct(call, &sandbox, way),
        Err(reason) => emit::refuse_address(call, sandbox.id, Hook::Connect, reason),
    }
}

/// Lets the socket connect where it wants to; nothing but a good hello leaves (`direct`).
#[inline(always)]
fn direct(call: &SockAddr, sandbox: &Sandbox, way: Way) -> i32 {
    let mut options = 0;
    if sandbox.flags & flags::ECH != 0 {
        options |= option::ECH;
    }
    if way == Way::DirectUnread {
        options |= option::UNREAD;
    }
    let state = SocketState {
        kind: kind::DIRECT,
        listener_port: 0,
        listener_family: 0,
        options,
        ..state(call, sandbox)
    };
    if !call.remember(&state) {
        count(&COUNTERS, Counter::MapFull as u32);
        return emit::refuse_address(call, sandbox.id, Hook::Connect, Reason::RateLimited);
    }
    count(&COUNTERS, Counter::Direct as u32);
    PASS
}

#[inline(always)]
fn state(call: &SockAddr, sandbox: &Sandbox) -> SocketState {
    let (tgid, uid) = Process::ids();
    SocketState {
        sandbox: sandbox.id,
        netns: call.netns(),
        original: call.address(),
        original_port: call.port(),
        kind: 0,
        listener_port: 0,
        listener_family: 0,
        tgid,
        uid,
        first: 0,
        options: 0,
        connected_ns: boot_ns(),
        pin: 0,
    }
}

/// Sends the socket to the sandbox's listener and remembers where it wanted to go.
#[inline(always)]
pub fn redirect(call: &SockAddr, sandbox: &Sandbox, kind: u16, hook: Hook) -> i32 {
    let original = call.address();
    // A v4-mapped destination of a v6 socket travels as IPv4.
    let to_v4 = call.family() == Family::V4 || original.v4_word().is_some();
    let (listener, listener_port) = match (kind, to_v4) {
        (kind::TCP, true) => (Address::LOOPBACK4, of_worker(&sandbox.tcp4_ports, sandbox)),
        (kind::TCP, false) => (Address::LOOPBACK6, of_worker(&sandbox.tcp6_ports, sandbox)),
        (kind::DNS_TCP, true) => (Address::LOOPBACK4, sandbox.dns_tcp4_port),
        (kind::DNS_TCP, false) => (Address::LOOPBACK6, sandbox.dns_tcp6_port),
        (_, true) => (Address::LOOPBACK4, sandbox.dns_udp4_port),
        (_, false) => (Address::LOOPBACK6, sandbox.dns_udp6_port),
    };
    if listener_port == 0 {
        return emit::refuse_address(call, sandbox.id, hook, Reason::NotAllowed);
    }
    let state = SocketState {
        kind,
        listener_port,
        listener_family: if to_v4 { 4 } else { 6 },
        ..state(call, sandbox)
    };
    if !call.remember(&state) {
        count(&COUNTERS, Counter::MapFull as u32);
        return emit::refuse_address(call, sandbox.id, hook, Reason::RateLimited);
    }
    call.set(&listener, listener_port);
    PASS
}

/// The port of a worker that is drawn by lot: no program can pile its connections up at one.
#[inline(always)]
fn of_worker(ports: &[u16; WORKERS], sandbox: &Sandbox) -> u16 {
    let drawn = random().checked_rem(sandbox.workers).unwrap_or(0);
    ports[drawn as usize & (WORKERS - 1)]
}
