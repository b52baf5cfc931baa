//! getpeername(2) and the source of received datagrams: the program sees the address that it asked
//! for, not the listener's.

use crate::context::{Family, PASS, SockAddr};

#[inline(always)]
pub fn restore(call: &SockAddr) -> i32 {
    let Some(state) = call.state() else { return PASS };
    if state.kind == 0 || call.port() != state.listener_port {
        return PASS;
    }
    if call.family() == Family::V4 && state.original.v4_word().is_none() {
        return PASS;
    }
    call.set(&state.original, state.original_port);
    PASS
}
