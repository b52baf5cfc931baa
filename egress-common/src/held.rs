//! SYNs that are held: a redirected connect is answered once the proxy knows how the network answers.

use crate::address::Address;

/// Bytes that a record has for a SYN: more than its headers can take (IPv6, 40, and TCP with all its
/// options, 60). A power of two.
pub const SYN_BYTES: usize = 128;

/// A record of the ring buffer [`crate::abi::map::SYNS`], whole or as the beginning of a [`HeldSyn`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldHead {
    /// [`crate::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// The program's socket.
    pub cookie: u64,
    /// CLOCK_BOOTTIME nanoseconds.
    pub time_ns: u64,
    /// Where the program wants to go.
    pub original: Address,
    /// Its port, host byte order.
    pub original_port: u16,
    /// The listener's port that the socket was redirected to, host byte order.
    pub listener_port: u16,
    /// Bytes of [`HeldSyn::syn`]; 0 when the program, or its time-out, has given up, and there is no more.
    pub length: u16,
    /// Zero.
    pub reserved: u16,
}

/// A SYN that the packet hook has not let out: the very packet, without link header.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSyn {
    /// Whose it is.
    pub head: HeldHead,
    /// Network and transport headers. The transport's checksum is not there yet.
    pub syn: [u8; SYN_BYTES],
}

/// Value of the map [`crate::abi::map::RELEASED`]: the SYNs of this socket pass, and when it is connected, this
/// is its own address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// As the server sees it.
    pub local: Address,
    /// Its port, host byte order; 0 where the socket keeps its own name.
    pub local_port: u16,
    /// Zero.
    pub reserved: [u16; 3],
}
