//! The context of cgroup_skb: a packet from its network header on.

use core::{
    ffi::c_void,
    ptr::{null_mut, read_volatile},
};

use aya_ebpf::{
    bindings::{__sk_buff, BPF_SK_STORAGE_GET_F_CREATE},
    helpers::generated::{
        bpf_get_socket_cookie, bpf_loop, bpf_probe_read_kernel, bpf_sk_release, bpf_skb_load_bytes,
        bpf_skc_lookup_tcp,
    },
    programs::SkBuffContext,
};
use egress_common::{
    Address,
    flow::{SocketOwner, SocketState},
    hello::{Bytes, MAX_EXTENSIONS, NAME_BYTES, NameWords, Walk},
    records::{MAX_RECORDS, Records},
};

use super::{
    SocketRecord,
    owner::{Ends, Receiver, TCP_LISTEN, owner, tcp_receiver, udp_receiver},
    sock_addr::CURRENT_NETNS,
    socket_record,
    socket_record::storage,
};

/// Written by the loader: 1 where the kernel has `bpf_loop` (5.17). The verifier knows the value and
/// looks at the form that is used alone.
#[unsafe(no_mangle)]
static HAVE_LOOP: u8 = 0;
/// Written by the loader: 1 where the verifier takes the reading of first lines.
#[unsafe(no_mangle)]
static FOLLOWS_LINES: u8 = 0;
/// Written by the loader: where `struct sk_buff` and `struct skb_shared_info` have what is read.
#[unsafe(no_mangle)]
static SKB_HEAD: u32 = 0;
#[unsafe(no_mangle)]
static SKB_END: u32 = 0;
#[unsafe(no_mangle)]
static SHARED_FLAGS: u32 = 0;

/// SKBFL_ZEROCOPY_ENABLE, SHARED_FRAG, PURE_ZEROCOPY, DONT_ORPHAN, MANAGED_FRAG_REFS of
/// linux/skbuff.h: each means pages that somebody else may write to.
const SHARED: u8 = 0x1f;

/// A packet that leaves or arrives.
#[derive(Clone, Copy)]
pub struct Packet {
    pub(super) skb: *mut __sk_buff,
}

/// Whether the kernel has `bpf_loop`.
#[inline(always)]
pub fn has_loop() -> bool {
    // SAFETY: a static that the loader has frozen; volatile, since to the compiler it is constant.
    unsafe { read_volatile(&raw const HAVE_LOOP) == 1 }
}

/// Whether first lines are followed here.
#[inline(always)]
pub fn follows_lines() -> bool {
    // SAFETY: as in `has_loop`.
    has_loop() && unsafe { read_volatile(&raw const FOLLOWS_LINES) == 1 }
}

impl Packet {
    #[inline(always)]
    pub fn new(ctx: SkBuffContext) -> Self {
        Self { skb: ctx.skb.skb }
    }

    /// Bytes from the network header on.
    #[inline(always)]
    pub fn length(&self) -> u32 {
        // SAFETY: the context is valid for the whole program.
        unsafe { read_volatile(&raw const (*self.skb).len) }
    }

    /// Index of the interface that the packet leaves by.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        // SAFETY: as in `length`.
        unsafe { read_volatile(&raw const (*self.skb).ifindex) }
    }

    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context.
        unsafe { bpf_get_socket_cookie(self.skb.cast()) }
    }

    #[inline(always)]
    pub fn socket(&self) -> Option<SocketRecord> {
        // SAFETY: as in `length`.
        socket_record(unsafe { (*self.skb).__bindgen_anon_2.sk })
    }

    /// Whose the sending socket is.
    #[inline(always)]
    pub fn owner(&self) -> SocketOwner {
        // SAFETY: as in `length`.
        owner(unsafe { (*self.skb).__bindgen_anon_2.sk })
    }

    /// The TCP socket that a packet with these ends reaches.
    #[inline(always)]
    pub fn tcp_receiver(&self, ends: &Ends) -> Receiver {
        tcp_receiver(self.skb.cast(), ends)
    }

    /// The same of UDP.
    #[inline(always)]
    pub fn udp_receiver(&self, ends: &Ends) -> Receiver {
        udp_receiver(self.skb.cast(), ends)
    }

    /// Keeps a record of the sending socket, unless that is a listener, which sends for many.
    #[inline(always)]
    pub fn remember(&self, state: &SocketState) {
        // SAFETY: as in `length`.
        let sk = unsafe { (*self.skb).__bindgen_anon_2.sk };
        // SAFETY: the verifier has seen the null check; part of every socket.
        if sk.is_null() || unsafe { read_volatile(&raw const (*sk).state) } == TCP_LISTEN {
            return;
        }
        let record = storage(sk, null_mut(), u64::from(BPF_SK_STORAGE_GET_F_CREATE));
        if !record.is_null() {
            // SAFETY: non-null storage of a socket that the hook holds.
            unsafe { *record = *state };
        }
    }

    /// The first `N` words as they lie in memory; none where they do not lie in one piece, as those of
    /// every packet that TCP makes do.
    #[inline(always)]
    pub fn words<const N: usize>(&self) -> Option<&[u32; N]> {
        // SAFETY: as in `length`.
        let (start, end) = unsafe {
            (
                read_volatile(&raw const (*self.skb).data),
                read_volatile(&raw const (*self.skb).data_end),
            )
        };
        let words = start as usize as *const [u32; N];
        if start as usize + size_of::<[u32; N]>() > end as usize {
            return None;
        }
        // SAFETY: within the packet, as the verifier has seen too; its network header is aligned to
        // four bytes, as the kernel's own reads of it need.
        Some(unsafe { &*words })
    }

    /// Whether a program may still change the payload: sendfile, splice, vmsplice, MSG_ZEROCOPY put
    /// its own pages into the packet. Also when that cannot be told.
    #[inline(always)]
    pub fn shares_pages(&self) -> bool {
        // SAFETY: statics that the loader has frozen; volatile, since to the compiler they are
        // constant.
        let (head_at, end_at, flags_at) = unsafe {
            (
                read_volatile(&raw const SKB_HEAD),
                read_volatile(&raw const SKB_END),
                read_volatile(&raw const SHARED_FLAGS),
            )
        };
        if head_at == 0 || end_at == 0 {
            return true;
        }
        let (mut head, mut end, mut flags) = (0_u64, 0_u32, 0_u8);
        let skb = self.skb as u64;
        // SAFETY: the helper copies exactly as many bytes as each target has, or fails; it takes
        // any kernel address.
        unsafe {
            let at = |address: u64| address as *const c_void;
            bpf_probe_read_kernel((&raw mut head).cast(), 8, at(skb + u64::from(head_at))) != 0
                || bpf_probe_read_kernel((&raw mut end).cast(), 4, at(skb + u64::from(end_at))) != 0
                || bpf_probe_read_kernel(
                    (&raw mut flags).cast(),
                    1,
                    at(head + u64::from(end) + u64::from(flags_at)),
                ) != 0
                || flags & SHARED != 0
        }
    }

    /// Whether its source is an address of loopback. `transport` as in [`Self::has_listener`].
    #[inline(always)]
    pub fn is_from_loopback(&self, transport: u32) -> bool {
        if transport == 20 {
            self.load::<1>(12).is_some_and(|[first]| first == 127)
        } else {
            let source = self.load::<16>(8);
            source.is_some_and(|source| Address::from_octets(source) == Address::LOOPBACK6)
        }
    }

    /// Whether somebody listens, or is connected, where this packet goes, in the namespace that it is in.
    /// `transport`: where the TCP header begins, 20 or 40. Also when that cannot be told.
    #[inline(always)]
    pub fn has_listener(&self, transport: u32) -> bool {
        // The addresses and ports of a packet lie as the helper wants them.
        if transport == 20 {
            self.load::<12>(12).is_none_or(|mut tuple| self.finds(&mut tuple))
        } else {
            self.load::<36>(8).is_none_or(|mut tuple| self.finds(&mut tuple))
        }
    }

    #[inline(always)]
    fn finds<const N: usize>(&self, tuple: &mut [u8; N]) -> bool {
        // SAFETY: the helper takes the context, and reads as much of the tuple as it is told.
        let found = unsafe {
            bpf_skc_lookup_tcp(
                self.skb.cast(),
                tuple.as_mut_ptr().cast(),
                N as u32,
                CURRENT_NETNS,
                0,
            )
        };
        if found.is_null() {
            return false;
        }
        // SAFETY: a socket that the helper has given, and that is given back right here.
        unsafe { bpf_sk_release(found.cast()) };
        true
    }

    /// Walks a hello's extensions.
    #[inline(always)]
    pub fn walk(&self, walk: &mut Walk) {
        if has_loop() {
            let mut carried = Carried { packet: *self, walk: *walk };
            // SAFETY: the verifier checks `extension` with `carried` as its argument.
            unsafe {
                bpf_loop(MAX_EXTENSIONS, extension as *mut c_void, (&raw mut carried).cast(), 0)
            };
            *walk = carried.walk;
        } else {
            for _ in 0..MAX_EXTENSIONS {
                if !walk.step(self) {
                    break;
                }
            }
        }
    }

    /// Walks the records around a hello.
    #[inline(always)]
    pub fn records(&self, records: &mut Records) {
        if has_loop() {
            let mut carried = CarriedRecords { packet: *self, records: *records };
            // SAFETY: the verifier checks `record` with `carried` as its argument.
            unsafe { bpf_loop(MAX_RECORDS, record as *mut c_void, (&raw mut carried).cast(), 0) };
            *records = carried.records;
        } else {
            for _ in 0..MAX_RECORDS {
                if !records.step(self) {
                    break;
                }
            }
        }
    }
}

struct Carried {
    packet: Packet,
    walk: Walk,
}

struct CarriedRecords {
    packet: Packet,
    records: Records,
}

/// One turn of `bpf_loop`; 1 ends it.
#[inline(never)]
extern "C" fn record(_index: u32, carried: *mut c_void) -> i64 {
    // SAFETY: `Packet::records` gives a `CarriedRecords` of its own stack, which outlives the loop.
    let carried = unsafe { &mut *carried.cast::<CarriedRecords>() };
    let packet = carried.packet;
    if carried.records.step(&packet) { 0 } else { 1 }
}

/// One turn of `bpf_loop`; 1 ends it.
#[inline(never)]
extern "C" fn extension(_index: u32, carried: *mut c_void) -> i64 {
    // SAFETY: `Packet::walk` gives a `Carried` of its own stack, which outlives the loop.
    let carried = unsafe { &mut *carried.cast::<Carried>() };
    let packet = carried.packet;
    if carried.walk.step(&packet) { 0 } else { 1 }
}

impl Bytes for Packet {
    /// From the network header on.
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = [0_u8; N];
        // SAFETY: the helper writes exactly N bytes or fails.
        let result = unsafe {
            bpf_skb_load_bytes(self.skb.cast(), offset, bytes.as_mut_ptr().cast(), N as u32)
        };
        (result == 0).then_some(bytes)
    }

    #[inline(always)]
    fn load_name(&self, offset: u32, length: u32, name: &mut NameWords) -> bool {
        // 1 to 256 to the verifier, which does not follow the caller's checks this far.
        let length = (core::hint::black_box(length - 1) & (NAME_BYTES as u32 - 1)) + 1;
        // SAFETY: at most the 256 bytes that `name` has.
        unsafe {
            bpf_skb_load_bytes(self.skb.cast(), offset, name.as_mut_ptr().cast(), length) == 0
        }
    }
}
