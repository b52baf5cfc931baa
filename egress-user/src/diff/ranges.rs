//! The kinds of addresses that two policies tell apart.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::{
    Both,
    hosts::{HostClass, Hosts, Probe},
};
use crate::policy::{Host, LOCALHOST_ADDRESSES, Pattern, carried_forms, class_blocks, is_public};

/// From the first number to the last, of one family.
type Range = (u128, u128);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Every kind: the ranges of the policies' blocks one by one, then all the rest.
pub(super) fn classes(both: Both<'_>) -> Vec<HostClass> {
    let written = written(both);
    let class = |hosts, probe| HostClass { hosts, probe: Probe::Host(Host::Address(probe)) };
    let mut classes = Vec::new();
    let (mut public, mut local) = (None, None);
    for family in [Family::V4, Family::V6] {
        let inside = merged(of_family(&written, family));
        for (first, last) in cut(&written, family) {
            let (first, last) = (family.address(first), family.address(last));
            // These are IPv4, and judged there.
            if matches!(first, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
                continue;
            }
            if holds(&inside, family.number(first)) {
                classes.push(class(Hosts::Range(first, last), first));
            } else {
                let slot = if is_public(first) { &mut public } else { &mut local };
                slot.get_or_insert(first);
            }
        }
    }
    // Well-known ones are easier to read than the first of a range.
    let well_known = |known: [u8; 4], found: IpAddr| {
        let known = IpAddr::from(known);
        if written.iter().any(|block| block.contains(&known)) { found } else { known }
    };
    classes.extend(
        public.map(|found| class(Hosts::OtherPublic, well_known([93, 184, 216, 34], found))),
    );
    classes.extend(local.map(|found| class(Hosts::OtherLocal, well_known([10, 0, 0, 1], found))));
    classes
}

/// The blocks that the rules are about, in every form, or that names may resolve to.
fn written(both: Both<'_>) -> Vec<IpNet> {
    let rules = both.each().into_iter().flat_map(|policy| policy.rules());
    let blocks = rules.filter_map(|rule| match &rule.pattern {
        Pattern::Address(address) => Some(IpNet::from(address.to_canonical())),
        Pattern::Block(block) => Some(*block),
        Pattern::Exact(_) | Pattern::Below(_) | Pattern::AtOrBelow(_) | Pattern::Any => None,
    });
    let rules = both.each().into_iter().flat_map(|policy| policy.rules());
    let resolved = rules.flat_map(|rule| rule.options.resolves_to.iter().copied());
    let mut blocks: Vec<IpNet> = blocks.flat_map(carried_forms).chain(resolved).collect();
    // Linux connects the unspecified addresses to loopback: a deny of loopback is one of them too.
    let unspecified = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    for (unspecified, loopback) in unspecified.into_iter().zip(LOCALHOST_ADDRESSES) {
        if blocks.iter().any(|block| block.contains(&loopback)) {
            blocks.push(IpNet::from(unspecified));
        }
    }
    blocks
}

/// The whole family, cut at every edge of these blocks and of the table of public addresses.
fn cut(written: &[IpNet], family: Family) -> Vec<Range> {
    let mapped = Ipv6Net::new(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96).map(IpNet::V6);
    let blocks: Vec<IpNet> =
        written.iter().copied().chain(class_blocks()).chain(mapped.ok()).collect();
    let mut starts = vec![0];
    for (first, last) in of_family(&blocks, family) {
        starts.push(first);
        starts.extend(last.checked_add(1).filter(|&next| next <= family.last()));
    }
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([family.last()]);
    starts.iter().copied().zip(ends).collect()
}

fn of_family(blocks: &[IpNet], family: Family) -> impl Iterator<Item = Range> {
    blocks
        .iter()
        .filter(move |block| matches!(block, IpNet::V4(_)) == (family == Family::V4))
        .map(move |block| (family.number(block.network()), family.number(block.broadcast())))
}

/// Ranges in order, those that touch or overlap made one.
pub(super) fn merged(ranges: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut sorted: Vec<Range> = ranges.collect();
    sorted.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for (first, last) in sorted {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn holds(ranges: &[Range], number: u128) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= number);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| number <= *last)
}

/// The ranges of one family that touch made one.
pub(super) fn joined(ranges: &[(IpAddr, IpAddr)]) -> Vec<(IpAddr, IpAddr)> {
    let mut joined = Vec::new();
    for family in [Family::V4, Family::V6] {
        let own = ranges.iter().filter(|(first, _)| first.is_ipv4() == (family == Family::V4));
        let own = own.map(|&(first, last)| (family.number(first), family.number(last)));
        let address = |(first, last)| (family.address(first), family.address(last));
        joined.extend(merged(own).into_iter().map(address));
    }
    joined
}

impl Family {
    fn last(self) -> u128 {
        match self {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
        }
    }

    fn number(self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    /// The address with this number, which is at most [`Self::last`].
    fn address(self, number: u128) -> IpAddr {
        match self {
            Family::V4 => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)))
            }
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }
}
