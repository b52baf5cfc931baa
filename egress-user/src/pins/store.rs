//! Where pins are written before an answer leaves: the kernel's maps.

use std::net::IpAddr;

use egress_common::pin::{PortList, Ports};

use crate::policy::Name;

/// What is open at an address, for all of its pins together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// In CLOCK_BOOTTIME nanoseconds; `u64::MAX` never ends.
    pub expires_ns: u64,
    /// Open TCP ports.
    pub ports: Ports,
    /// Those of them that need no proxy.
    pub direct: PortList,
    /// Those of the direct ones where what is not TLS passes.
    pub unread: PortList,
}

impl Opening {
    /// By the proxy alone.
    pub fn proxied(expires_ns: u64, ports: Ports) -> Self {
        Self { expires_ns, ports, direct: PortList::NONE, unread: PortList::NONE }
    }
}

/// A name that direct connections to an address may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    /// As in [`Opening::expires_ns`]; a connection that began earlier may name it.
    pub expires_ns: u64,
    /// On these ports.
    pub ports: PortList,
    /// The number under which its connections are counted; 0 before it has one.
    pub id: u64,
}

/// Writes pins.
pub trait PinStore: Send + Sync {
    /// Opens the address.
    ///
    /// # Errors
    /// When the map is full or cannot be written; the answer must not leave then.
    fn pin(&self, address: IpAddr, opening: &Opening) -> std::io::Result<()>;
    /// Closes the address.
    fn unpin(&self, address: IpAddr);
    /// Closes the address, whose last pin has ended: what connects to it on one of these ports is to wait with
    /// the proxy, until it is known whether a name has it still.
    fn expire(&self, address: IpAddr, _ports: Ports) {
        self.unpin(address);
    }
    /// Lets direct connections to the address name the name. Gives the number under which they are
    /// counted; none when they cannot be judged, so that the proxy has to.
    fn name(&self, _address: IpAddr, _name: &Name, _naming: &Naming) -> Option<u64> {
        None
    }
    /// Takes that back. Connections that were judged go on.
    fn unname(&self, _address: IpAddr, _name: &Name, _id: u64) {}
    /// Whether a direct connection lives that named the pin with this number.
    fn lives(&self, _id: u64) -> bool {
        false
    }
    /// Whether a direct connection to the address lives that has named nobody.
    fn lives_at(&self, _address: IpAddr) -> bool {
        false
    }
}
