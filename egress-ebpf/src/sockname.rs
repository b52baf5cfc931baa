//! getsockname(2): a connected program sees the address and port that the server sees, not its end on loopback.

use egress_common::flow::{kind, option};

use crate::context::{Family, PASS, SockAddr};

#[inline(always)]
pub fn restore(call: &SockAddr) -> i32 {
    let Some(socket) = call.record() else { return PASS };
    if socket.kind() != kind::TCP || socket.options() & option::HOLD == 0 {
        return PASS;
    }
    let (local, port) = socket.local();
    if port == 0 || (call.family() == Family::V4 && local.v4_word().is_none()) {
        return PASS;
    }
    call.set(&local, port);
    PASS
}
