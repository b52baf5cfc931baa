//! Sending packets of our own making within this machine.

use std::{
    ffi::OsString,
    io,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto,
    setsockopt, socket, sockopt,
};

/// Raw sockets of the network namespace in which they were opened; they send, and receive nothing (raw(7), ipv6
/// likewise). What leaves by them is egress's own, so that no hook of a sandbox sees it.
#[derive(Debug)]
pub struct Injector {
    v4: OwnedFd,
    /// None where the machine has no IPv6.
    v6: Option<OwnedFd>,
}

impl Injector {
    /// For the network namespace of the calling thread.
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        Ok(Self { v4: raw(AddressFamily::Inet)?, v6: raw(AddressFamily::Inet6).ok() })
    }

    /// One that was handed on, in the order of [`Injector::descriptors`]; none where there is no socket, or more than
    /// two.
    pub fn adopt(sockets: Vec<OwnedFd>) -> Option<Self> {
        let mut sockets = sockets.into_iter();
        let (v4, v6) = (sockets.next()?, sockets.next());
        sockets.next().is_none().then_some(Self { v4, v6 })
    }

    /// Its sockets: IPv4's, and IPv6's where the machine has that.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [Some(&self.v4), self.v6.as_ref()].into_iter().flatten().map(AsFd::as_fd).collect()
    }

    /// Sends a whole packet, from its network header on, to an address of this machine's loopback.
    ///
    /// # Errors
    /// What sendto(2) gives; EAFNOSUPPORT where there is no IPv6, EINVAL where the address is no loopback's.
    pub fn send(&self, packet: &[u8], to: IpAddr) -> io::Result<()> {
        if !to.is_loopback() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match to {
            IpAddr::V4(to) => {
                let [a, b, c, d] = to.octets();
                let to = SockaddrIn::new(a, b, c, d, 0);
                sendto(self.v4.as_raw_fd(), packet, &to, MsgFlags::MSG_DONTWAIT)?;
            }
            IpAddr::V6(to) => {
                let socket = self.v6.as_ref().ok_or(nix::Error::EAFNOSUPPORT)?;
                let to = SockaddrIn6::from(std::net::SocketAddrV6::new(to, 0, 0, 0));
                sendto(socket.as_raw_fd(), packet, &to, MsgFlags::MSG_DONTWAIT)?;
            }
        }
        Ok(())
    }
}

fn raw(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Raw, flags, SockProtocol::Raw)?;
    // Whatever it is to send never leaves the machine.
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from("lo"))?;
    Ok(socket)
}
