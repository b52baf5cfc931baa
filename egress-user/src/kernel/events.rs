//! What the kernel side tells, as data.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
};

use aya::maps::{MapData, RingBuf};
use egress_common::{
    Reason,
    device::DeviceKey,
    event::{Event, HelloEvent, Hook},
};

use super::node;
use crate::{
    record::{self, Subject},
    sys,
};

/// The event ring.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// The next event; none when the ring is empty. Records that are too short are passed over.
    pub fn take(&mut self) -> Option<KernelEvent> {
        loop {
            let item = self.ring.next()?;
            let Some(event) = sys::pod::read::<Event>(&item) else { continue };
            if event.hook != Hook::Hello as u8 {
                return Some(KernelEvent::Refused(event));
            }
            if let Some(hello) = sys::pod::read::<HelloEvent>(&item) {
                return Some(KernelEvent::Hello(Box::new(hello)));
            }
        }
    }
}

/// What the kernel side tells.
#[derive(Clone, Debug)]
pub enum KernelEvent {
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

/// What an event means. `explain` gives the policy's own decision on a refused destination.
pub fn describe(
    event: &Event,
    explain: impl Fn(SocketAddr) -> Option<Box<record::Event>>,
) -> record::Event {
    let reason = Reason::from_number(event.reason).unwrap_or(Reason::NotAllowed);
    let subject = subject(event);
    let explained = match &subject {
        Subject::Address { to, .. } if reason != Reason::ProtocolNotAllowed => explain(*to),
        _ => None,
    };
    match explained {
        Some(explained) => record::Event { subject, ..*explained },
        None => record::Event::refused(subject, reason),
    }
}

/// What an event is about.
fn subject(event: &Event) -> Subject {
    let to = SocketAddr::new(event.address.into(), event.port);
    match Hook::from_number(event.hook) {
        Some(Hook::Create) => Subject::Socket {
            family: event.family.into(),
            kind: event.socket_type.into(),
            protocol: event.protocol.into(),
        },
        Some(Hook::Option) => Subject::SocketOption { level: event.family, option: event.protocol },
        Some(Hook::Device) => device(event),
        Some(Hook::Connect | Hook::Send | Hook::SendConnected) => {
            Subject::Address { protocol: event.protocol, to }
        }
        Some(Hook::Packet | Hook::Hello) | None => Subject::Packet { protocol: event.protocol, to },
    }
}

fn device(event: &Event) -> Subject {
    let minor = u32::try_from(event.minor).unwrap_or(DeviceKey::ANY);
    let (kind, major) = (event.family.into(), event.protocol.into());
    let node = node(DeviceKey { kind, major, minor });
    Subject::Device { kind, major, minor, node: node.map(Into::into) }
}

/// The destination of a refused send on a connected datagram socket.
pub fn connected_datagram(event: &Event) -> Option<SocketAddr> {
    matches!(Hook::from_number(event.hook), Some(Hook::SendConnected))
        .then(|| SocketAddr::new(event.address.into(), event.port))
}
