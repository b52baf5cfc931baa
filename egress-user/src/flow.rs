//! Who a connection or a datagram came from, and where it wanted to go: the kernel's word for it.

use std::{io, net::SocketAddr, time::Duration};

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
    /// The socket's cookie.
    pub cookie: u64,
    /// Thread group id in the initial PID namespace.
    pub tgid: u32,
    /// User in the initial user namespace.
    pub uid: u32,
}

/// How long a listener's queue has to be empty until what is recorded is no connection's in it.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// The kernel's records, behind a trait so that listeners can be tested without a kernel.
///
/// A miss means that the peer is nobody's sandboxed socket: the connection is closed, the
/// datagram dropped.
pub trait Flows: Send + Sync {
    /// Takes the record of a TCP connection that was accepted at this address of the listener; a
    /// second call for it misses.
    fn take_tcp(&self, peer: PeerAddress, at: SocketAddr) -> Option<Flow>;
    /// Lets the SYNs of a socket that is held pass, and has it be called by this name once it is connected; by its
    /// own where there is none. Where it comes to nothing, to be followed by [`Flows::forget_released`].
    ///
    /// # Errors
    /// When there is no room: it keeps its own name.
    fn release(&self, _cookie: u64, _local: Option<SocketAddr>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// The socket has not connected, and nobody waits for it any more.
    fn forget_released(&self, _cookie: u64) {}
    /// Clears away records of sockets that have closed, and that nobody can accept any more: to be
    /// called when no listener has had connections waiting for [`FORGOTTEN_AFTER`].
    fn forget(&self) {}
    /// Reads the record of a UDP socket that asked the DNS listener.
    fn udp(&self, peer: PeerAddress) -> Option<Flow>;
}
