//! Fields of records.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{held_sockets::Which, wire::Wire};

/// The beginning of a text, of at most so many bytes.
pub(super) fn cut(text: &str, most: usize) -> &[u8] {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.as_bytes().get(..end.unwrap_or(0)).unwrap_or_default()
}

pub(super) fn take_bool(from: &mut &[u8]) -> Option<bool> {
    match u8::take(from)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

pub(super) fn put_which(which: Which, to: &mut Vec<u8>) {
    which.cookie.put(to);
    which.tgid.put(to);
}

pub(super) fn take_which(from: &mut &[u8]) -> Option<Which> {
    Some(Which { cookie: u64::take(from)?, tgid: u32::take(from)? })
}

pub(super) fn put_address(address: SocketAddr, to: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => {
            to.push(4);
            to.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            to.push(6);
            to.extend(ip.octets());
        }
    }
    to.extend(address.port().to_le_bytes());
}

pub(super) fn take_address(from: &mut &[u8]) -> Option<SocketAddr> {
    let ip = match u8::take(from)? {
        4 => IpAddr::V4(Ipv4Addr::from(octets(from)?)),
        6 => IpAddr::V6(Ipv6Addr::from(octets(from)?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_le_bytes(octets(from)?)))
}

fn octets<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (octets, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*octets)
}
