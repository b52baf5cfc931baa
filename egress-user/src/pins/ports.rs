//! A policy's ports in the form of the kernel's records: the one conversion.

use egress_common::pin::{PortList, Ports};

use crate::policy::{MAX_PORT_RANGES, MatchedRules, PortRange, PortSet};

// What a policy may say of one pattern fits the record.
const _: () = assert!(MAX_PORT_RANGES <= Ports::CAPACITY);

/// As [`Ports`], exactly; every port where there are more ranges than it has room for. That is never so of
/// the lines of one pattern ([`MAX_PORT_RANGES`]), but may be of many names that share an address: the proxy
/// then refuses the rest, as it judges every port again.
pub fn ports_of(ports: &PortSet) -> Ports {
    Ports::of(ports.ranges().iter().map(ends)).unwrap_or(Ports::ALL)
}

/// The ports on which a name needs no proxy, as many of them as [`PortList`] has room for; the others take it.
pub fn direct_ports(grant: &MatchedRules) -> PortList {
    list_of(grant.direct_ports().iter().copied()).1
}

/// As many of the ports as fit, the first ones first: as a set, and as the record has it.
pub(super) fn list_of(ports: impl IntoIterator<Item = PortRange>) -> (PortSet, PortList) {
    let ports: Vec<PortRange> = ports.into_iter().collect();
    let all = PortSet::of(ports.iter().copied());
    if let Some(list) = PortList::of(all.ranges().iter().map(ends)) {
        return (all, list);
    }
    let (mut set, mut list) = (PortSet::only([]), PortList::NONE);
    for range in ports {
        let more = set.clone().union(&PortSet::of([range]));
        // Where there is no room, the proxy has it.
        if let Some(longer) = PortList::of(more.ranges().iter().map(ends)) {
            (set, list) = (more, longer);
        }
    }
    (set, list)
}

/// What a record has.
pub fn set_of(list: &PortList) -> PortSet {
    PortSet::of(list.iter().filter_map(|(first, last)| PortRange::new(first, last)))
}

/// Those of the list that are not in the set, as many as fit: of the others the proxy takes care.
pub fn list_without(list: &PortList, set: &PortSet) -> PortList {
    list_of(set_of(list).without(set).ranges().iter().copied()).1
}

fn ends(range: &PortRange) -> (u16, u16) {
    (range.first(), range.last())
}

#[cfg(test)]
mod tests;
