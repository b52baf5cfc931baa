//! Whose a socket is: the storage that says it, and the look for the socket that a packet reaches.

use core::{
    ffi::c_void,
    ptr::{null, null_mut, read_volatile},
};

use aya_ebpf::{
    bindings::{
        BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE,
        bpf_map_type::BPF_MAP_TYPE_SK_STORAGE, bpf_sock, bpf_sock_tuple,
    },
    helpers::generated::{
        bpf_sk_lookup_tcp, bpf_sk_lookup_udp, bpf_sk_release, bpf_sk_storage_get,
        bpf_skc_lookup_tcp,
    },
};
use egress_common::{Address, flow::SocketOwner};

use crate::maps::OWNERS;

/// linux/bpf.h: BPF_F_CURRENT_NETNS.
const CURRENT_NETNS: u64 = u64::MAX;
/// include/net/tcp_states.h.
const TCP_TIME_WAIT: u32 = 6;
pub(super) const TCP_LISTEN: u32 = 10;
const TCP_NEW_SYN_RECV: u32 = 12;

/// As `aya_ebpf::btf_maps::SkStorage`, which cannot have BPF_F_CLONE. The loader reads the types of the fields alone.
#[repr(C)]
pub struct InheritedStorage<T> {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the pointers are never looked at; the kernel guards the map itself.
unsafe impl<T> Sync for InheritedStorage<T> {}

impl<T> InheritedStorage<T> {
    #[expect(clippy::new_without_default, reason = "a static needs a constant")]
    pub const fn new() -> Self {
        Self { r#type: null(), key: null(), value: null(), max_entries: null(), map_flags: null() }
    }
}

/// Null where the socket has none.
#[inline(always)]
fn storage(sk: *mut c_void, value: *mut SocketOwner, flags: u32) -> *mut SocketOwner {
    let map = (&raw const OWNERS).cast_mut().cast();
    // SAFETY: the verifier checks that `sk` is a socket, or the context of a hook of one, and `value` null or a
    // whole record.
    unsafe { bpf_sk_storage_get(map, sk, value.cast(), flags.into()).cast() }
}

/// Whose the socket is. Zero where nobody's.
#[inline(always)]
pub(super) fn owner(sk: *mut bpf_sock) -> SocketOwner {
    if sk.is_null() {
        return SocketOwner::default();
    }
    let record = storage(sk.cast(), null_mut(), 0);
    if record.is_null() {
        return SocketOwner::default();
    }
    // SAFETY: storage lives as long as its socket, which the hook holds.
    unsafe { *record }
}

/// Makes a socket somebody's; where there is no memory, it stays nobody's. `sock` is the context of sock_create.
#[inline(always)]
pub(super) fn set_owner(sock: *mut c_void, mut owner: SocketOwner) {
    storage(sock, &raw mut owner, BPF_SK_STORAGE_GET_F_CREATE);
}

/// Adds an option to a socket that is somebody's.
#[inline(always)]
pub(super) fn add_option(sk: *mut bpf_sock, option: u32) {
    if sk.is_null() {
        return;
    }
    let record = storage(sk.cast(), null_mut(), 0);
    if !record.is_null() {
        // SAFETY: as in `owner`; the socket is locked by whoever listens or sets an option.
        unsafe { (*record).options |= option };
    }
}

/// The two ends of a packet.
#[derive(Clone, Copy)]
pub struct Ends {
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
}

/// What there is at the end of a packet's way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// No socket, or what is left of a connection that has ended: the kernel answers by itself.
    Nothing,
    /// A listener, or a datagram socket: whichever it is of those that share the port.
    Socket,
    /// The very connection, or the one that is about to be.
    Connection,
}

/// The socket that a packet would reach now.
#[derive(Clone, Copy)]
pub struct Receiver {
    pub at: At,
    /// Of a connection: it is there, and not only asked for.
    pub is_whole: bool,
    /// Zero where it is nobody's.
    pub owner: SocketOwner,
}

const NOTHING: Receiver = Receiver {
    at: At::Nothing,
    is_whole: false,
    owner: SocketOwner { sandbox: 0, slot: 0, options: 0 },
};

/// As the lookups take it: IPv4 in three words, IPv6 in nine.
#[inline(always)]
fn tuple(ends: &Ends) -> ([u32; 9], u32) {
    let ports =
        u32::from(ends.source_port.to_be()) | u32::from(ends.destination_port.to_be()) << 16;
    let [a, b, c, d] = ends.source.words;
    let [e, f, g, h] = ends.destination.words;
    match ends.destination.v4_word() {
        Some(_) => ([d, h, ports, 0, 0, 0, 0, 0, 0], 12),
        None => ([a, b, c, d, e, f, g, h, ports], 36),
    }
}

/// By the hook's own network namespace.
#[inline(always)]
pub(super) fn tcp_receiver(ctx: *mut c_void, ends: &Ends) -> Receiver {
    let (mut words, length) = tuple(ends);
    let tuple: *mut bpf_sock_tuple = (&raw mut words).cast();
    // SAFETY: the helper takes the context, and reads as much of the tuple as it is told.
    let found = unsafe { bpf_skc_lookup_tcp(ctx, tuple, length, CURRENT_NETNS, 0) };
    if found.is_null() {
        return NOTHING;
    }
    // SAFETY: a socket that the helper has given, and that is given back right here. Of what is no whole socket
    // the storage is none.
    let (state, mut owner) = unsafe {
        let state = read_volatile(&raw const (*found).state);
        let owner = owner(found);
        bpf_sk_release(found.cast());
        (state, owner)
    };
    if state == TCP_TIME_WAIT {
        return NOTHING;
    }
    if state == TCP_NEW_SYN_RECV {
        // SAFETY: as above. Gives the listener of what is about to be a connection.
        let listener = unsafe { bpf_sk_lookup_tcp(ctx, tuple, length, CURRENT_NETNS, 0) };
        if listener.is_null() {
            return NOTHING;
        }
        owner = self::owner(listener);
        // SAFETY: as above.
        unsafe { bpf_sk_release(listener.cast()) };
    }
    let at = if state == TCP_LISTEN { At::Socket } else { At::Connection };
    Receiver { at, is_whole: state != TCP_NEW_SYN_RECV, owner }
}

#[inline(always)]
pub(super) fn udp_receiver(ctx: *mut c_void, ends: &Ends) -> Receiver {
    let (mut words, length) = tuple(ends);
    // SAFETY: as in `tcp_receiver`.
    let found =
        unsafe { bpf_sk_lookup_udp(ctx, (&raw mut words).cast(), length, CURRENT_NETNS, 0) };
    if found.is_null() {
        return NOTHING;
    }
    let owner = owner(found);
    // SAFETY: as in `tcp_receiver`.
    unsafe { bpf_sk_release(found.cast()) };
    Receiver { at: At::Socket, is_whole: true, owner }
}
