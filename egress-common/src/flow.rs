//! Original destinations: how the proxy and the DNS listener learn who asked for what.

use crate::{address::Address, answer::Answer};

/// Key of the maps [`crate::abi::map::FLOWS`] and [`crate::abi::map::ASKERS`]: the sandboxed
/// socket as its peer sees it, and for TCP where it sees it: one port of a program's own may lead to
/// several destinations.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Cookie of the socket's network namespace (`SO_NETNS_COOKIE`).
    pub netns: u64,
    /// The socket's local address: a sandbox may bind 127.0.0.2 with a port that another uses.
    pub address: Address,
    /// The listener's address that it was redirected to; zero for UDP.
    pub listener: Address,
    /// The socket's local port, host byte order.
    pub port: u16,
    /// The listener's port, host byte order; zero for UDP.
    pub listener_port: u16,
    /// IPPROTO_TCP or IPPROTO_UDP.
    pub protocol: u16,
    /// Zero.
    pub reserved: u16,
}

/// Value of the maps [`crate::abi::map::FLOWS`] and [`crate::abi::map::ASKERS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowValue {
    /// The socket's cookie.
    pub cookie: u64,
    /// [`crate::sandbox::Sandbox::id`] of the sandbox that connected or sent.
    pub sandbox: u64,
    /// CLOCK_BOOTTIME nanoseconds when the record was written.
    pub seen_ns: u64,
    /// Where the program wanted to go.
    pub original: Address,
    /// Its port, host byte order.
    pub original_port: u16,
    /// [`kind`].
    pub kind: u16,
    /// Thread group of the program that connected or sent.
    pub tgid: u32,
    /// Its user, as the initial user namespace sees it.
    pub uid: u32,
    /// 1 when the socket has closed since. Its record stays until the proxy has accepted what it sent.
    pub ended: u32,
}

/// Socket storage, written by the connect and sendmsg hooks and read by sockops, the packet hook
/// and getpeername. A socket without it sends nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SocketState {
    /// [`crate::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// Cookie of the network namespace (not readable in the packet hook before 6.18).
    pub netns: u64,
    /// Where the program wanted to go.
    pub original: Address,
    /// Its port, host byte order.
    pub original_port: u16,
    /// [`kind`]; 0 means that the socket may send nothing.
    pub kind: u16,
    /// The listener's port that the socket was redirected to, host byte order.
    pub listener_port: u16,
    /// 4 when redirected to [`SocketState::listener4`], 6 when to `::1`.
    pub listener_family: u16,
    /// Thread group of the program.
    pub tgid: u32,
    /// Its user.
    pub uid: u32,
    /// Of a direct connection whose SYN has left: sequence number of the first byte that has not been
    /// let out yet.
    pub next: u32,
    /// [`option`].
    pub options: u32,
    /// CLOCK_BOOTTIME nanoseconds of the connect.
    pub connected_ns: u64,
    /// Address of 127.0.0.0/8 that the socket was redirected to, in network byte order.
    pub listener4: u32,
    /// [`crate::sandbox::Sandbox::slot`].
    pub slot: u32,
    /// As what a direct connection is counted until its close: [`crate::pin::NameValue::pin`] of the name that it has
    /// named, before that [`crate::pin::PinValue::live`] where it need not name one; else 0.
    pub pin: u64,
    /// Of a provisional connection: how far the server's bytes have been read.
    pub answer: Answer,
    /// Sequence number at which the client's next record begins.
    pub record: u32,
    /// Hellos of it that have been let out.
    pub hellos: u32,
    /// What `next` becomes once the hello that is judged is let out.
    pub next_after: u32,
    /// What `record` becomes then.
    pub record_after: u32,
    /// Of a connection that was held: its own address, as the server sees it.
    pub local: Address,
    /// Its port, host byte order; 0 where the socket's own name is told.
    pub local_port: u16,
    /// The worker whose listener the socket was redirected to, below [`crate::sandbox::WORKERS`].
    pub worker: u16,
    /// With [`option::REPORTED`]: sequence number behind the last byte that user space has a copy of; the end of the
    /// stream counts as one.
    pub told: u32,
}

/// Socket storage of every socket that a program of a sandbox has made; a connection that is accepted inherits its
/// listener's. It says whose a socket is, which a port does not.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SocketOwner {
    /// [`crate::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// [`crate::sandbox::Sandbox::slot`].
    pub slot: u32,
    /// [`owner`].
    pub options: u32,
}

/// Bits of [`SocketOwner::options`]; none is ever taken away.
pub mod owner {
    /// It listens, or was accepted from one that does.
    pub const LISTENS: u32 = 1;
    /// SO_REUSEADDR was set, or tried: with datagrams, anybody may share its port then.
    pub const REUSES_ADDRESS: u32 = 2;
    /// SO_REUSEPORT was set, or tried: whoever is the same user may share its port then.
    pub const REUSES_PORT: u32 = 4;
}

/// Bits of [`SocketState::options`].
pub mod option {
    /// Encrypted ClientHello passes.
    pub const ECH: u32 = 1;
    /// A first payload that is not TLS may pass, and a hello that names nobody.
    pub const UNREAD: u32 = 2;
    /// [`super::SocketState::next`] is known.
    pub const SEQUENCE: u32 = 4;
    /// User space has been told of what is held.
    pub const REPORTED: u32 = 8;
    /// Of a connection by way of the proxy: its SYN is held until user space knows the network's answer.
    pub const HOLD: u32 = 16;
    /// Only user space judges what comes next: it follows the beginning, of which something may have left.
    pub const FOLLOWED: u32 = 32;
    /// Payload has been let out.
    pub const LEFT: u32 = 64;
}

impl SocketState {
    /// The listener's address that the socket was redirected to.
    #[inline(always)]
    pub const fn listener(&self) -> Address {
        listener(self.listener_family, self.listener4)
    }

    /// The record of a flow of this socket, for those who see its packets arrive.
    #[inline(always)]
    pub const fn flow(&self, cookie: u64, seen_ns: u64) -> FlowValue {
        FlowValue {
            cookie,
            sandbox: self.sandbox,
            seen_ns,
            original: self.original,
            original_port: self.original_port,
            kind: self.kind,
            tgid: self.tgid,
            uid: self.uid,
            ended: 0,
        }
    }
}

/// The address of a redirected socket's listener, by [`SocketState::listener_family`] and
/// [`SocketState::listener4`].
#[inline(always)]
pub const fn listener(family: u16, v4: u32) -> Address {
    if family == 4 { Address::from_v4_word(v4) } else { Address::LOOPBACK6 }
}

/// Values of [`FlowValue::kind`] and [`SocketState::kind`].
pub mod kind {
    /// TCP to the transparent listener.
    pub const TCP: u16 = 1;
    /// TCP port 53, to the DNS listener.
    pub const DNS_TCP: u16 = 2;
    /// UDP port 53, to the DNS listener.
    pub const DNS_UDP: u16 = 3;
    /// TCP to the original destination itself; no payload has left yet.
    pub const DIRECT: u16 = 4;
    /// The same, its hello being judged and the server's answer to it seen: all passes.
    pub const VERIFIED: u16 = 5;
    /// The same, refused: nothing with payload leaves any more.
    pub const REFUSED: u16 = 6;
    /// TCP to the original destination itself; a good hello has left, and the server may still ask for
    /// another one.
    pub const PROVISIONAL: u16 = 7;
    /// TCP to the original destination itself; the first line of another protocol than TLS has begun to leave, and
    /// is looked at until it ends.
    pub const LINE: u16 = 8;
    /// UDP that was connected to its original destination, which nothing may be sent to: a program that only
    /// asks the kernel for its own address is refused nothing.
    pub const DATAGRAM: u16 = 9;
    /// TCP to a listener on loopback that the same sandbox opened. Whose socket each packet would reach is asked
    /// until the connection is accepted.
    pub const OWN: u16 = 10;
    /// The same, from either end: the other end is a connection of the same sandbox.
    pub const OWN_VERIFIED: u16 = 11;
    /// A listener that was connected before.
    pub const LISTENER: u16 = 12;
}
