//! What is asked of the kernel about TCP sockets (sock_diag(7)).

use std::{io, os::fd::OwnedFd};

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
