//! Who a connection or a datagram came from, and where it wanted to go: the kernel's word for it.

use std::net::SocketAddr;

/// Where the program wanted to go. A type of its own, so that it cannot be passed where the peer
/// or the dialled address is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OriginalDestination(pub SocketAddr);

/// The sandboxed socket's own address, as a listener's `accept` or `recv_from` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress(pub SocketAddr);

/// What the kernel side recorded when the socket connected or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where the program wanted to go; IPv4 destinations of v6 sockets are IPv4 here.
    pub original: OriginalDestination,
    /// Thread group id in the initial PID namespace.
    pub tgid: u32,
    /// User in the initial user namespace.
    pub uid: u32,
}

/// The kernel's records, behind a trait so that listeners can be tested without a kernel.
///
/// A miss means that the peer is nobody's sandboxed socket: the connection is closed, the
/// datagram dropped.
pub trait Flows: Send + Sync {
    /// Takes the record of an accepted TCP connection; a second call for it misses.
    fn take_tcp(&self, peer: PeerAddress) -> Option<Flow>;
    /// Reads the record of a UDP socket that asked the DNS listener.
    fn udp(&self, peer: PeerAddress) -> Option<Flow>;
}
