//! A policy's ports in the form of the kernel's records: the one conversion.

use egress_common::pin::{PortList, Ports};

use crate::policy::{MatchedRules, PortSet};

/// As [`Ports`], which opens every port where there are more than it holds: the proxy refuses the rest.
pub fn ports_of(ports: &PortSet) -> Ports {
    match ports {
        PortSet::All => Ports::ALL,
        PortSet::Only(ports) => Ports::only(ports),
    }
}

/// The ports on which a name needs no proxy, the first [`PortList::CAPACITY`] of them; the others take it.
pub fn direct_ports(grant: &MatchedRules) -> PortList {
    let mut list = PortList::NONE;
    for port in grant.direct_ports() {
        // Where there is no room, the proxy has it.
        list.insert(port);
    }
    list
}

#[cfg(test)]
mod tests;
