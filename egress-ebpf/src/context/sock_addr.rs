//! The context of cgroup/connect, sendmsg, recvmsg and getpeername.

use core::{
    ffi::c_void,
    ptr::{null_mut, read_volatile, write_volatile},
};

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_SK_STORAGE_GET_F_CREATE, bpf_sock, bpf_sock_tuple,
        bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
    },
    helpers::generated::{
        bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_sk_release, bpf_skc_lookup_tcp,
    },
    programs::SockAddrContext,
};
use egress_common::{Address, flow::SocketState};

use super::{
    owner::{Ends, Receiver, tcp_receiver, udp_receiver},
    socket_record::{SocketRecord, socket_record, storage},
};

// linux/bpf.h: BPF_F_CURRENT_NETNS, BPF_TCP_LISTEN.
pub(super) const CURRENT_NETNS: u64 = u64::MAX;
const TCP_LISTEN: u32 = 10;

/// Which of the two forms of a `bpf_sock_addr` hook this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// The context of connect, sendmsg, recvmsg and getpeername hooks.
pub struct SockAddr {
    ctx: SockAddrContext,
    family: Family,
}

impl SockAddr {
    #[inline(always)]
    pub fn new(ctx: SockAddrContext, family: Family) -> Self {
        Self { ctx, family }
    }

    /// The same, for a function of its own: behind a reference to this the verifier would find the context changed.
    #[inline(always)]
    pub fn again(&self) -> Self {
        Self { ctx: SockAddrContext::new(self.ctx.sock_addr), family: self.family }
    }

    /// The address in the context, v4 in its mapped form.
    #[inline(always)]
    pub fn address(&self) -> Address {
        let ctx = self.ctx.sock_addr;
        // SAFETY: the context is valid for the whole program; volatile, so that the compiler does
        // not merge the words into loads that the verifier refuses.
        unsafe {
            match self.family {
                Family::V4 => Address::from_v4_word(read_volatile(&raw const (*ctx).user_ip4)),
                Family::V6 => Address {
                    words: [
                        read_volatile(&raw const (*ctx).user_ip6[0]),
                        read_volatile(&raw const (*ctx).user_ip6[1]),
                        read_volatile(&raw const (*ctx).user_ip6[2]),
                        read_volatile(&raw const (*ctx).user_ip6[3]),
                    ],
                },
            }
        }
    }

    /// Host byte order.
    #[inline(always)]
    pub fn port(&self) -> u16 {
        // SAFETY: as in `address`.
        let port = unsafe { read_volatile(&raw const (*self.ctx.sock_addr).user_port) };
        u16::from_be(port as u16)
    }

    /// Writes address and port; in a v4 hook only v4-mapped addresses can be written, the others
    /// are left out by the callers.
    #[inline(always)]
    pub fn set(&self, address: &Address, port: u16) {
        let ctx = self.ctx.sock_addr;
        // SAFETY: as in `address`; the verifier allows four-byte writes to these fields.
        unsafe {
            match self.family {
                Family::V4 => write_volatile(&raw mut (*ctx).user_ip4, address.words[3]),
                Family::V6 => {
                    write_volatile(&raw mut (*ctx).user_ip6[0], address.words[0]);
                    write_volatile(&raw mut (*ctx).user_ip6[1], address.words[1]);
                    write_volatile(&raw mut (*ctx).user_ip6[2], address.words[2]);
                    write_volatile(&raw mut (*ctx).user_ip6[3], address.words[3]);
                }
            }
            write_volatile(&raw mut (*ctx).user_port, u32::from(port.to_be()));
        }
    }

    #[inline(always)]
    pub fn family(&self) -> Family {
        self.family
    }

    /// `AF_INET` or `AF_INET6` of the socket.
    #[inline(always)]
    pub fn socket_family(&self) -> u32 {
        // SAFETY: as in `address`.
        unsafe { read_volatile(&raw const (*self.ctx.sock_addr).family) }
    }

    #[inline(always)]
    pub fn socket_type(&self) -> u32 {
        // SAFETY: as in `address`.
        unsafe { read_volatile(&raw const (*self.ctx.sock_addr).type_) }
    }

    #[inline(always)]
    pub fn protocol(&self) -> u32 {
        // SAFETY: as in `address`.
        unsafe { read_volatile(&raw const (*self.ctx.sock_addr).protocol) }
    }

    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context.
        unsafe { bpf_get_socket_cookie(self.ctx.as_ptr()) }
    }

    #[inline(always)]
    pub fn netns(&self) -> u64 {
        // SAFETY: the helper takes the context.
        unsafe { bpf_get_netns_cookie(self.ctx.as_ptr()) }
    }

    #[inline(always)]
    fn sk(&self) -> *mut bpf_sock {
        // SAFETY: as in `address`; every member of the union has the same meaning to the verifier.
        unsafe { (*self.ctx.sock_addr).__bindgen_anon_1.sk }
    }

    /// The port that the program has bound the socket to, 0 when none; host byte order.
    #[inline(always)]
    pub fn own_port(&self) -> u16 {
        // SAFETY: a whole socket, which the hook holds.
        unsafe { read_volatile(&raw const (*self.sk()).src_port) as u16 }
    }

    /// The TCP socket that would answer at this address and port; from no port, as no connection is meant.
    #[inline(always)]
    pub fn tcp_receiver(&self, destination: Address, destination_port: u16) -> Receiver {
        let source = destination;
        tcp_receiver(
            self.ctx.as_ptr(),
            &Ends { source, destination, source_port: 0, destination_port },
        )
    }

    /// The UDP socket that would get what is sent there.
    #[inline(always)]
    pub fn udp_receiver(&self, destination: Address, destination_port: u16) -> Receiver {
        let source_port = self.own_port();
        // What the kernel chooses: of IPv4 the first one of loopback.
        let source = if destination.v4_word().is_some() { Address::LOOPBACK4 } else { destination };
        udp_receiver(
            self.ctx.as_ptr(),
            &Ends { source, destination, source_port, destination_port },
        )
    }

    /// Connections from the socket's own port to ports of `::1`, as their packets arrive: from there, to the socket.
    ///
    /// Made once for all ports that are asked for: the verifier goes through every one of them.
    #[inline(always)]
    pub fn connected6(&self) -> Connected6 {
        let sk = self.sk();
        // SAFETY: as in `own_port`; volatile, as in `address`.
        let mut own = unsafe {
            Address {
                words: [
                    read_volatile(&raw const (*sk).src_ip6[0]),
                    read_volatile(&raw const (*sk).src_ip6[1]),
                    read_volatile(&raw const (*sk).src_ip6[2]),
                    read_volatile(&raw const (*sk).src_ip6[3]),
                ],
            }
        };
        if own.words == [0; 4] {
            // What the kernel will choose.
            own = Address::LOOPBACK6;
        }
        Connected6 {
            ctx: self.ctx.as_ptr(),
            tuple: bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2 {
                saddr: Address::LOOPBACK6.words,
                daddr: own.words,
                sport: 0,
                dport: self.own_port().to_be(),
            },
        }
    }

    /// In place.
    #[inline(always)]
    pub fn record(&self) -> Option<SocketRecord> {
        socket_record(self.sk())
    }

    #[inline(always)]
    pub fn state(&self) -> Option<SocketState> {
        socket_record(self.sk()).map(|socket| socket.state())
    }

    /// Remembers where the socket wanted to go; false when there is no memory for it.
    #[inline(always)]
    #[must_use]
    pub fn remember(&self, state: &SocketState) -> bool {
        // New storage is zero, which lets nothing out.
        let record = storage(self.sk(), null_mut(), u64::from(BPF_SK_STORAGE_GET_F_CREATE));
        if record.is_null() {
            return false;
        }
        // SAFETY: non-null storage of a socket that the hook holds. An existing record is
        // replaced whole: nothing of an earlier call on the socket survives.
        unsafe { *record = *state };
        true
    }
}

/// See [`SockAddr::connected6`].
pub struct Connected6 {
    ctx: *mut c_void,
    tuple: bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2,
}

impl Connected6 {
    /// Whether there is one to this port already.
    #[inline(always)]
    pub fn has(&mut self, port: u16) -> bool {
        self.tuple.sport = port.to_be();
        let length = size_of::<bpf_sock_tuple__bindgen_ty_1__bindgen_ty_2>() as u32;
        let tuple: *mut bpf_sock_tuple = (&raw mut self.tuple).cast();
        // SAFETY: the helper takes the context, and reads as much of the tuple as it is told.
        let found = unsafe { bpf_skc_lookup_tcp(self.ctx, tuple, length, CURRENT_NETNS, 0) };
        if found.is_null() {
            return false;
        }
        // SAFETY: a socket that the helper has given, and that is given back right here.
        unsafe {
            let state = read_volatile(&raw const (*found).state);
            bpf_sk_release(found.cast());
            state != TCP_LISTEN
        }
    }
}
