//! The context of sockops: a connection's life.

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::bpf_sock_ops,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_getsockopt, bpf_setsockopt, bpf_sock_ops_cb_flags_set,
    },
    programs::SockOpsContext,
};
use egress_common::{Address, flow::owner};

use super::{IPPROTO_TCP, SocketRecord, owner::add_option, socket_record};

// linux/bpf.h, linux/tcp.h.
const RTO_FLAG: i32 = 1;
const STATE_FLAG: i32 = 1 << 2;
const RTT_FLAG: i32 = 1 << 3;
const TCP_CONGESTION: i32 = 13;
const TCP_USER_TIMEOUT: i32 = 18;

/// The context of sockops.
pub struct SockOps {
    ops: *mut bpf_sock_ops,
}

impl SockOps {
    #[inline(always)]
    pub fn new(ctx: SockOpsContext) -> Self {
        Self { ops: ctx.ops }
    }

    #[inline(always)]
    pub fn op(&self) -> u32 {
        // SAFETY: the context is valid for the whole program.
        unsafe { read_volatile(&raw const (*self.ops).op) }
    }

    /// The state that a state change leads to.
    #[inline(always)]
    pub fn new_state(&self) -> u32 {
        // SAFETY: as above; every member of the union is four bytes of arguments.
        unsafe { read_volatile(&raw const (*self.ops).__bindgen_anon_1.args[1]) }
    }

    /// The state that it comes from.
    #[inline(always)]
    pub fn old_state(&self) -> u32 {
        // SAFETY: as above.
        unsafe { read_volatile(&raw const (*self.ops).__bindgen_anon_1.args[0]) }
    }

    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context.
        unsafe { bpf_get_socket_cookie(self.ops.cast()) }
    }

    #[inline(always)]
    pub fn socket(&self) -> Option<SocketRecord> {
        // SAFETY: as above.
        socket_record(unsafe { (*self.ops).__bindgen_anon_2.sk })
    }

    /// Remembers that the socket listens.
    #[inline(always)]
    pub fn set_listens(&self) {
        // SAFETY: as above.
        add_option(unsafe { (*self.ops).__bindgen_anon_2.sk }, owner::LISTENS);
    }

    #[inline(always)]
    pub fn local4(&self) -> Address {
        // SAFETY: as above.
        Address::from_v4_word(unsafe { read_volatile(&raw const (*self.ops).local_ip4) })
    }

    #[inline(always)]
    pub fn local6(&self) -> Address {
        // SAFETY: as above.
        unsafe {
            Address {
                words: [
                    read_volatile(&raw const (*self.ops).local_ip6[0]),
                    read_volatile(&raw const (*self.ops).local_ip6[1]),
                    read_volatile(&raw const (*self.ops).local_ip6[2]),
                    read_volatile(&raw const (*self.ops).local_ip6[3]),
                ],
            }
        }
    }

    /// Host byte order, as the kernel has it here.
    #[inline(always)]
    pub fn local_port(&self) -> u16 {
        // SAFETY: as above.
        unsafe { read_volatile(&raw const (*self.ops).local_port) as u16 }
    }

    /// Asks to be called at every change of the connection's state.
    #[inline(always)]
    pub fn follow_state(&self) {
        self.follow(STATE_FLAG);
    }

    /// Asks to be called with every measured round trip and every retransmission timeout as well.
    #[inline(always)]
    pub fn follow_transmission(&self) {
        self.follow(STATE_FLAG | RTT_FLAG | RTO_FLAG);
    }

    #[inline(always)]
    fn follow(&self, flags: i32) {
        // SAFETY: the helper takes the context.
        unsafe { bpf_sock_ops_cb_flags_set(self.ops, flags) };
    }

    /// TCP_USER_TIMEOUT of the socket in milliseconds, 0 being none; none where the kernel does not
    /// tell (before 6.0).
    #[inline(always)]
    pub fn user_timeout(&self) -> Option<u32> {
        let mut value = 0_u32;
        // SAFETY: the helper writes the four bytes that it is given, or fails.
        let result = unsafe {
            bpf_getsockopt(
                self.ops.cast(),
                IPPROTO_TCP as i32,
                TCP_USER_TIMEOUT,
                (&raw mut value).cast(),
                4,
            )
        };
        (result == 0).then_some(value)
    }

    /// The congestion control that every kernel has, and that does not pace.
    #[inline(always)]
    pub fn set_reno(&self) {
        let mut name = *b"reno\0\0\0\0";
        // SAFETY: the helper reads the eight bytes that it is given, up to the first zero.
        unsafe {
            bpf_setsockopt(
                self.ops.cast(),
                IPPROTO_TCP as i32,
                TCP_CONGESTION,
                (&raw mut name).cast(),
                8,
            )
        };
    }

    #[inline(always)]
    pub fn set_user_timeout(&self, milliseconds: u32) {
        let mut value = milliseconds;
        // SAFETY: the helper reads the four bytes that it is given.
        unsafe {
            bpf_setsockopt(
                self.ops.cast(),
                IPPROTO_TCP as i32,
                TCP_USER_TIMEOUT,
                (&raw mut value).cast(),
                4,
            )
        };
    }
}
