//! sendto(2) and sendmsg(2) on unconnected datagram sockets: only questions to a name server pass,
//! to the sandbox's own DNS listener, whatever server they were meant for.
//!
//! An unconnected send of a v6 socket to a v4-mapped address arrives in the v4 hook (seen on 6.18).

use egress_common::{Reason, abi::DNS_PORT, event::Hook, flow::kind};

use crate::{
    connect,
    context::{IPPROTO_UDP, SOCK_DGRAM, SockAddr},
    decide, emit,
};

#[inline(always)]
pub fn send(call: &SockAddr) -> i32 {
    let sandbox = decide::sandbox();
    if sandbox.is_none() {
        return emit::refuse_address(call, 0, Hook::Send, Reason::NotAllowed);
    }
    let udp = call.socket_type() == SOCK_DGRAM && call.protocol() == IPPROTO_UDP;
    if udp && call.port() == DNS_PORT {
        return connect::redirect(call, &sandbox, kind::DNS_UDP, Hook::Send);
    }
    emit::refuse_address(call, sandbox.id, Hook::Send, Reason::ProtocolNotAllowed)
}
