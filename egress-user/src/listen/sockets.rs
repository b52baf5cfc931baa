//! The listeners of a sandbox: on loopback, on ports that the kernel picks.

use std::{
    ffi::OsString,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
};

use egress_common::sandbox::Sandbox;
use nix::sys::socket::{Backlog, listen, setsockopt, sockopt};

use crate::sys;

/// Why there is nobody to send connections to.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}; is `lo` up (`ip link set lo up`)?")]
pub struct ListenError {
    address: IpAddr,
    #[source]
    source: io::Error,
}

/// Octets of datagrams that wait for DNS, before the kernel doubles it: about 2700 queries. The
/// default holds 270, and each query beyond costs its program the five seconds of a resolver's
/// patience.
const DNS_QUEUE: usize = 1 << 20;

/// Congestion control between program and proxy, which every kernel has; the kernel side gives it to
/// the program's end.
const ON_LOOPBACK: &str = "reno";

/// One family's listeners.
#[derive(Debug)]
pub struct Family {
    /// The transparent proxy.
    pub tcp: TcpListener,
    /// DNS over UDP.
    pub dns_udp: UdpSocket,
    /// DNS over TCP.
    pub dns_tcp: TcpListener,
}

/// All listeners of a sandbox, nonblocking.
#[derive(Debug)]
pub struct Listeners {
    /// On 127.0.0.1.
    pub v4: Family,
    /// On `::1`; none where the host has no IPv6, and then the kernel side refuses IPv6.
    pub v6: Option<Family>,
}

impl Listeners {
    /// Opens them in the network namespace of the calling thread.
    ///
    /// # Errors
    /// When 127.0.0.1 cannot be listened on.
    pub fn open() -> Result<Self, ListenError> {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        Ok(Self {
            v4: Family::open(v4).map_err(|source| ListenError { address: v4, source })?,
            v6: Family::open(v6).ok(),
        })
    }

    /// Writes the ports into the kernel side's record of the sandbox.
    ///
    /// # Errors
    /// When a socket does not tell its address.
    pub fn describe(&self, sandbox: &mut Sandbox) -> io::Result<()> {
        sandbox.netns = sys::sockets::netns_cookie(self.v4.tcp.as_fd())?;
        sandbox.tcp4_port = self.v4.tcp.local_addr()?.port();
        sandbox.dns_udp4_port = self.v4.dns_udp.local_addr()?.port();
        sandbox.dns_tcp4_port = self.v4.dns_tcp.local_addr()?.port();
        if let Some(v6) = &self.v6 {
            sandbox.tcp6_port = v6.tcp.local_addr()?.port();
            sandbox.dns_udp6_port = v6.dns_udp.local_addr()?.port();
            sandbox.dns_tcp6_port = v6.dns_tcp.local_addr()?.port();
        }
        Ok(())
    }
}

impl Family {
    fn open(address: IpAddr) -> io::Result<Self> {
        let any_port = SocketAddr::new(address, 0);
        let family = Self {
            tcp: TcpListener::bind(any_port)?,
            dns_udp: UdpSocket::bind(any_port)?,
            dns_tcp: TcpListener::bind(any_port)?,
        };
        // Accepted sockets have it too. The machine's default may be one that paces (bbr), which on
        // loopback, where nothing is lost, halves what is relayed. Where it fails it stays slower.
        let _ = setsockopt(&family.tcp, sockopt::TcpCongestion, &OsString::from(ON_LOOPBACK));
        // std's backlog is 128; a burst beyond it would wait for SYN retransmissions.
        listen(&family.tcp, Backlog::MAXCONN)?;
        // With the default queue it works as well, for fewer queries at once.
        let _ = setsockopt(&family.dns_udp, sockopt::RcvBufForce, &DNS_QUEUE);
        family.tcp.set_nonblocking(true)?;
        family.dns_udp.set_nonblocking(true)?;
        family.dns_tcp.set_nonblocking(true)?;
        Ok(family)
    }
}
