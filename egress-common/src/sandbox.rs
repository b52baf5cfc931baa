//! What the kernel knows of a sandbox.

/// Most workers of a sandbox's proxy: each has a thread and listeners of its own. A power of two.
pub const WORKERS: usize = 8;

/// Most transparent IPv6 listeners, those of the workers first. Loopback has one IPv6 address, so that
/// as many sockets with one port of their own can be told apart by the listener's port. A power of two.
pub const LISTENERS6: usize = 32;

/// Value of the map [`crate::abi::map::SANDBOXES`], keyed by the id of the sandbox's cgroup.
///
/// A port of 0 means that there is no such listener; what would have gone to it is refused.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Identity in every other map and record: the id of the sandbox's cgroup.
    pub id: u64,
    /// [`flags`].
    pub flags: u32,
    /// How many of [`WORKERS`] there are; each connection goes to one of them, by chance.
    pub workers: u32,
    /// Where [`crate::usage::Usage`] of it stands.
    pub slot: u32,
    /// What a refused connect or send gives, as Linux numbers it; 0 is EPERM, as is every one where the kernel
    /// lets no hook choose ([`crate::abi::global::HAVE_SET_RETVAL`]).
    pub refusal_errno: u32,
    /// Transparent TCP listeners on 127.0.0.0/8, one a worker, host byte order, as are all ports here.
    pub tcp4_ports: [u16; WORKERS],
    /// Transparent TCP listeners on `::1`; there may be fewer.
    pub tcp6_ports: [u16; LISTENERS6],
    /// DNS over UDP on 127.0.0.1.
    pub dns_udp4_port: u16,
    /// DNS over UDP on `::1`.
    pub dns_udp6_port: u16,
    /// DNS over TCP on 127.0.0.0/8.
    pub dns_tcp4_port: u16,
    /// DNS over TCP on `::1`.
    pub dns_tcp6_port: u16,
    /// Cookie of the network namespace in which the listeners are: only from there connections go
    /// straight out, as user space can end no others.
    pub netns: u64,
}

impl Sandbox {
    /// No sandbox: nothing has this id.
    pub const NONE: Self = Self {
        id: 0,
        flags: 0,
        workers: 0,
        slot: crate::usage::NOBODY,
        refusal_errno: 0,
        tcp4_ports: [0; WORKERS],
        tcp6_ports: [0; LISTENERS6],
        dns_udp4_port: 0,
        dns_udp6_port: 0,
        dns_tcp4_port: 0,
        dns_tcp6_port: 0,
        netns: 0,
    };

    /// Whether this is [`Self::NONE`].
    #[inline(always)]
    pub const fn is_none(&self) -> bool {
        self.id == 0
    }
}

/// Bits of [`Sandbox::flags`].
pub mod flags {
    /// A rule `*` allows public addresses that nothing else names.
    pub const PUBLIC: u32 = 1;
    /// Pinned addresses may be reached directly, where their pins say so.
    pub const DIRECT: u32 = 2;
    /// `ech = "allow"`.
    pub const ECH: u32 = 4;
    /// SYNs to the proxy are held until the network's answer is known.
    pub const HOLD: u32 = 8;
    /// Sockets of the sandbox that listen on loopback are reached from inside.
    pub const OWN_LOOPBACK: u32 = 16;
    /// Connections that others open to its listeners are answered.
    pub const INBOUND: u32 = 32;
}
