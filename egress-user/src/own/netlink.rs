//! The kernel's tables of routes and addresses (rtnetlink(7)), read and watched.
//!
//! What counts is where the kernel would deliver to itself: routes of type `local`, which every address of
//! an interface has one of and which `ip route add local` makes for whole blocks; beside them broadcast
//! and anycast routes. Addresses of interfaces that are down have no such route in every family, so the
//! interfaces' addresses are read as well.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use ipnet::IpNet;
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv,
            sendto, setsockopt, socket, sockopt,
        },
        time::TimeVal,
    },
};

use crate::{policy::OwnAddresses, sys};

// linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTN_LOCAL: u8 = 2;
const RTN_BROADCAST: u8 = 3;
const RTN_ANYCAST: u8 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_TABLE: u16 = 15;
const RT_TABLE_LOCAL: u32 = 255;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Links, addresses and routes of both families.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

const HEADER: usize = 16;
/// Larger than what the kernel makes of a dump at a time (32 KiB).
const BUFFER: usize = 64 << 10;
/// A table that changes while it is read is read again so many times.
const TRIES: u32 = 16;
/// The kernel answers at once.
const PATIENCE_SECONDS: i64 = 5;

/// What was read, and whether some table changed under each of the readings.
pub(super) struct Read {
    pub(super) own: OwnAddresses,
    pub(super) is_settled: bool,
}

/// Reads the tables of the calling thread's network namespace.
pub(super) fn read() -> io::Result<Read> {
    let tables = [
        (RTM_GETROUTE, libc::AF_INET, RTN_LOCAL),
        (RTM_GETROUTE, libc::AF_INET, RTN_BROADCAST),
        (RTM_GETROUTE, libc::AF_INET6, RTN_LOCAL),
        (RTM_GETROUTE, libc::AF_INET6, RTN_ANYCAST),
        (RTM_GETADDR, libc::AF_UNSPEC, 0),
    ];
    let mut found = Vec::new();
    let mut is_settled = true;
    for (request, family, kind) in tables {
        let family = u8::try_from(family).map_err(io::Error::other)?;
        is_settled &= dump(request, family, kind, &mut found)?;
    }
    let mut names: HashMap<u32, Arc<str>> = HashMap::new();
    let socket = open(SockFlag::SOCK_CLOEXEC)?;
    let named = found.into_iter().map(|(block, interface)| {
        let name = names.entry(interface).or_insert_with(|| name_of(&socket, interface));
        (block, name.clone())
    });
    Ok(Read { own: OwnAddresses::new(named), is_settled })
}

fn name_of(socket: &OwnedFd, interface: u32) -> Arc<str> {
    match sys::sockets::interface_name(socket.as_fd(), interface) {
        Ok(name) => String::from_utf8_lossy(&name).into(),
        Err(_) => format!("interface {interface}").into(),
    }
}

/// Adds what a table has. False when it changed during every reading; what each of them saw is there then.
fn dump(request: u16, family: u8, kind: u8, found: &mut Vec<(IpNet, u32)>) -> io::Result<bool> {
    for _ in 0..TRIES {
        match dump_once(request, family, kind, found) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            // A machine without IPv6 has none of its addresses.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
                ) && i32::from(family) == libc::AF_INET6 =>
            {
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn dump_once(
    request: u16,
    family: u8,
    kind: u8,
    found: &mut Vec<(IpNet, u32)>,
) -> io::Result<bool> {
    let socket = open(SockFlag::SOCK_CLOEXEC)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0))?;
    // The kernel sorts out what was not asked for; where it cannot, all of the table comes.
    let _ = sys::sockets::check_netlink_strictly(socket.as_fd());
    let message = question(request, family, kind);
    sendto(socket.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    let mut is_whole = true;
    loop {
        let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            received => received?,
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in messages(buffer.get(..length).unwrap_or_default()) {
            is_whole &= message.flags & NLM_F_DUMP_INTR == 0;
            match message.kind {
                NLMSG_DONE | NLMSG_ERROR => {
                    // A negative errno, or nothing.
                    let error = number(message.body, 0).map_or(0, u32::cast_signed);
                    if error < 0 {
                        return Err(io::Error::from_raw_os_error(-error));
                    }
                    return Ok(is_whole);
                }
                RTM_NEWADDR => found.extend(address(message.body)),
                RTM_NEWROUTE => found.extend(route(message.body)),
                _ => {}
            }
        }
    }
}

fn question(request: u16, family: u8, kind: u8) -> Vec<u8> {
    let mut body = vec![0; if request == RTM_GETROUTE { 12 } else { 8 }];
    if let Some(first) = body.first_mut() {
        *first = family;
    }
    if request == RTM_GETROUTE
        && let Some(place) = body.get_mut(7)
    {
        *place = kind;
    }
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(request.to_ne_bytes());
    message.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    // Sequence and sender.
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn open(flags: SockFlag) -> io::Result<OwnedFd> {
    let protocol = SockProtocol::NetlinkRoute;
    Ok(socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?)
}

/// Changes of the tables.
pub(super) struct Changes {
    socket: OwnedFd,
}

impl Changes {
    /// Those from now on.
    pub(super) fn open() -> io::Result<Self> {
        let socket = open(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Self { socket })
    }

    /// Whether something has changed since this was last asked. What was lost (ENOBUFS) may have.
    pub(super) fn take(&self) -> io::Result<bool> {
        let mut buffer = [0; BUFFER];
        let mut has_changed = false;
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(has_changed),
                Ok(length) => {
                    let mut all = messages(buffer.get(..length).unwrap_or_default());
                    has_changed |= all.any(|message| is_of_interest(&message));
                }
                Err(Errno::ENOBUFS) => has_changed = true,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_of_interest(message: &Message<'_>) -> bool {
    match message.kind {
        RTM_NEWLINK | RTM_DELLINK | RTM_NEWADDR | RTM_DELADDR => true,
        // Others come by the thousand where the machine is a router.
        RTM_NEWROUTE | RTM_DELROUTE => message.body.get(7).is_none_or(|&kind| is_own(kind)),
        _ => false,
    }
}

fn is_own(kind: u8) -> bool {
    matches!(kind, RTN_LOCAL | RTN_BROADCAST | RTN_ANYCAST)
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

/// The messages of a datagram; what is cut short ends it.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes, 0)?).ok()?;
        let message = bytes.get(..length).filter(|_| length >= HEADER)?;
        let pair = number(message, 4)?.to_ne_bytes();
        let [a, b, c, d] = pair;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([a, b]),
            flags: u16::from_ne_bytes([c, d]),
            body: message.get(HEADER..)?,
        })
    })
}

/// Attributes, as type and value.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d] = number(bytes, 0)?.to_ne_bytes();
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & 0x3fff, value))
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// `struct ifaddrmsg` and its attributes: the address, not its network, nor the other end of a link.
fn address(body: &[u8]) -> Option<(IpNet, u32)> {
    let interface = number(body, 4)?;
    let (mut own, mut other) = (None, None);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            IFA_LOCAL => own = ip(value),
            IFA_ADDRESS => other = ip(value),
            _ => {}
        }
    }
    Some((own.or(other)?.into(), interface))
}

/// `struct rtmsg` and its attributes. Of a table that only marked packets are sent to (transparent
/// proxies have such) the default route is no address of the machine's.
fn route(body: &[u8]) -> Option<(IpNet, u32)> {
    let (&family, &bits, &table, &kind) = (body.first()?, body.get(1)?, body.get(4)?, body.get(7)?);
    if !is_own(kind) {
        return None;
    }
    let unspecified: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let (mut first, mut interface, mut table) = (unspecified, 0, u32::from(table));
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            RTA_DST => first = ip(value)?,
            RTA_OIF => interface = number(value, 0)?,
            RTA_TABLE => table = number(value, 0)?,
            _ => {}
        }
    }
    if bits == 0 && table != RT_TABLE_LOCAL {
        return None;
    }
    Some((IpNet::new(first, bits).ok()?.trunc(), interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_tables_are_read() {
        let read = read().unwrap();
        // Whatever this machine has; loopback is local anyway and left out.
        assert!(read.own.interface(Ipv4Addr::LOCALHOST.into()).is_none());
        Changes::open().unwrap().take().unwrap();
    }

    #[test]
    fn messages_that_are_cut_or_lie_about_their_length_are_passed_over() {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes
        };
        let mut body = vec![2, 32, 0, 0, 255, 0, 0, RTN_LOCAL, 0, 0, 0, 0];
        body.extend(attribute(RTA_DST, &[93, 184, 216, 2]));
        body.extend(attribute(RTA_OIF, &7_u32.to_ne_bytes()));
        let expected = ("93.184.216.2/32".parse().unwrap(), 7);
        assert_eq!(route(&body), Some(expected));
        let mut whole = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes().to_vec();
        whole.extend(RTM_NEWROUTE.to_ne_bytes());
        whole.extend([0; 10]);
        whole.extend(&body);
        assert!(messages(&whole).all(|message| is_of_interest(&message)));
        assert_eq!(messages(&whole).count(), 1);
        for cut in 0..whole.len() {
            assert_eq!(messages(&whole[..cut]).count(), 0);
            // None of the lengths may lead outside.
            let mut changed = whole.clone();
            changed[cut] ^= 0xff;
            for message in messages(&changed) {
                let _ = (route(message.body), address(message.body));
            }
        }
        let mut other = body.clone();
        other[1] = 0;
        other[4] = 100;
        assert_eq!(route(&other), None, "a transparent proxy's table");
    }
}
