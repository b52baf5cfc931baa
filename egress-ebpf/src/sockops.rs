//! TCP: from "the SYN is about to leave" on, the record by which the proxy learns the
//! original destination of a connection it accepts.

use egress_common::{
    abi::{UNVERIFIED_WAIT_MS, capacity},
    event::Unverified,
    flow::{FlowKey, SocketState, kind, option},
    pin::PinKey,
};

use crate::{
    context::{
        IPPROTO_TCP, Owner, SockOps, SocketRecord, add, boot_ns, live_of, lookup, set_ended, usage,
    },
    direct::switch_pin,
    held,
    maps::{FLOWS, LIVE, PINS, RELEASED, UNVERIFIED},
    packet::is_direct,
};

// enum of linux/bpf.h.
const TCP_CONNECT_CB: u32 = 3;
const ESTABLISHED_CB: u32 = 4;
const RTO_CB: u32 = 8;
const STATE_CB: u32 = 10;
const LISTEN_CB: u32 = 11;
const RTT_CB: u32 = 12;
const TCP_SYN_SENT: u32 = 2;
const TCP_CLOSE: u32 = 7;

#[inline(always)]
pub fn tcp(ops: &SockOps) {
    match ops.op() {
        TCP_CONNECT_CB => connect(ops),
        LISTEN_CB => listen(ops),
        ESTABLISHED_CB => established(ops),
        RTO_CB | RTT_CB => unlimit_wait(ops),
        STATE_CB if ops.new_state() == TCP_CLOSE => close(ops),
        _ => {}
    }
}

/// The local port is bound and the SYN not yet sent: the listener cannot accept before this.
#[inline(always)]
fn connect(ops: &SockOps) {
    let Some(socket) = ops.socket() else { return };
    let state = socket.state();
    let owner = Owner::of_socket(&state);
    if is_direct(state.kind) {
        let unverified = unverified(ops, &state);
        if !owner.put(
            &UNVERIFIED,
            &ops.cookie(),
            &unverified,
            capacity::UNVERIFIED,
            usage::unverified,
        ) {
            // Nobody could end it: it sends nothing, not even the SYN, and is given up soon.
            socket.set_kind(0);
            ops.set_user_timeout(UNVERIFIED_WAIT_MS);
            return;
        }
        return ops.follow_state();
    }
    if !matches!(state.kind, kind::TCP | kind::DNS_TCP) {
        return;
    }
    let value = state.flow(ops.cookie(), boot_ns());
    if !owner.put(&FLOWS, &key(ops, &state), &value, capacity::FLOWS, usage::flows) {
        // The proxy will find no record and close the connection.
        socket.unhold();
        return;
    }
    ops.follow_state();
    // To a listener on loopback: the machine's default may pace (bbr), which halves what is relayed.
    ops.set_reno();
}

/// What it was connected to before is no more.
#[inline(always)]
fn listen(ops: &SockOps) {
    ops.set_listens();
    if let Some(socket) = ops.socket() {
        socket.set_kind(kind::LISTENER);
    }
}

#[inline(always)]
fn established(ops: &SockOps) {
    let Some(socket) = ops.socket() else { return };
    if socket.kind() == kind::TCP && socket.options() & option::HOLD != 0 {
        if let Some(released) = lookup(&RELEASED, &ops.cookie()) {
            socket.set_local(&released.local, released.local_port);
            // No SYN of it comes any more.
            let _ = RELEASED.remove(&ops.cookie());
        }
        return;
    }
    count(socket);
    limit_wait(ops);
}

/// Where a connection may name nobody, it counts for its address as long as it names none. Not before it is made: an
/// address that does not answer keeps no pin, and a connect that finds no port has no close.
#[inline(always)]
fn count(socket: SocketRecord) {
    if socket.kind() == kind::DIRECT && socket.options() & option::UNREAD != 0 {
        let (address, _) = socket.original();
        let address = PinKey { sandbox: socket.owner().sandbox, address };
        switch_pin(socket, live_of(&PINS, &address));
    }
}

/// Programs that have chosen a limit keep it.
#[inline(always)]
fn limit_wait(ops: &SockOps) {
    let direct = ops.socket().is_some_and(|socket| socket.kind() == kind::DIRECT);
    if direct && ops.user_timeout() == Some(0) {
        ops.set_user_timeout(UNVERIFIED_WAIT_MS);
        ops.follow_transmission();
    }
}

/// A hello, or what is none, has left, and is acknowledged or sent again: from here on the network's troubles are the
/// program's. What is held back is never sent, and so never sent again.
#[inline(always)]
fn unlimit_wait(ops: &SockOps) {
    let left = |socket: SocketRecord| {
        matches!(socket.kind(), kind::PROVISIONAL | kind::LINE | kind::VERIFIED)
            || socket.kind() == kind::DIRECT && socket.options() & option::LEFT != 0
    };
    if ops.socket().is_some_and(left) {
        if ops.user_timeout() == Some(UNVERIFIED_WAIT_MS) {
            ops.set_user_timeout(0);
        }
        ops.follow_state();
    }
}

#[inline(always)]
fn close(ops: &SockOps) {
    let Some(socket) = ops.socket() else { return };
    let state = socket.state();
    if is_direct(state.kind) {
        if state.kind != kind::VERIFIED {
            Owner::of_socket(&state).remove(&UNVERIFIED, &ops.cookie(), usage::unverified);
        }
        if state.pin != 0 {
            add(&LIVE, &state.pin, u64::MAX);
            // A socket can close more than once: disconnected, then made a listener.
            socket.set_pin(0);
        }
        return;
    }
    let key = key(ops, &state);
    // A socket that reused the port may have written its own record since.
    if !lookup(&FLOWS, &key).is_some_and(|flow| flow.cookie == ops.cookie()) {
        return;
    }
    // What was connected may have sent something that waits with the proxy, to be accepted: user space
    // takes the record then, or clears it away. Nobody waits for the answer to a question.
    if ops.old_state() == TCP_SYN_SENT || state.kind != kind::TCP {
        Owner::of_socket(&state).remove(&FLOWS, &key, usage::flows);
        if state.options & option::HOLD != 0 {
            held::gone(socket, ops.cookie());
        }
    } else {
        set_ended(&FLOWS, &key);
    }
}

#[inline(always)]
fn unverified(ops: &SockOps, state: &SocketState) -> Unverified {
    let (local4, local6) = (ops.local4(), ops.local6());
    let to_v4 = state.original.v4_word().is_some();
    Unverified {
        sandbox: state.sandbox,
        netns: state.netns,
        source: if to_v4 { local4 } else { local6 },
        destination: state.original,
        source_port: ops.local_port(),
        destination_port: state.original_port,
        hellos: 0,
    }
}

#[inline(always)]
fn key(ops: &SockOps, state: &SocketState) -> FlowKey {
    // Both are read, then one is chosen: a choice between two offsets into the context would be a
    // computed one, which the verifier refuses (6.18: "dereference of modified ctx ptr").
    let (local4, local6) = (ops.local4(), ops.local6());
    FlowKey {
        netns: state.netns,
        // A v6 socket that was sent to 127.0.0.1 has its source in the IPv4 field.
        address: if state.listener_family == 4 { local4 } else { local6 },
        listener: state.listener(),
        port: ops.local_port(),
        listener_port: state.listener_port,
        protocol: IPPROTO_TCP as u16,
        reserved: 0,
    }
}
