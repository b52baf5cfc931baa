//! The only pointer code: safe readers and writers over the kernel's contexts, maps and helpers.
//!
//! The kernel's verifier proves every access below before the program may run; the SAFETY notes say
//! which promise of the kernel each access rests on.

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock, bpf_sock_ops},
    helpers::{
        bpf_get_current_comm,
        generated::{
            bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id,
            bpf_get_current_pid_tgid, bpf_get_current_uid_gid, bpf_get_netns_cookie,
            bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_set_retval, bpf_sk_storage_get,
            bpf_skb_load_bytes, bpf_sock_ops_cb_flags_set,
        },
    },
    maps::{HashMap, PerCpuArray},
    programs::{SkBuffContext, SockAddrContext, SockContext, SockOpsContext, SockoptContext},
};
use core::ptr::{null_mut, read_volatile, write_volatile};
use egress_common::{Address, flow::SocketState};

use crate::maps::SOCKETS;

/// Return values of the cgroup hooks.
pub const PASS: i32 = 1;
pub const REFUSE: i32 = 0;

pub const AF_INET: u32 = 2;
pub const AF_INET6: u32 = 10;
pub const SOCK_STREAM: u32 = 1;
pub const SOCK_DGRAM: u32 = 2;
pub const IPPROTO_TCP: u32 = 6;
pub const IPPROTO_UDP: u32 = 17;
const EPROTONOSUPPORT: i32 = 93;

/// Written by the loader: 1 where the kernel has `bpf_set_retval` (5.18). The verifier knows the
/// value and never looks at the call where it is 0.
#[unsafe(no_mangle)]
static HAVE_SET_RETVAL: u8 = 0;

/// Which of the two forms of a `bpf_sock_addr` hook this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Who is running: only true in hooks that run in the program's own context.
#[derive(Clone, Copy)]
pub struct Process {
    pub tgid: u32,
    pub uid: u32,
    pub comm: [u8; 16],
}

impl Process {
    #[inline(always)]
    pub fn current() -> Self {
        // SAFETY: the helpers take no pointers.
        let (ids, users) = unsafe { (bpf_get_current_pid_tgid(), bpf_get_current_uid_gid()) };
        Self {
            tgid: (ids >> 32) as u32,
            uid: users as u32,
            comm: bpf_get_current_comm().unwrap_or([0; 16]),
        }
    }

    /// For hooks that run in any context.
    pub const NOBODY: Self = Self { tgid: 0, uid: 0, comm: [0; 16] };
}

#[inline(always)]
pub fn current_cgroup() -> u64 {
    // SAFETY: takes no pointer.
    unsafe { bpf_get_current_cgroup_id() }
}

/// 0 when the current cgroup is not that deep.
#[inline(always)]
pub fn current_ancestor(level: i32) -> u64 {
    // SAFETY: takes no pointer.
    unsafe { bpf_get_current_ancestor_cgroup_id(level) }
}

#[inline(always)]
pub fn boot_ns() -> u64 {
    // SAFETY: takes no pointer.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Makes a refused socket(2) answer EPROTONOSUPPORT instead of EPERM, so that callers fall back.
#[inline(always)]
pub fn answer_protocol_not_supported() {
    // SAFETY: a static that the loader has frozen; volatile, since to the compiler it is constant.
    if unsafe { read_volatile(&raw const HAVE_SET_RETVAL) } == 1 {
        // SAFETY: takes no pointer.
        unsafe { bpf_set_retval(-EPROTONOSUPPORT) };
    }
}

/// A copy of a map's value.
#[inline(always)]
pub fn lookup<K, V: Copy>(map: &HashMap<K, V>, key: &K) -> Option<V> {
    // SAFETY: the element is copied before the program ends, within the RCU section that the
    // kernel holds around it; a concurrent write can tear only between words, and every value
    // here is judged again in user space.
    unsafe { map.get(key) }.copied()
}

/// Adds one to a per-CPU counter.
#[inline(always)]
pub fn count(counters: &PerCpuArray<u64>, index: u32) {
    if let Some(value) = counters.get_ptr_mut(index) {
        // SAFETY: a live element of this CPU; the verifier has seen the null check.
        unsafe { *value += 1 };
    }
}

#[inline(always)]
fn storage(sk: *mut bpf_sock, value: *mut SocketState, flags: u64) -> *mut SocketState {
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the verifier checks that `sk` is a socket and `value` null or a whole record.
    unsafe { bpf_sk_storage_get(map, sk.cast(), value.cast(), flags).cast() }
}

#[inline(always)]
fn state_of(sk: *mut bpf_sock) -> Option<SocketState> {
    if sk.is_null() {
        return None;
    }
    let state = storage(sk, null_mut(), 0);
    // SAFETY: storage lives as long as its socket, which the hook holds.
    (!state.is_null()).then(|| unsafe { *state })
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
        // SAFETY: as in `address`; the verifier allows four-octet writes to these fields.
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

    #[inline(always)]
    pub fn state(&self) -> Option<SocketState> {
        state_of(self.sk())
    }

    /// Remembers where the socket wanted to go; false when there is no memory for it.
    #[inline(always)]
    #[must_use]
    pub fn remember(&self, state: &SocketState) -> bool {
        let mut initial = *state;
        let stored = storage(self.sk(), &raw mut initial, u64::from(BPF_SK_STORAGE_GET_F_CREATE));
        if stored.is_null() {
            return false;
        }
        // SAFETY: non-null storage of a socket that the hook holds. An existing record is
        // replaced whole: nothing of an earlier call on the socket survives.
        unsafe { *stored = *state };
        true
    }
}

/// The context of sock_create.
pub struct Socket {
    ctx: SockContext,
}

impl Socket {
    #[inline(always)]
    pub fn new(ctx: SockContext) -> Self {
        Self { ctx }
    }

    /// (family, type, protocol).
    #[inline(always)]
    pub fn kind(&self) -> (u32, u32, u32) {
        let sock = self.ctx.sock;
        // SAFETY: the context is valid for the whole program.
        unsafe {
            (
                read_volatile(&raw const (*sock).family),
                read_volatile(&raw const (*sock).type_),
                read_volatile(&raw const (*sock).protocol),
            )
        }
    }
}

/// The context of setsockopt.
pub struct Option_ {
    ctx: SockoptContext,
}

impl Option_ {
    #[inline(always)]
    pub fn new(ctx: SockoptContext) -> Self {
        Self { ctx }
    }

    /// (level, option name).
    #[inline(always)]
    pub fn name(&self) -> (i32, i32) {
        let ctx = self.ctx.sockopt;
        // SAFETY: the context is valid for the whole program.
        unsafe {
            (read_volatile(&raw const (*ctx).level), read_volatile(&raw const (*ctx).optname))
        }
    }

    /// Lets the kernel use the caller's own value untouched: without this, values over a page
    /// fail with EFAULT.
    #[inline(always)]
    pub fn leave_value(&self) {
        // SAFETY: as above; volatile, since LLVM would merge it with neighbouring fields.
        unsafe { write_volatile(&raw mut (*self.ctx.sockopt).optlen, 0) };
    }
}

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
        // SAFETY: as above; every member of the union is four octets of arguments.
        unsafe { read_volatile(&raw const (*self.ops).__bindgen_anon_1.args[1]) }
    }

    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context.
        unsafe { bpf_get_socket_cookie(self.ops.cast()) }
    }

    #[inline(always)]
    pub fn state(&self) -> Option<SocketState> {
        // SAFETY: as above.
        state_of(unsafe { (*self.ops).__bindgen_anon_2.sk })
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
        const BPF_SOCK_OPS_STATE_CB_FLAG: i32 = 1 << 2;
        // SAFETY: the helper takes the context.
        unsafe { bpf_sock_ops_cb_flags_set(self.ops, BPF_SOCK_OPS_STATE_CB_FLAG) };
    }
}

/// The context of cgroup_skb/egress: a packet from its network header on.
pub struct Packet {
    skb: *mut __sk_buff,
}

impl Packet {
    #[inline(always)]
    pub fn new(ctx: SkBuffContext) -> Self {
        Self { skb: ctx.skb.skb }
    }

    /// `N` octets at this offset of the network header; none when the packet is shorter.
    #[inline(always)]
    pub fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut octets = [0_u8; N];
        // SAFETY: the helper writes exactly N octets or fails.
        let result = unsafe {
            bpf_skb_load_bytes(self.skb.cast(), offset, octets.as_mut_ptr().cast(), N as u32)
        };
        (result == 0).then_some(octets)
    }

    /// Index of the interface that the packet leaves by.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        // SAFETY: the context is valid for the whole program.
        unsafe { read_volatile(&raw const (*self.skb).ifindex) }
    }

    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context.
        unsafe { bpf_get_socket_cookie(self.skb.cast()) }
    }

    #[inline(always)]
    pub fn state(&self) -> Option<SocketState> {
        // SAFETY: as in `interface`.
        state_of(unsafe { (*self.skb).__bindgen_anon_2.sk })
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
