//! Refusals that the kernel side tells of, put into words.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
};

use aya::maps::{MapData, RingBuf};
use egress_common::{
    Reason,
    device::DeviceKey,
    event::{Event, HelloEvent, Hook},
};

use super::devices;
use crate::{record::Refused, sys};

/// The event ring.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// The next event; none when the ring is empty. Records that are too short are passed over.
    pub fn take(&mut self) -> Option<Told> {
        loop {
            let item = self.ring.next()?;
            let Some(event) = sys::pod::read::<Event>(&item) else { continue };
            if event.hook != Hook::Hello as u8 {
                return Some(Told::Refused(event));
            }
            if let Some(hello) = sys::pod::read::<HelloEvent>(&item) {
                return Some(Told::Hello(Box::new(hello)));
            }
        }
    }
}

/// What the kernel side tells.
#[derive(Clone, Debug)]
pub enum Told {
    /// It has refused something.
    Refused(Event),
    /// A direct connection's first payload does not pass.
    Hello(Box<HelloEvent>),
}

impl AsFd for Events {
    /// Readable when there is an event.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// What an event means. `explain` gives the policy's own words for a refused TCP destination.
pub fn describe(event: &Event, explain: impl Fn(SocketAddr) -> Option<Refused>) -> Refused {
    let reason = Reason::from_number(event.reason).unwrap_or(Reason::NotAllowed);
    let plain = |what: String| Refused { what: what.into(), reason, rule: None, fix: None };
    match Hook::from_number(event.hook) {
        Some(Hook::Create) => plain(socket_name(event)),
        Some(Hook::Option) => {
            plain(format!("setsockopt level {} option {}", event.family, event.protocol))
        }
        Some(Hook::Device) => plain(device(event)),
        Some(Hook::Connect | Hook::Send) => address(event, reason, explain),
        Some(Hook::Packet | Hook::Hello) | None => {
            let ip: IpAddr = event.address.into();
            plain(format!("packet of protocol {} to {}", event.protocol, target(ip, event.port)))
        }
    }
}

/// The destination of a refused connect of a datagram socket: nothing was sent.
pub fn datagram_connect(event: &Event) -> Option<SocketAddr> {
    let connect = matches!(Hook::from_number(event.hook), Some(Hook::Connect));
    (connect && i32::from(event.protocol) == libc::IPPROTO_UDP)
        .then(|| SocketAddr::new(event.address.into(), event.port))
}

fn address(
    event: &Event,
    reason: Reason,
    explain: impl Fn(SocketAddr) -> Option<Refused>,
) -> Refused {
    let to = SocketAddr::new(event.address.into(), event.port);
    let protocol = match i32::from(event.protocol) {
        libc::IPPROTO_TCP => "tcp",
        libc::IPPROTO_UDP => "udp",
        _ => "other",
    };
    let plain = Refused { what: format!("{protocol} {to}").into(), reason, rule: None, fix: None };
    if reason == Reason::ProtocolNotAllowed {
        return plain;
    }
    explain(to).unwrap_or(plain)
}

fn device(event: &Event) -> String {
    devices::name(DeviceKey {
        kind: event.family.into(),
        major: event.protocol.into(),
        minor: u32::try_from(event.minor).unwrap_or(DeviceKey::ANY),
    })
}

fn target(ip: IpAddr, port: u16) -> String {
    SocketAddr::new(ip, port).to_string()
}

fn socket_name(event: &Event) -> String {
    let family = match i32::from(event.family) {
        libc::AF_INET => "AF_INET".to_owned(),
        libc::AF_INET6 => "AF_INET6".to_owned(),
        other => format!("family {other}"),
    };
    let kind = match i32::from(event.socket_type) {
        libc::SOCK_STREAM => "SOCK_STREAM".to_owned(),
        libc::SOCK_DGRAM => "SOCK_DGRAM".to_owned(),
        libc::SOCK_RAW => "SOCK_RAW".to_owned(),
        other => format!("type {other}"),
    };
    let protocol = match i32::from(event.protocol) {
        libc::IPPROTO_ICMP => "ICMP".to_owned(),
        libc::IPPROTO_ICMPV6 => "ICMPv6".to_owned(),
        libc::IPPROTO_SCTP => "SCTP".to_owned(),
        libc::IPPROTO_UDPLITE => "UDP-Lite".to_owned(),
        libc::IPPROTO_MPTCP => "MPTCP".to_owned(),
        other => format!("protocol {other}"),
    };
    format!("socket({family}, {kind}, {protocol})")
}
