//! The listeners of a sandbox: on loopback, on ports that the kernel picks.

use std::{
    ffi::OsString,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use egress_common::{
    abi::capacity,
    sandbox::{LISTENERS6, Sandbox, WORKERS},
};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket,
    sockopt,
};

use crate::sys;

/// Why there is nobody to send connections to.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}; is `lo` up (`ip link set lo up`)?")]
pub struct ListenError {
    address: IpAddr,
    #[source]
    source: io::Error,
}

/// Bytes of datagrams that wait for DNS, before the kernel doubles it: about 2700 queries. The
/// default holds 270, and each query beyond costs its program the five seconds of a resolver's
/// patience.
const DNS_QUEUE: usize = 1 << 20;

/// Bytes of all such queues of a process, as above: they are the kernel's memory, and no program's.
const ALL_DNS_QUEUES: usize = 16 << 20;

/// The queue of one socket, where there may be so many sandboxes with one a family.
const fn dns_queue(sandboxes: u32) -> usize {
    let share = ALL_DNS_QUEUES / (2 * sandboxes as usize);
    if share < DNS_QUEUE { share } else { DNS_QUEUE }
}

// With the most that there may be, each holds more than the kernel's default would.
const _: () = assert!(dns_queue(capacity::SANDBOXES) >= 128 << 10);

/// Bytes that a program may be ahead of its proxy, before the kernel doubles it. On loopback more than
/// this only makes what is relayed fall out of the processor's caches (an upload with the default of
/// several MiB is a tenth slower).
const FROM_PROGRAM: usize = 384 << 10;

/// Congestion control between program and proxy, which every kernel has; the kernel side gives it to
/// the program's end.
const ON_LOOPBACK: &str = "reno";

/// The loopback device, of this name in every network namespace.
const LOOPBACK: &str = "lo";

/// One family's listeners.
#[derive(Debug)]
pub struct Family {
    /// The transparent proxy: one listener a worker, and further ones for them in turn.
    pub tcp: Vec<TcpListener>,
    /// DNS over UDP.
    pub dns_udp: UdpSocket,
    /// DNS over TCP.
    pub dns_tcp: TcpListener,
}

/// All listeners of a sandbox, nonblocking.
#[derive(Debug)]
pub struct Listeners {
    /// Datagrams on 127.0.0.1, connections on every address of 127.0.0.0/8.
    pub v4: Family,
    /// On `::1`; none where the host has no IPv6, and then the kernel side refuses IPv6.
    pub v6: Option<Family>,
}

impl Listeners {
    /// Opens them in the network namespace of the calling thread, for so many workers: at least one,
    /// at most [`WORKERS`], with so many IPv6 listeners: at least one a worker, at most
    /// [`LISTENERS6`]. `sandboxes` is how many there may be that have such listeners.
    ///
    /// # Errors
    /// When 127.0.0.0/8 cannot be listened on.
    pub fn open(workers: usize, listeners6: usize, sandboxes: u32) -> Result<Self, ListenError> {
        let queue = dns_queue(sandboxes.clamp(1, capacity::SANDBOXES));
        let workers = workers.clamp(1, WORKERS);
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let listeners6 = listeners6.clamp(workers, LISTENERS6);
        Ok(Self {
            v4: Family::open(v4, workers, queue)
                .map_err(|source| ListenError { address: v4, source })?,
            v6: Family::open(v6, listeners6, queue).ok(),
        })
    }

    /// Those that were handed on, in the order of [`Listeners::descriptors`]; none where there are others.
    pub fn adopt(tcp4: u8, tcp6: u8, from: &mut impl Iterator<Item = OwnedFd>) -> Option<Self> {
        let v4 = Family::adopt(tcp4, from)?;
        let v6 = match tcp6 {
            0 => None,
            tcp6 => Some(Family::adopt(tcp6, from)?),
        };
        Some(Self { v4, v6 })
    }

    /// All of them: of each family the transparent ones, the DNS socket and the DNS listener.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let families = [Some(&self.v4), self.v6.as_ref()].into_iter().flatten();
        families.flat_map(Family::descriptors).collect()
    }

    /// How many of them the transparent proxy has.
    pub fn count(&self) -> usize {
        self.v4.tcp.len() + self.v6.as_ref().map_or(0, |v6| v6.tcp.len())
    }

    /// How many workers they are for.
    pub fn workers(&self) -> usize {
        self.v4.tcp.len()
    }

    /// Writes the ports into the kernel side's record of the sandbox.
    ///
    /// # Errors
    /// When a socket does not tell its address.
    pub fn describe(&self, sandbox: &mut Sandbox) -> io::Result<()> {
        sandbox.netns = sys::sockets::netns_cookie(self.v4.dns_tcp.as_fd())?;
        sandbox.workers = u32::try_from(self.workers()).map_err(io::Error::other)?;
        sandbox.tcp4_ports = ports(&self.v4.tcp)?;
        sandbox.dns_udp4_port = self.v4.dns_udp.local_addr()?.port();
        sandbox.dns_tcp4_port = self.v4.dns_tcp.local_addr()?.port();
        if let Some(v6) = &self.v6 {
            sandbox.tcp6_ports = ports(&v6.tcp)?;
            sandbox.dns_udp6_port = v6.dns_udp.local_addr()?.port();
            sandbox.dns_tcp6_port = v6.dns_tcp.local_addr()?.port();
        }
        Ok(())
    }
}

impl Family {
    fn adopt(tcp: u8, from: &mut impl Iterator<Item = OwnedFd>) -> Option<Self> {
        let tcp = (0..tcp).map(|_| from.next().map(TcpListener::from)).collect::<Option<_>>()?;
        Some(Self { tcp, dns_udp: from.next()?.into(), dns_tcp: from.next()?.into() })
    }

    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let dns = [self.dns_udp.as_fd(), self.dns_tcp.as_fd()];
        self.tcp.iter().map(AsFd::as_fd).chain(dns)
    }

    fn open(address: IpAddr, listeners: usize, queue: usize) -> io::Result<Self> {
        let family = Self {
            tcp: (0..listeners).map(|_| proxied(address)).collect::<io::Result<_>>()?,
            dns_udp: UdpSocket::bind(SocketAddr::new(address, 0))?,
            dns_tcp: loopback(address)?,
        };
        // With the default queue it works as well, for fewer queries at once.
        let _ = setsockopt(&family.dns_udp, sockopt::RcvBufForce, &queue);
        family.dns_udp.set_nonblocking(true)?;
        family.dns_tcp.set_nonblocking(true)?;
        Ok(family)
    }
}

/// A listener on `::1`, or on every address of 127.0.0.0/8: by the device, as an address of its own for
/// each would be 16 million listeners. Nothing but what this machine sends to itself arrives there.
fn loopback(address: IpAddr) -> io::Result<TcpListener> {
    if address.is_ipv6() {
        return TcpListener::bind(SocketAddr::new(address, 0));
    }
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None::<_>)?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(LOOPBACK))?;
    bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 0))?;
    listen(&socket, Backlog::MAXCONN)?;
    Ok(socket.into())
}

/// A listener whose accepted sockets have what a pumped one needs.
fn proxied(address: IpAddr) -> io::Result<TcpListener> {
    let listener = loopback(address)?;
    // As the relay needs it, which sees to it again: small writes leave as they came (TCP_NODELAY), and a byte sent
    // as urgent stays in the stream.
    let _ = setsockopt(&listener, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(&listener, sockopt::OobInline, &true);
    // The machine's default may be one that paces (bbr), which on loopback, where nothing is lost,
    // halves what is relayed. Where it fails it stays slower.
    let _ = setsockopt(&listener, sockopt::TcpCongestion, &OsString::from(ON_LOOPBACK));
    // Where it fails, as in a container without CAP_NET_ADMIN, it is the machine's default.
    let _ = setsockopt(&listener, sockopt::RcvBufForce, &FROM_PROGRAM);
    // std's backlog is 128; a burst beyond it would wait for SYN retransmissions.
    listen(&listener, Backlog::MAXCONN)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// In the order of the workers.
fn ports<const N: usize>(listeners: &[TcpListener]) -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use egress_common::abi::capacity;
    use nix::sys::socket::{getsockopt, sockopt};

    use super::{ALL_DNS_QUEUES, DNS_QUEUE, Listeners, dns_queue};

    #[test]
    fn the_queues_of_many_sandboxes_are_no_larger_together() {
        for sandboxes in [1, 2, 10, 16, capacity::SANDBOXES] {
            let all = 2 * sandboxes as usize * dns_queue(sandboxes);
            assert!(all <= ALL_DNS_QUEUES, "{sandboxes}: {all}");
        }
        assert_eq!(dns_queue(1), DNS_QUEUE);
    }

    #[test]
    fn a_sandbox_of_many_has_its_share_of_the_queues() {
        let queue = |sandboxes| {
            let listeners = Listeners::open(1, 1, sandboxes).expect("listeners");
            getsockopt(&listeners.v4.dns_udp, sockopt::RcvBuf).expect("its size")
        };
        let (one, of_many) = (queue(1), queue(capacity::SANDBOXES));
        // The kernel doubles it; without CAP_NET_ADMIN both are its default.
        assert!(of_many <= 2 * dns_queue(capacity::SANDBOXES) || one == of_many);
        assert!(one >= of_many);
    }
}
