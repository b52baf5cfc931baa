//! The kernel side of egress: entry points only. What each does stands in the module it calls.
#![no_std]
#![no_main]
// For an atomic addition.
#![feature(asm_experimental_arch)]

mod answer;
mod connect;
mod context;
mod create;
mod datagram;
mod decide;
mod device;
mod direct;
mod emit;
mod held;
mod maps;
mod opaque;
mod own;
mod packet;
mod payload;
mod peername;
mod segment;
mod sockname;
mod sockops;
mod sockopt;

use aya_ebpf::{
    macros::{cgroup_device, cgroup_skb, cgroup_sock, cgroup_sock_addr, cgroup_sockopt, sock_ops},
    programs::{
        DeviceContext, SkBuffContext, SockAddrContext, SockContext, SockOpsContext, SockoptContext,
    },
};
use context::{Device, Family, Packet, SockAddr, SockOps, SockOpt, Socket};

#[cgroup_sock_addr(connect4)]
pub fn egress_connect4(ctx: SockAddrContext) -> i32 {
    connect::connect(&SockAddr::new(ctx, Family::V4))
}

#[cgroup_sock_addr(connect6)]
pub fn egress_connect6(ctx: SockAddrContext) -> i32 {
    connect::connect(&SockAddr::new(ctx, Family::V6))
}

#[cgroup_sock_addr(sendmsg4)]
pub fn egress_sendmsg4(ctx: SockAddrContext) -> i32 {
    datagram::send(&SockAddr::new(ctx, Family::V4))
}

#[cgroup_sock_addr(sendmsg6)]
pub fn egress_sendmsg6(ctx: SockAddrContext) -> i32 {
    datagram::send(&SockAddr::new(ctx, Family::V6))
}

#[cgroup_sock_addr(recvmsg4)]
pub fn egress_recvmsg4(ctx: SockAddrContext) -> i32 {
    peername::restore(&SockAddr::new(ctx, Family::V4))
}

#[cgroup_sock_addr(recvmsg6)]
pub fn egress_recvmsg6(ctx: SockAddrContext) -> i32 {
    peername::restore(&SockAddr::new(ctx, Family::V6))
}

#[cgroup_sock_addr(getpeername4)]
pub fn egress_peer4(ctx: SockAddrContext) -> i32 {
    peername::restore(&SockAddr::new(ctx, Family::V4))
}

#[cgroup_sock_addr(getpeername6)]
pub fn egress_peer6(ctx: SockAddrContext) -> i32 {
    peername::restore(&SockAddr::new(ctx, Family::V6))
}

#[cgroup_sock_addr(getsockname4)]
pub fn egress_local4(ctx: SockAddrContext) -> i32 {
    sockname::restore(&SockAddr::new(ctx, Family::V4))
}

#[cgroup_sock_addr(getsockname6)]
pub fn egress_local6(ctx: SockAddrContext) -> i32 {
    sockname::restore(&SockAddr::new(ctx, Family::V6))
}

#[sock_ops]
pub fn egress_sockops(ctx: SockOpsContext) -> u32 {
    sockops::tcp(&SockOps::new(ctx));
    1
}

#[cgroup_sock(sock_create)]
pub fn egress_create(ctx: SockContext) -> i32 {
    create::create(&Socket::new(ctx))
}

#[cgroup_sockopt(setsockopt)]
pub fn egress_sockopt(ctx: SockoptContext) -> i32 {
    sockopt::set(&SockOpt::new(ctx))
}

#[cgroup_skb(egress)]
pub fn egress_packet(ctx: SkBuffContext) -> i32 {
    packet::on_egress(Packet::new(ctx))
}

#[cgroup_skb(ingress)]
pub fn egress_answer(ctx: SkBuffContext) -> i32 {
    answer::arrive(&Packet::new(ctx));
    context::PASS
}

#[cgroup_device]
pub fn egress_device(ctx: DeviceContext) -> i32 {
    device::access(&Device::new(ctx))
}
