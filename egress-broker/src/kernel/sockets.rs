//! The TCP sockets of a cgroup (sock_diag(7)), for whoever has to end those whose right is gone.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use egress_common::Address;
use nix::sys::socket::{MsgFlags, NetlinkAddr, recv, sendto};

use super::sock_diag::{self, NLMSG_ERROR, request_of, socket_of};

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_REQUEST_DUMP: u16 = 1 | 0x300;
const NLMSG_DONE: u16 = 3;
/// Attribute with the id of the socket's cgroup, since Linux 5.9.
const INET_DIAG_CGROUP_ID: u16 = 21;
const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;

/// A socket that is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Its own end.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
    /// By which the kernel knows it.
    pub cookie: u64,
}

impl Connected {
    /// The id of the cgroup that the socket with these ends and this cookie is in; none where there is no such.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn cgroup(&self) -> io::Result<Option<u64>> {
        let key = |at: &SocketAddr| (Address::from(at.ip()), at.port());
        let (family, id) = socket_of(key(&self.source), key(&self.destination), self.cookie);
        let socket = sock_diag::open()?;
        let request = request_of(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, family, u32::MAX, &id);
        sendto(socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut buffer = [0; 4096];
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let answer = buffer.get(..length).unwrap_or_default();
        let header = answer.get(..HEADER).ok_or(io::ErrorKind::InvalidData)?;
        match half(header, 4) {
            SOCK_DIAG_BY_FAMILY => Ok(answer.get(HEADER + MESSAGE..).and_then(of)),
            NLMSG_ERROR => {
                let error = word(answer, HEADER).cast_signed().saturating_neg();
                match error {
                    // None with these ends, or one with another cookie.
                    libc::ENOENT | libc::ESTALE => Ok(None),
                    error => Err(io::Error::from_raw_os_error(error)),
                }
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The TCP connections, of both families, of this cgroup in the calling thread's network namespace.
///
/// # Errors
/// When the kernel does not tell them.
pub fn of_cgroup(cgroup: u64) -> io::Result<Vec<Connected>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let socket = sock_diag::open()?;
        sendto(socket.as_raw_fd(), &request(family), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        while read(&socket, cgroup, &mut found)? {}
    }
    Ok(found)
}

/// Reads a part of the answer; false at its end.
fn read(socket: &OwnedFd, cgroup: u64, found: &mut Vec<Connected>) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    let mut rest = buffer.get(..length).unwrap_or_default();
    while let Some(header) = rest.get(..HEADER) {
        let length = usize::try_from(word(header, 0)).unwrap_or(0).max(HEADER);
        let body = rest.get(HEADER..length).unwrap_or_default();
        match half(header, 4) {
            NLMSG_DONE => return Ok(false),
            NLMSG_ERROR => {
                let error = word(body, 0).cast_signed();
                return Err(io::Error::from_raw_os_error(error.saturating_neg()));
            }
            SOCK_DIAG_BY_FAMILY => found.extend(connected(body, cgroup)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// For sockets in every state but listening.
fn request(family: i32) -> Vec<u8> {
    const LISTEN: u32 = 10;
    request_of(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, family, !(1_u32 << LISTEN), &[])
}

fn connected(body: &[u8], cgroup: u64) -> Option<Connected> {
    let family = i32::from(*body.first()?);
    // struct inet_diag_sockid behind family, state, timer and retransmissions.
    let id = body.get(4..52)?;
    let port = |at: usize| Some(u16::from_be_bytes(*id.get(at..)?.first_chunk()?));
    let address = |at: usize| -> Option<IpAddr> {
        Some(match family {
            libc::AF_INET => Ipv4Addr::from(*id.get(at..)?.first_chunk::<4>()?).into(),
            _ => Ipv6Addr::from(*id.get(at..)?.first_chunk::<16>()?).to_canonical(),
        })
    };
    let cookie = u64::from(word(id, 40)) | u64::from(word(id, 44)) << 32;
    let (source, destination) =
        (SocketAddr::new(address(4)?, port(0)?), SocketAddr::new(address(20)?, port(2)?));
    (of(body.get(MESSAGE..)?) == Some(cgroup)).then_some(Connected { source, destination, cookie })
}

/// The cgroup among the attributes.
fn of(mut attributes: &[u8]) -> Option<u64> {
    loop {
        let length = usize::from(half(attributes.get(..4)?, 0));
        let value = attributes.get(4..length)?;
        if half(attributes, 2) == INET_DIAG_CGROUP_ID {
            return Some(u64::from_ne_bytes(*value.first_chunk()?));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_ne_bytes(*four))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |two| u16::from_ne_bytes(*two))
}
