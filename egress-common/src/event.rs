//! What the kernel side tells: refusals, and counters that no full buffer can lose.

use crate::{address::Address, hello::NameWords};

/// A record of the ring buffer [`crate::abi::map::EVENTS`]: one refusal.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// CLOCK_BOOTTIME nanoseconds.
    pub time_ns: u64,
    /// [`crate::sandbox::Sandbox::id`]; 0 when the process is in no sandbox that the hook knows.
    pub sandbox: u64,
    /// The socket's cookie, 0 where there is none yet.
    pub cookie: u64,
    /// The destination as the program gave it; unspecified for hooks without one.
    pub address: Address,
    /// Destination port, host byte order; 0 for hooks without one.
    pub port: u16,
    /// [`Hook`] as a number.
    pub hook: u8,
    /// [`crate::Reason`] as a number.
    pub reason: u8,
    /// IP protocol number; for [`Hook::Option`] the option's name, for [`Hook::Device`] the major.
    pub protocol: u16,
    /// `AF_INET` or `AF_INET6` of the socket, 0 in the packet hook; for [`Hook::Option`] the level,
    /// for [`Hook::Device`] its [`crate::device::kind`].
    pub family: u8,
    /// `SOCK_STREAM`, `SOCK_DGRAM`, ... of the socket; 0 where the hook is not told.
    pub socket_type: u8,
    /// Thread group of the program; 0 for [`Hook::Create`] and [`Hook::Option`], and in the packet
    /// hook, which runs in any context. So are the next two, but for [`Hook::SendConnected`]: there this and
    /// the next are of who connected.
    pub tgid: u32,
    /// Its user, as the initial user namespace sees it.
    pub uid: u32,
    /// Its command name, zero-padded.
    pub comm: [u8; 16],
    /// For [`Hook::Device`] the minor number; otherwise zero.
    pub minor: u64,
    /// Zero.
    pub reserved: u64,
}

/// A record of the ring buffer, told apart by [`Event::hook`]: what the packet hook found in a payload
/// of a direct connection that it did not let pass, before the server had answered.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloEvent {
    /// The connection; its reason is 0, as user space finds it. Its ends are in [`Unverified`].
    pub event: Event,
    /// [`crate::hello::Finding`] as a number.
    pub finding: u8,
    /// Hellos of the connection that had left before; more than 255 never do.
    pub hellos: u8,
    /// Zero.
    pub reserved: [u8; 2],
    /// Bytes of the name; 0 without one.
    pub name_length: u32,
    /// The server name in lower case, and zeros.
    pub name: NameWords,
}

/// Value of the map [`crate::abi::map::UNVERIFIED`]: a direct connection that no server has answered yet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// [`crate::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// Cookie of its network namespace.
    pub netns: u64,
    /// Its own end.
    pub source: Address,
    /// Where it goes.
    pub destination: Address,
    /// Its own port, host byte order.
    pub source_port: u16,
    /// Where it goes, host byte order.
    pub destination_port: u16,
    /// Hellos of it that have left, counted only after user space was told of one that was not whole;
    /// [`LINE`] where payload of another protocol has.
    pub hellos: u32,
}

/// Of [`Unverified::hellos`]: the first line of another protocol than TLS has begun to leave. The rest are the
/// hellos, or the times that some of the line was held.
pub const LINE: u32 = 1 << 31;

/// Which hook refused.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// connect(2) and TCP Fast Open.
    Connect = 1,
    /// sendto(2), sendmsg(2) on an unconnected datagram socket.
    Send = 2,
    /// socket(2).
    Create = 3,
    /// setsockopt(2).
    Option = 4,
    /// A packet that no other hook had approved.
    Packet = 5,
    /// A payload of a direct connection that is not answered yet; the record is a [`HelloEvent`].
    Hello = 6,
    /// open(2) and mknod(2) of a device.
    Device = 7,
    /// A send on a connected datagram socket, which the packet hook refuses.
    SendConnected = 8,
}

impl Hook {
    /// The hook with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Connect),
            2 => Some(Self::Send),
            3 => Some(Self::Create),
            4 => Some(Self::Option),
            5 => Some(Self::Packet),
            6 => Some(Self::Hello),
            7 => Some(Self::Device),
            8 => Some(Self::SendConnected),
            _ => None,
        }
    }
}

/// Index into [`crate::usage::Usage::counters`]: each is counted for a sandbox.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Events that found no room in the ring buffer, or not in the sandbox's share of it.
    EventsLost = 0,
    /// Connections refused because a map, or the sandbox's share of it, was full, or socket storage could
    /// not be had.
    MapFull = 1,
    /// Packets dropped by the backstop.
    PacketsDropped = 2,
    /// Connections that went straight out.
    Direct = 3,
    /// SYNs that were held and not told of, as there was no room in the ring, or not in the sandbox's share of it:
    /// the program's next one, a second later, is told of.
    SynsLost = 4,
    /// Payloads of direct connections that found no room in the ring of held payloads, or not in the sandbox's
    /// share of it; they are held until the kernel sends them again, and told then.
    PayloadsUntold = 5,
}

/// Number of counters.
pub const COUNTERS: u32 = Counter::PayloadsUntold as u32 + 1;
