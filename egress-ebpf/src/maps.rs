//! Every map: who writes it, how large, and what happens when it is full.
//!
//! The large ones allocate as they fill: allocated at once they would be 20 MiB and several
//! milliseconds a run. Those of `capacity::EACH` are made larger by the loader where there are to be
//! several sandboxes; of what is written here each takes no more than its share, which is refused as
//! where the map is full.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{self, ArrayOfMaps, SkStorage},
    macros::{btf_map, map},
    maps::{Array, HashMap, LpmTrie, LruHashMap, RingBuf},
};
use egress_common::{
    abi::capacity,
    device::DeviceKey,
    event::Unverified,
    first_line::FollowedLine,
    flow::{FlowKey, FlowValue, SocketOwner, SocketState},
    held::{HeldSyn, Released},
    payload::{Approval, Block, BlockKey},
    pin::{NameKey, NameValue, PinKey, PinValue, RuleKey, RuleValue},
    sandbox::{Sandbox, WORKERS},
    usage::Usage,
};

use crate::context::InheritedStorage;

/// `BPF_F_MMAPABLE` of linux/bpf.h (5.5).
const MMAPABLE: u32 = 1 << 10;

/// Written by user space, one entry a sandbox. Full: a new sandbox does not start.
#[map]
pub static SANDBOXES: HashMap<u64, Sandbox> = HashMap::with_max_entries(capacity::SANDBOXES, 0);

/// Written by user space before a DNS answer leaves. Full: the lookup fails (`dns_failed`).
#[map]
pub static PINS: HashMap<PinKey, PinValue> =
    HashMap::with_max_entries(capacity::PINS, BPF_F_NO_PREALLOC);

/// Written by user space before the pin that they are names of. Full: the lookup fails.
#[map]
pub static NAMES: HashMap<NameKey, NameValue> =
    HashMap::with_max_entries(capacity::NAMES, BPF_F_NO_PREALLOC);

/// Entries are made by user space and counted up and down here. Full: the name's connections do not
/// keep its pin alive, nor do those to the address that name nobody.
#[map]
pub static LIVE: HashMap<u64, u64> = HashMap::with_max_entries(capacity::LIVE, BPF_F_NO_PREALLOC);

/// Written by sockops before the SYN, deleted when a server has answered a good hello, or at close:
/// whoever ends the filter has to end these first, or what they hold back would leave. Full: the
/// connection sends nothing.
#[map]
pub static UNVERIFIED: HashMap<u64, Unverified> =
    HashMap::with_max_entries(capacity::UNVERIFIED, BPF_F_NO_PREALLOC);

/// Written by user space when a policy is loaded. Full: the policy is refused.
#[map]
pub static ADDRESSES: LpmTrie<RuleKey, RuleValue> =
    LpmTrie::with_max_entries(capacity::ADDRESSES, 0);

/// Written by sockops when a redirected SYN is about to leave, taken by the proxy at accept,
/// deleted at the close of what was never connected; user space clears the rest away. Not an LRU: one sandbox could evict another's records. Full: the proxy finds
/// no record and closes the connection.
#[map]
pub static FLOWS: HashMap<FlowKey, FlowValue> =
    HashMap::with_max_entries(capacity::FLOWS, BPF_F_NO_PREALLOC);

/// Written by the packet hook for each datagram to the DNS listener. An LRU, since UDP has no
/// close that these hooks see: an evicted asker gets no answer and asks again. How many sockets of a sandbox
/// may begin to ask is bounded (`usage::ASKED_MOST`): else one could evict another's records.
#[map]
pub static ASKERS: LruHashMap<FlowKey, FlowValue> =
    LruHashMap::with_max_entries(capacity::ASKERS, 0);

/// Written by the connect and sendmsg hooks; freed with its socket. No memory: refused.
#[btf_map]
pub static SOCKETS: SkStorage<SocketState> = SkStorage::new();

/// Written when a socket is made, and by the listen and setsockopt hooks; a connection that is accepted has a copy of
/// its listener's. No memory: the socket is nobody's own.
#[btf_map]
pub static OWNERS: InheritedStorage<SocketOwner> = InheritedStorage::new();

/// Written by the packet hook, for connections of other protocols than TLS that need no proxy. No memory: nothing of them
/// leaves.
#[btf_map]
pub static LINES: SkStorage<FollowedLine> = SkStorage::new();

/// Written by user space when a sandbox starts, from what the machine's kernel knows then. Full: the
/// sandbox does not start.
#[map]
pub static DEVICES: HashMap<DeviceKey, u32> =
    HashMap::with_max_entries(capacity::DEVICES, BPF_F_NO_PREALLOC);

/// Read by user space. Full, or the sandbox's share of it (`usage::may_report`): the event is lost and
/// counted; the decision stands.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(capacity::EVENT_BYTES, 0);

/// Read by user space, each by its worker. Full, or the sandbox's share of it: the SYN is dropped untold, which is
/// counted, and the program's own next one, a second later, is told.
#[btf_map]
pub static SYNS: ArrayOfMaps<SynRing, WORKERS> = ArrayOfMaps::new();

/// How large one is, user space says.
pub type SynRing = btf_maps::RingBuf<HeldSyn, { capacity::SYN_BYTES as usize }>;

/// Written by user space, removed when the socket is connected, or by user space. Full: the connect is let in
/// without a name of its own.
#[map]
pub static RELEASED: HashMap<u64, Released> =
    HashMap::with_max_entries(capacity::RELEASED, BPF_F_NO_PREALLOC);

/// Read by user space. Full, or the sandbox's share of it: what is held is told when TCP sends it again.
#[map]
pub static PAYLOADS: RingBuf = RingBuf::with_byte_size(capacity::PAYLOAD_BYTES, 0);

/// Written by user space, behind the blocks that it names, and removed there. Full: the connection waits.
#[map]
pub static APPROVALS: HashMap<u64, Approval> =
    HashMap::with_max_entries(capacity::APPROVALS, BPF_F_NO_PREALLOC);

/// Written and removed by user space. Full: the connection waits.
#[map]
pub static APPROVED: HashMap<BlockKey, Block> =
    HashMap::with_max_entries(capacity::APPROVED, BPF_F_NO_PREALLOC);

/// What each sandbox takes of the other maps, and counters that a full ring cannot lose. Changed here and
/// by user space, in place.
#[map]
pub static USAGE: Array<Usage> = Array::with_max_entries(capacity::USAGE, MMAPABLE);
