//! connect(2), and every other call that connects (TCP Fast Open, io_uring).

use egress_common::{
    Address, Reason,
    abi::DNS_PORT,
    answer::Answer,
    event::{Counter, Hook},
    flow::{SocketState, kind, option},
    sandbox::{LISTENERS6, Sandbox, WORKERS, flags},
};

use crate::{
    context::{
        self, Family, IPPROTO_TCP, IPPROTO_UDP, Owner, PASS, Process, REFUSE, SOCK_DGRAM,
        SOCK_STREAM, SockAddr, boot_ns, random,
    },
    decide::{self, Way},
    emit,
    own::{self, Finds},
};

#[inline(always)]
pub fn connect(call: &SockAddr) -> i32 {
    let sandbox = decide::sandbox();
    if sandbox.is_none() {
        return emit::refuse_address(call, &sandbox, Hook::Connect, Reason::NotAllowed);
    }
    let tcp = call.socket_type() == SOCK_STREAM && call.protocol() == IPPROTO_TCP;
    let udp = call.socket_type() == SOCK_DGRAM && call.protocol() == IPPROTO_UDP;
    if call.port() == DNS_PORT && (tcp || udp) {
        let kind = if tcp { kind::DNS_TCP } else { kind::DNS_UDP };
        return redirect(call, &sandbox, kind, Hook::Connect);
    }
    if udp {
        return associate(call, &sandbox);
    }
    if !tcp {
        return emit::refuse_address(call, &sandbox, Hook::Connect, Reason::ProtocolNotAllowed);
    }
    let address = call.address().or_loopback();
    let finds = own::listener(call, &sandbox, address);
    if finds == Finds::Own {
        return to_own(call, &sandbox, address);
    }
    match decide::gate(&sandbox, &call.address(), call.port()) {
        // In a namespace of the program's own no listener is there, and nothing to end connections.
        Ok(way) if way == Way::Proxy || call.netns() != sandbox.netns => {
            redirect(call, &sandbox, kind::TCP, Hook::Connect)
        }
        Ok(way) => direct(call, &sandbox, way),
        // Nothing to refuse: what the program waits for may be its own server, that is about to listen.
        Err(Reason::NotAllowedLocal) if finds == Finds::Nobody => {
            context::answer_nobody_listens();
            REFUSE
        }
        Err(reason) => emit::refuse_address(call, &sandbox, Hook::Connect, reason),
    }
}

/// Lets the socket connect to a listener of its sandbox; who answers is asked again (`own`).
#[inline(always)]
fn to_own(call: &SockAddr, sandbox: &Sandbox, address: Address) -> i32 {
    let state = SocketState { kind: kind::OWN, original: address, ..state(call, sandbox) };
    if !call.remember(&state) {
        Owner::of(sandbox).count(Counter::MapFull);
        return emit::refuse_address(call, sandbox, Hook::Connect, Reason::RateLimited);
    }
    // Of 0.0.0.0 the kernel would make whatever the socket is bound to.
    call.set(&address, call.port());
    PASS
}

/// Connecting a datagram socket sends nothing: resolvers sort addresses by it and programs learn their own.
/// What is sent to there, the packet hook refuses.
#[inline(always)]
fn associate(call: &SockAddr, sandbox: &Sandbox) -> i32 {
    let (owner, state) = (Owner::of(sandbox), state(call, sandbox));
    if !call.remember(&SocketState { kind: kind::DATAGRAM, ..state }) {
        owner.count(Counter::MapFull);
        return emit::refuse_address(call, sandbox, Hook::Connect, Reason::RateLimited);
    }
    PASS
}

/// Lets the socket connect where it wants to; nothing but a good hello leaves (`direct`).
#[inline(always)]
fn direct(call: &SockAddr, sandbox: &Sandbox, way: Way) -> i32 {
    let (owner, mut options) = (Owner::of(sandbox), 0);
    if sandbox.flags & flags::ECH != 0 {
        options |= option::ECH;
    }
    if way == Way::DirectUnread {
        options |= option::UNREAD;
    }
    let state = SocketState { kind: kind::DIRECT, options, ..state(call, sandbox) };
    if !call.remember(&state) {
        owner.count(Counter::MapFull);
        return emit::refuse_address(call, sandbox, Hook::Connect, Reason::RateLimited);
    }
    owner.count(Counter::Direct);
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
        next: 0,
        options: 0,
        listener4: 0,
        slot: sandbox.slot,
        connected_ns: boot_ns(),
        pin: 0,
        answer: Answer::at(0),
        record: 0,
        hellos: 0,
        next_after: 0,
        record_after: 0,
        local: Address { words: [0; 4] },
        local_port: 0,
        worker: 0,
        told: 0,
    }
}

/// Sends the socket to the sandbox's listener and remembers where it wanted to go.
#[inline(always)]
pub fn redirect(call: &SockAddr, sandbox: &Sandbox, kind: u16, hook: Hook) -> i32 {
    let (owner, original) = (Owner::of(sandbox), call.address());
    // A v4-mapped destination of a v6 socket travels as IPv4.
    let to_v4 = call.family() == Family::V4 || original.v4_word().is_some();
    let mut to = Listener { address: Address::LOOPBACK4, port: 0, family: 4, worker: 0 };
    match (kind, to_v4) {
        (kind::DNS_UDP, true) => to.port = sandbox.dns_udp4_port,
        (kind::DNS_UDP, false) => {
            (to.address, to.port, to.family) = (Address::LOOPBACK6, sandbox.dns_udp6_port, 6);
        }
        _ => tcp_listener(call, sandbox, kind, to_v4, &original, &mut to),
    }
    if to.port == 0 {
        return emit::refuse_address(call, sandbox, hook, Reason::NotAllowed);
    }
    // In a namespace of the program's own no listener is there: nobody would answer.
    let is_held =
        kind == kind::TCP && sandbox.flags & flags::HOLD != 0 && call.netns() == sandbox.netns;
    let state = SocketState {
        kind,
        options: if is_held { option::HOLD } else { 0 },
        listener_port: to.port,
        listener_family: to.family,
        listener4: to.address.words[3],
        worker: to.worker,
        ..state(call, sandbox)
    };
    if !call.remember(&state) {
        owner.count(Counter::MapFull);
        return emit::refuse_address(call, sandbox, hook, Reason::RateLimited);
    }
    call.set(&to.address, to.port);
    PASS
}

/// Where a socket is sent.
struct Listener {
    address: Address,
    port: u16,
    /// 4 or 6.
    family: u16,
    /// Whose it is, of those of TCP.
    worker: u16,
}

/// Which listener a TCP connection gets.
///
/// Without the filter one port of a program's own can lead to many destinations, each another
/// connection to the kernel. Here they would all be the same. So a socket that is bound to a port gets,
/// over IPv4, an address of 127.0.0.0/8 by its destination; over IPv6, where loopback has one address,
/// the first listener that is free for its port, and when none is, IPv4's.
#[inline(always)]
fn tcp_listener(
    call: &SockAddr,
    sandbox: &Sandbox,
    kind: u16,
    to_v4: bool,
    original: &Address,
    to: &mut Listener,
) {
    let is_dns = kind == kind::DNS_TCP;
    let is_bound = call.own_port() != 0;
    let hash = if is_bound { hash(original, call.port()) } else { random() };
    let worker = hash.checked_rem(sandbox.workers).unwrap_or(0) as usize & (WORKERS - 1);
    if !to_v4 {
        to.family = 6;
        to.address = Address::LOOPBACK6;
        // The kernel finds a port for a socket that has none.
        to.port = match (is_dns, is_bound) {
            (true, _) => sandbox.dns_tcp6_port,
            (false, true) => {
                let found = free_listener6(call, sandbox, hash);
                to.worker = (found >> 16).checked_rem(sandbox.workers).unwrap_or(0) as u16;
                found as u16
            }
            // By lot: no program can pile its connections up at one worker.
            (false, false) => {
                to.worker = worker as u16;
                sandbox.tcp6_ports[worker]
            }
        };
        let is_free = !is_bound || (to.port != 0 && !(is_dns && call.connected6().has(to.port)));
        if is_free || sandbox.tcp6_ports[0] == 0 {
            return;
        }
    }
    to.family = 4;
    to.worker = worker as u16;
    to.address = if is_bound { loopback4(hash) } else { Address::LOOPBACK4 };
    to.port = if is_dns { sandbox.dns_tcp4_port } else { sandbox.tcp4_ports[worker] };
}

/// A port, and its place among the listeners in the upper half; port 0 when every listener has a connection from the
/// socket's port already.
#[inline(always)]
fn free_listener6(call: &SockAddr, sandbox: &Sandbox, hash: u32) -> u32 {
    let mut connected = call.connected6();
    let mut index = 0;
    while index < LISTENERS6 {
        let at = (hash as usize).wrapping_add(index) & (LISTENERS6 - 1);
        let port = sandbox.tcp6_ports[at];
        if port != 0 && !connected.has(port) {
            return (at as u32) << 16 | u32::from(port);
        }
        index += 1;
    }
    0
}

/// An address of 127.0.0.0/8 that is neither a network's nor a broadcast address.
#[inline(always)]
fn loopback4(hash: u32) -> Address {
    let host = (hash >> 24) % 254 + 1;
    Address::from_v4_word((0x7f00_0000 | (hash & 0xffff) << 8 | host).to_be())
}

/// Of address and port (FNV-1a by words, its halves mixed).
#[inline(always)]
fn hash(address: &Address, port: u16) -> u32 {
    let [a, b, c, d] = address.words;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    hash = (hash ^ u64::from(a)).wrapping_mul(0x0100_0000_01b3);
    hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    hash = (hash ^ u64::from(c)).wrapping_mul(0x0100_0000_01b3);
    hash = (hash ^ u64::from(d)).wrapping_mul(0x0100_0000_01b3);
    hash = (hash ^ u64::from(port)).wrapping_mul(0x0100_0000_01b3);
    hash ^= hash >> 29;
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}
