//! What is asked of the kernel about TCP sockets (sock_diag(7)).

use std::{io, net::IpAddr, os::fd::OwnedFd};

use egress_common::Address;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

// linux/netlink.h.
pub(super) const NLMSG_ERROR: u16 = 2;

/// Bytes of `struct nlmsghdr` with `struct inet_diag_req_v2` behind it.
const REQUEST_LENGTH: usize = 72;

/// For the sockets of the calling thread's network namespace.
pub(super) fn open() -> io::Result<OwnedFd> {
    Ok(socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?)
}

/// A request about the TCP sockets of a family in these states: one of them by its `struct
/// inet_diag_sockid`, or all where that is left out.
pub(super) fn request_of(
    kind: u16,
    flags: u16,
    family: i32,
    states: u32,
    socket: &[u8],
) -> Vec<u8> {
    let mut message = Vec::with_capacity(REQUEST_LENGTH);
    message.extend(u32::try_from(REQUEST_LENGTH).unwrap_or_default().to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence and sender.
    message.extend([0; 8]);
    let numbers = [family, libc::IPPROTO_TCP, 0, 0];
    message.extend(numbers.map(|number| u8::try_from(number).unwrap_or_default()));
    message.extend(states.to_ne_bytes());
    message.extend(socket);
    message.resize(REQUEST_LENGTH, 0);
    message
}

/// The family and the `struct inet_diag_sockid` of one TCP socket.
pub(super) fn socket_of(
    source: (Address, u16),
    destination: (Address, u16),
    cookie: u64,
) -> (i32, Vec<u8>) {
    let v4 = destination.0.v4_word().is_some();
    let mut socket = Vec::with_capacity(48);
    socket.extend(source.1.to_be_bytes());
    socket.extend(destination.1.to_be_bytes());
    for (address, _) in [source, destination] {
        let bytes = match IpAddr::from(address) {
            IpAddr::V4(v4) => {
                let mut bytes = [0; 16];
                let (first, _) = bytes.split_at_mut(4);
                first.copy_from_slice(&v4.octets());
                bytes
            }
            IpAddr::V6(v6) => v6.octets(),
        };
        socket.extend(bytes);
    }
    // Any interface; the cookie keeps a later socket of the same addresses from harm.
    socket.extend(0_u32.to_ne_bytes());
    socket.extend((cookie as u32).to_ne_bytes());
    socket.extend(((cookie >> 32) as u32).to_ne_bytes());
    // A v6 socket connected to a v4-mapped address is found as an IPv4 one (6.18).
    (if v4 { libc::AF_INET } else { libc::AF_INET6 }, socket)
}
