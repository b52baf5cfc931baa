//! setsockopt(2): options that send packets elsewhere than the address hooks saw. The packet hook
//! would drop such packets in silence; refusing the option gives the program an errno at once.
//!
//! Joining a multicast group is refused here alone: the kernel reports it to the network (IGMP, MLD)
//! from a socket of its own, which no hook of the cgroup sees, and the group's address is whatever
//! the program wants to tell (seen on 6.18).
//!
//! The sandbox is looked up for a refusal only: whatever is below the attach point is in one or refused
//! anyway.

use egress_common::{Reason, event::Hook, flow::owner};

use crate::{
    context::{PASS, REFUSE, SockOpt},
    decide, emit,
};

// linux/in.h, linux/in6.h, asm-generic/socket.h.
const SOL_IP: i32 = 0;
const SOL_SOCKET: i32 = 1;
const SOL_IPV6: i32 = 41;
const SO_REUSEADDR: i32 = 2;
const SO_REUSEPORT: i32 = 15;

#[inline(always)]
pub fn set(option: &SockOpt) -> i32 {
    let (level, name) = option.name();
    // Remembered for good: a port may be shared once it has been set, and no longer be set then.
    match (level, name) {
        (SOL_SOCKET, SO_REUSEADDR) => option.add_option(owner::REUSES_ADDRESS),
        (SOL_SOCKET, SO_REUSEPORT) => option.add_option(owner::REUSES_PORT),
        _ => {}
    }
    if !reroutes(level, name) {
        option.leave_value();
        return PASS;
    }
    emit::refuse_socket(
        decide::owner(),
        Hook::Option,
        Reason::ProtocolNotAllowed,
        [level as u32, 0, name as u32],
    );
    REFUSE
}

#[inline(always)]
fn reroutes(level: i32, name: i32) -> bool {
    match level {
        // IP_OPTIONS, IP_TRANSPARENT, IP_UNICAST_IF; ADD_MEMBERSHIP, DROP_MEMBERSHIP,
        // UNBLOCK_SOURCE, BLOCK_SOURCE, ADD_SOURCE_MEMBERSHIP, DROP_SOURCE_MEMBERSHIP, MSFILTER,
        // and their MCAST_ forms
        SOL_IP => matches!(name, 4 | 19 | 50 | 35..=48),
        // SO_BINDTODEVICE, SO_BINDTOIFINDEX
        SOL_SOCKET => matches!(name, 25 | 62),
        // 2292PKTINFO (2), 2292HOPOPTS, 2292DSTOPTS, 2292RTHDR, 2292PKTOPTIONS, PKTINFO, HOPOPTS,
        // RTHDRDSTOPTS, RTHDR, DSTOPTS, TRANSPARENT, UNICAST_IF; ADD_MEMBERSHIP, DROP_MEMBERSHIP,
        // JOIN_ANYCAST, LEAVE_ANYCAST, the MCAST_ options; FLOWLABEL_MGR, whose labels carry
        // extension headers
        SOL_IPV6 => {
            matches!(name, 2..=6 | 20 | 21 | 27 | 28 | 32 | 42..=48 | 50 | 54 | 55 | 57 | 59 | 75 | 76)
        }
        _ => false,
    }
}
