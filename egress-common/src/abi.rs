//! Names, capacities and the version that both sides agree on.

/// Changes with every change of a record or a map that an older daemon could not read.
pub const ABI_VERSION: u32 = 13;

/// Names of the maps, as they stand in the kernel object (at most 15 bytes: `BPF_OBJ_NAME_LEN`).
pub mod map {
    /// cgroup id → [`crate::sandbox::Sandbox`].
    pub const SANDBOXES: &str = "SANDBOXES";
    /// [`crate::pin::PinKey`] → [`crate::pin::PinValue`].
    pub const PINS: &str = "PINS";
    /// [`crate::pin::NameKey`] → [`crate::pin::NameValue`].
    pub const NAMES: &str = "NAMES";
    /// [`crate::pin::NameValue::pin`] → number of direct connections that named it and live;
    /// [`crate::pin::PinValue::live`] → of those to the address that live, and have named nobody.
    pub const LIVE: &str = "LIVE";
    /// Socket cookie → [`crate::event::Unverified`]: direct connections without an answer.
    pub const UNVERIFIED: &str = "UNVERIFIED";
    /// [`crate::pin::RuleKey`] (longest prefix) → [`crate::pin::RuleValue`].
    pub const ADDRESSES: &str = "ADDRESSES";
    /// [`crate::device::DeviceKey`] → [`crate::device::access`] bits that are allowed.
    pub const DEVICES: &str = "DEVICES";
    /// [`crate::flow::FlowKey`] → [`crate::flow::FlowValue`] of redirected TCP connections.
    pub const FLOWS: &str = "FLOWS";
    /// [`crate::flow::FlowKey`] → [`crate::flow::FlowValue`] of the sockets that asked the DNS
    /// listener over UDP.
    pub const ASKERS: &str = "ASKERS";
    /// Socket storage: [`crate::flow::SocketState`].
    pub const SOCKETS: &str = "SOCKETS";
    /// Socket storage: [`crate::flow::SocketOwner`].
    pub const OWNERS: &str = "OWNERS";
    /// Socket storage: [`crate::first_line::FollowedLine`].
    pub const LINES: &str = "LINES";
    /// Ring buffer of [`crate::event::Event`].
    pub const EVENTS: &str = "EVENTS";
    /// Worker → ring buffer of [`crate::held::HeldSyn`] and [`crate::held::HeldHead`].
    pub const SYNS: &str = "SYNS";
    /// Socket cookie → [`crate::held::Released`].
    pub const RELEASED: &str = "RELEASED";
    /// Ring buffer of [`crate::payload::Piece`] and [`crate::payload::SmallPiece`].
    pub const PAYLOADS: &str = "PAYLOADS";
    /// Socket cookie → [`crate::payload::Approval`].
    pub const APPROVALS: &str = "APPROVALS";
    /// [`crate::payload::BlockKey`] → [`crate::payload::Block`].
    pub const APPROVED: &str = "APPROVED";
    /// [`crate::sandbox::Sandbox::slot`] → [`crate::usage::Usage`].
    pub const USAGE: &str = "USAGE";
}

/// Capacities of the maps. What happens when one is full stands with each map in
/// `egress-ebpf/src/maps.rs`.
///
/// Where a number is that of one sandbox ([`capacity::EACH`]), the loader makes the map as many times as
/// large as there may be sandboxes: none can take what is another's. Empty hash maps cost 16 bytes an
/// entry.
pub mod capacity {
    use super::map;

    /// Most sandboxes of one loaded object.
    pub const SANDBOXES: u32 = 64;
    /// Pins: (sandbox, address) pairs. Twice what a sandbox's table of pins takes.
    pub const PINS: u32 = 8192;
    /// Names of pins: (sandbox, address, name). About 500 bytes each, as they fill.
    pub const NAMES: u32 = 8192;
    /// Counts of direct connections: one of each name, and one of each address.
    pub const LIVE: u32 = NAMES + PINS;
    /// Direct connections at once that no server has answered.
    pub const UNVERIFIED: u32 = 16_384;
    /// Address rules and non-public ranges.
    pub const ADDRESSES: u32 = 65_536;
    /// Redirected TCP connections between their SYN and the time when the proxy accepts them.
    pub const FLOWS: u32 = 16_384;
    /// UDP sockets that asked the DNS listener lately. A program of many threads begins 8,000 lookups in a second,
    /// each by a socket of its own, and each has its answer.
    pub const ASKERS: u32 = 24_576;
    /// Devices and majors that may be opened. A machine has some 500 majors at most, and a few dozen
    /// devices of the major that is shared (`misc`).
    pub const DEVICES: u32 = 4096;
    /// Bytes of the event ring, of all sandboxes; a power of two and of the page size. Each has a share
    /// of it: [`crate::usage::may_report`].
    pub const EVENT_BYTES: u32 = 1 << 18;
    /// Bytes of the rings of held SYNs, of all sandboxes and workers, as above.
    pub const SYN_BYTES: u32 = 1 << 20;
    /// Held connects that were let in and are not accepted yet.
    pub const RELEASED: u32 = FLOWS;
    /// Bytes of the ring of held payloads, of all sandboxes, as above.
    pub const PAYLOAD_BYTES: u32 = 1 << 20;
    /// Direct connections whose held payload is approved and has not left yet.
    pub const APPROVALS: u32 = 1024;
    /// Blocks of approved payload: 4 MiB, as they fill. A hello takes two.
    pub const APPROVED: u32 = 2 * APPROVALS;
    /// Records of usage: one of each sandbox, and one of what belongs to none.
    pub const USAGE: u32 = SANDBOXES + 1;

    /// The maps whose capacity is that of one sandbox.
    pub const EACH: [(&str, u32); 10] = [
        (map::PINS, PINS),
        (map::NAMES, NAMES),
        (map::LIVE, LIVE),
        (map::UNVERIFIED, UNVERIFIED),
        (map::ADDRESSES, ADDRESSES),
        (map::FLOWS, FLOWS),
        (map::ASKERS, ASKERS),
        (map::RELEASED, RELEASED),
        (map::APPROVALS, APPROVALS),
        (map::APPROVED, APPROVED),
    ];
}

/// Deepest cgroup level at which a sandbox is searched for, root being 0. A process deeper than
/// this below its sandbox is in no sandbox that the kernel side can see, and is refused.
pub const MAX_CGROUP_LEVEL: i32 = 16;

/// How a program of the object is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramSpec {
    /// Its name in the object.
    pub name: &'static str,
    /// `enum bpf_attach_type` of `linux/bpf.h`.
    pub attach_type: u32,
    /// What goes unenforced without it; for the message when it cannot be loaded.
    pub enforces: &'static str,
}

/// Every program, in the order of attachment: what closes comes before what redirects.
pub const PROGRAMS: &[ProgramSpec] = &[
    ProgramSpec { name: "egress_packet", attach_type: 1, enforces: "the packet backstop" },
    ProgramSpec { name: "egress_answer", attach_type: 0, enforces: "the end of a TLS handshake" },
    ProgramSpec {
        name: "egress_device",
        attach_type: 6,
        enforces: "refusal of devices that are networks",
    },
    ProgramSpec {
        name: "egress_create",
        attach_type: 2,
        enforces: "the allowlist of socket types",
    },
    ProgramSpec { name: "egress_sockopt", attach_type: 22, enforces: "refusal of routing options" },
    ProgramSpec { name: "egress_sockops", attach_type: 3, enforces: "original destinations" },
    ProgramSpec { name: "egress_connect4", attach_type: 10, enforces: "IPv4 connect" },
    ProgramSpec { name: "egress_connect6", attach_type: 11, enforces: "IPv6 connect" },
    ProgramSpec { name: "egress_sendmsg4", attach_type: 14, enforces: "IPv4 datagrams" },
    ProgramSpec { name: "egress_sendmsg6", attach_type: 15, enforces: "IPv6 datagrams" },
    ProgramSpec { name: "egress_recvmsg4", attach_type: 19, enforces: "IPv4 DNS answers' source" },
    ProgramSpec { name: "egress_recvmsg6", attach_type: 20, enforces: "IPv6 DNS answers' source" },
    ProgramSpec { name: "egress_peer4", attach_type: 29, enforces: "getpeername over IPv4" },
    ProgramSpec { name: "egress_peer6", attach_type: 30, enforces: "getpeername over IPv6" },
    ProgramSpec { name: "egress_local4", attach_type: 31, enforces: "getsockname over IPv4" },
    ProgramSpec { name: "egress_local6", attach_type: 32, enforces: "getsockname over IPv6" },
];

/// Constants that the loader writes into the object's read-only data.
pub mod global {
    /// 1 where the kernel has `bpf_set_retval` for cgroup hooks (5.18): then refused socket types
    /// get EPROTONOSUPPORT and refused destinations [`crate::sandbox::Sandbox::refusal_errno`], otherwise
    /// all get EPERM.
    pub const HAVE_SET_RETVAL: &str = "HAVE_SET_RETVAL";
    /// 1 where the kernel has `bpf_loop` (5.17): otherwise the extensions of a hello are walked by a
    /// loop that the verifier unrolls.
    pub const HAVE_LOOP: &str = "HAVE_LOOP";
    /// 1 where the kernel's verifier takes the reading of first lines: otherwise user space reads all that is not TLS.
    pub const FOLLOWS_LINES: &str = "FOLLOWS_LINES";
    /// Offsets, in bytes, of `head` and `end` in `struct sk_buff` and of `flags` in `struct
    /// skb_shared_info`. Without them (0) the packet hook cannot see pages that a program shares
    /// with a packet, and takes every one for such.
    pub const SKB_HEAD: &str = "SKB_HEAD";
    /// See [`SKB_HEAD`].
    pub const SKB_END: &str = "SKB_END";
    /// See [`SKB_HEAD`].
    pub const SHARED_FLAGS: &str = "SHARED_FLAGS";
}

/// The DNS port, which the DNS listener always takes.
pub const DNS_PORT: u16 = 53;

/// Ports that plain HTTP is spoken on: each request has to be read, so that none goes straight out.
pub const HTTP_PORTS: [u16; 2] = [80, 8080];

/// How long what is held back of a direct connection may wait, in milliseconds. User space ends it sooner; with
/// user space dead the program has an error then instead of waiting for ever.
pub const UNVERIFIED_WAIT_MS: u32 = 4_001;
