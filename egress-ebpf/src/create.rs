//! socket(2): an allowlist. What is not TCP or UDP would pass the address hooks unseen (ping
//! sockets, UDP-Lite, SCTP, raw: tried on 6.18), and MPTCP opens subflows outside the cgroup.

use egress_common::{Reason, event::Hook, flow::SocketOwner};

use crate::{
    context::{
        AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, Owner, PASS, REFUSE, SOCK_DGRAM, SOCK_STREAM,
        Socket, answer_protocol_not_supported,
    },
    decide, emit,
};

#[inline(always)]
pub fn create(socket: &Socket) -> i32 {
    let (family, socket_type, protocol) = socket.kind();
    let sandbox = decide::sandbox();
    let allowed = (family == AF_INET || family == AF_INET6)
        && matches!(
            (socket_type, protocol),
            (SOCK_STREAM, IPPROTO_TCP) | (SOCK_DGRAM, IPPROTO_UDP)
        );
    if allowed && !sandbox.is_none() {
        socket.set_owner(SocketOwner { sandbox: sandbox.id, slot: sandbox.slot, options: 0 });
        return PASS;
    }
    emit::refuse_socket(
        Owner::of(&sandbox),
        Hook::Create,
        Reason::ProtocolNotAllowed,
        [family, socket_type, protocol],
    );
    answer_protocol_not_supported();
    REFUSE
}
