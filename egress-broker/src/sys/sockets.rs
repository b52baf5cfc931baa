//! Socket options without a wrapper.

use std::{
    io,
    mem::MaybeUninit,
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike as _, SockaddrStorage, connect, socket,
};

/// Lets the kernel judge what a netlink request asks for, and sort its answers by that (since 4.20).
///
/// # Errors
/// What setsockopt gives.
pub fn check_netlink_strictly(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads an int of the given length, which lives.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_GET_STRICT_CHK,
            (&raw const on).cast(),
            length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Begins to connect a TCP socket that does not wait, as connect(2) of such a one does: when it is writable, it is
/// connected, or has the error.
///
/// # Errors
/// What socket(2) and connect(2) give, but EINPROGRESS.
pub fn begin_to_connect(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None::<_>)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(nix::Error::EINPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// Accepts a TCP connection without waiting for one, and tells who it is from. It does not wait, either.
///
/// # Errors
/// What accept4(2) gives; EAGAIN where there is none.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let mut peer = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the kernel writes at most as many bytes as the length allows, which are there.
    let accepted = unsafe {
        libc::accept4(listener.as_raw_fd(), peer.as_mut_ptr().cast(), &raw mut length, flags)
    };
    if accepted < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel has just made for us.
    let accepted = TcpStream::from(unsafe { OwnedFd::from_raw_fd(accepted) });
    // SAFETY: an address of that length, as the kernel has written it.
    let peer = unsafe { SockaddrStorage::from_raw(peer.as_ptr().cast(), Some(length)) };
    let v4 = || peer.as_ref()?.as_sockaddr_in().map(|&peer| SocketAddr::V4(peer.into()));
    let v6 = || peer.as_ref()?.as_sockaddr_in6().map(|&peer| SocketAddr::V6(peer.into()));
    Ok((accepted, v4().or_else(v6).ok_or(io::ErrorKind::InvalidData)?))
}

/// Cookie of the socket's network namespace, as the kernel side's records carry it.
///
/// # Errors
/// ENOPROTOOPT before Linux 5.14.
pub fn netns_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most the eight bytes that the length allows.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}

/// Bytes that a TCP socket has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Received and acknowledged, whether read or not; the peer's end of stream counts as one.
    pub received: u64,
    /// Sent and acknowledged by the peer; the beginning and the end of the stream count as one each.
    pub acknowledged: u64,
}

/// What a TCP socket has carried until now (`struct tcp_info` of linux/tcp.h, RFC 4898).
///
/// # Errors
/// When it is no TCP socket, or the kernel is older than 4.1.
pub fn carried(socket: BorrowedFd<'_>) -> io::Result<Carried> {
    const BYTES_ACKED: usize = 120;
    const BYTES_RECEIVED: usize = 128;
    const LENGTH: usize = BYTES_RECEIVED + 8;
    let mut info = [0_u8; LENGTH];
    let mut length = libc::socklen_t::try_from(LENGTH).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most as many bytes as the length allows, which are there.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let number = |at: usize| {
        let bytes = info.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map(|bytes| u64::from_ne_bytes(*bytes)).unwrap_or_default()
    };
    Ok(Carried { received: number(BYTES_RECEIVED), acknowledged: number(BYTES_ACKED) })
}

/// Bytes in a TCP socket's send queue that its peer has not acknowledged (SIOCOUTQ of tcp(7)); an end
/// of stream counts as one.
///
/// # Errors
/// When it is no connected TCP socket.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// The name of a network interface, as bytes (netdevice(7)). By any socket of its network namespace: the C library
/// opens one of the unix family for it.
///
/// # Errors
/// ENXIO or ENODEV when there is none of this number.
pub fn interface_name(socket: BorrowedFd<'_>, number: u32) -> io::Result<Vec<u8>> {
    // SAFETY: all zeros are a request of no name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_ifindex = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel reads the number and writes the name, both within the live record.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFNAME, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(request
        .ifr_name
        .iter()
        .map(|byte| byte.cast_unsigned())
        .take_while(|byte| *byte != 0)
        .collect())
}
