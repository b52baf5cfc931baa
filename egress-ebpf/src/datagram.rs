//! sendto(2) and sendmsg(2) on unconnected datagram sockets: only questions to a name server pass,
//! to the sandbox's own DNS listener, whatever server they were meant for, and what goes to a socket of the sandbox
//! on loopback (`own`). What a connected socket sends is
//! refused in the packet hook, where the sender gets EPERM as well.
//!
//! An unconnected send of a v6 socket to a v4-mapped address arrives in the v4 hook (seen on 6.18).

use egress_common::{Address, Reason, abi::DNS_PORT, event::Hook, flow::kind};

use crate::{
    connect,
    context::{IPPROTO_UDP, PASS, SOCK_DGRAM, SockAddr},
    decide, emit, own,
};

#[inline(always)]
pub fn send(call: &SockAddr) -> i32 {
    let sandbox = decide::sandbox();
    if sandbox.is_none() {
        return emit::refuse_address(call, &sandbox, Hook::Send, Reason::NotAllowed);
    }
    let udp = call.socket_type() == SOCK_DGRAM && call.protocol() == IPPROTO_UDP;
    if udp && (is_own_listener(call) || is_connected(call)) {
        return PASS;
    }
    if udp && call.port() == DNS_PORT {
        return connect::redirect(call, &sandbox, kind::DNS_UDP, Hook::Send);
    }
    let address = call.address().or_loopback();
    if udp && own::takes_datagram(call, &sandbox, address) {
        call.set(&address, call.port());
        return PASS;
    }
    emit::refuse_address(call, &sandbox, Hook::Send, Reason::ProtocolNotAllowed)
}

/// A send with control messages asks this hook on a connected socket as well, without an address (read in 6.12:
/// `udp_sendmsg`). The packet hook judges it by its destination, as any other of such a socket. An unconnected
/// send to port 0 fails behind this hook.
#[inline(always)]
fn is_connected(call: &SockAddr) -> bool {
    call.port() == 0
        && call.state().is_some_and(|state| matches!(state.kind, kind::DNS_UDP | kind::DATAGRAM))
}

/// A v6 socket *connected* to a v4-mapped address sends through the v4 path, which asks this hook
/// with the address that the connect hook has written: our listener's (seen on 6.18).
#[inline(always)]
fn is_own_listener(call: &SockAddr) -> bool {
    call.state().is_some_and(|state| {
        state.kind == kind::DNS_UDP
            && state.listener_family == 4
            && call.port() == state.listener_port
            && call.address() == Address::LOOPBACK4
    })
}
