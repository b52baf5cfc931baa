//! A policy's address rules as a table of which the longest prefix is the answer: the form that the kernel asks.
//!
//! The kernel's map holds IPv6 keys, IPv4 being written as v4-mapped, and takes the entry with the
//! longest prefix. A policy does not work so (a short deny wins over a long allow), and neither does
//! the table of public addresses. What is written here is arranged so that both come out the same:
//! entries that a deny, or an allow, overrules are left out.
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::{IpNet, Ipv6Net};

use super::{
    Policy, PortSet,
    class::{self, Class},
};

/// What a policy says of the addresses of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressAction {
    /// An address rule allows.
    Allow,
    /// A deny rule refuses, pinned or not.
    Deny,
    /// Not public and without an exception: refused unless pinned.
    Local,
}

/// An entry of [`Policy::address_entries`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressEntry {
    /// Block; an IPv4 block stands for the v4-mapped one too.
    pub block: IpNet,
    /// What is said of it.
    pub action: AddressAction,
    /// TCP ports that an allow opens; every port for the others.
    pub ports: PortSet,
}

impl Policy {
    /// Address rules and non-public ranges, sorted; of the entries that hold an address, the one with the
    /// longest prefix is the answer. An address without an entry is public and in no rule: pins, and
    /// [`Policy::allows_public`], say whether it is reached.
    /// Without network nothing is pinned or allowed, and the list is empty.
    pub fn address_entries(&self) -> Vec<AddressEntry> {
        if self.disabled().is_some() {
            return Vec::new();
        }
        let index = self.index();
        let mut entries = HashMap::new();
        entries.extend(
            self.own_entries()
                .into_iter()
                .map(|AddressEntry { block, action, ports }| (block, (action, ports))),
        );
        if !self.settings().allow_local_binding {
            let overruled =
                |block| index.denies_block(block).is_some() || index.allows_block(block).is_some();
            let local = LOCAL_BLOCKS.iter().copied().filter(|&block| !overruled(block));
            entries.extend(local.map(|block| (block, (AddressAction::Local, PortSet::All))));
        }
        let allowed = index.allowed_blocks().filter(|&block| index.denies_block(block).is_none());
        for block in allowed {
            // Blocks around IPv4 have parts in common, each of which a longer rule may open.
            entries.extend(apart_from_ipv4(block).into_iter().map(|part| {
                let rule = index.allows_block(part);
                let ports = rule.map_or_else(|| PortSet::only([]), |rule| rule.tcp_ports());
                (part, (AddressAction::Allow, ports))
            }));
        }
        let deny = (AddressAction::Deny, PortSet::All);
        for block in index.denied_blocks() {
            entries.extend(apart_from_ipv4(block).into_iter().map(|part| (part, deny.clone())));
            if let IpNet::V4(block) = block {
                let carriers = class::carriers_of(block).map(IpNet::V6);
                entries.extend(carriers.map(|carrier| (carrier, deny.clone())));
            }
        }
        // Another address reached, as `Policy::denied_address` says.
        for address in [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
            if self.denied_address(address).is_some() {
                entries.insert(IpNet::from(address), deny.clone());
            }
        }
        let mut rules: Vec<_> = entries
            .into_iter()
            .map(|(block, (action, ports))| AddressEntry { block, action, ports })
            .collect();
        rules.sort_unstable_by_key(|rule| rule.block);
        rules
    }

    /// Those of [`Policy::address_entries`] that are there for the machine's own addresses, and change with
    /// them. None has the block of another.
    pub fn own_entries(&self) -> Vec<AddressEntry> {
        if self.disabled().is_some() || self.settings().allow_local_binding {
            return Vec::new();
        }
        let index = self.index();
        let forms =
            self.own_addresses().blocks().flat_map(class::carried_forms).collect::<Vec<_>>();
        let mut rules: Vec<_> = forms
            .into_iter()
            .flat_map(apart_from_ipv4)
            .filter(|&block| class::is_public(block.addr()) || class::is_mixed(block))
            // A rule that covers it is what counts: a deny, or an exception.
            .filter(|&block| {
                index.denies_block(block).is_none() && index.allows_block(block).is_none()
            })
            .map(|block| AddressEntry { block, action: AddressAction::Local, ports: PortSet::All })
            .collect();
        rules.sort_unstable_by_key(|rule| rule.block);
        rules.dedup();
        rules
    }
}

/// The v4-mapped prefix, where IPv4 stands among the kernel's keys.
const MAPPED: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), MAPPED_LENGTH);
/// The prefix length of all of IPv4 there.
pub(super) const MAPPED_LENGTH: u8 = 96;

/// A rule for IPv6 says nothing about IPv4; the kernel's keys of IPv4 are cut out of its block.
fn apart_from_ipv4(block: IpNet) -> Vec<IpNet> {
    match block {
        IpNet::V6(v6) if v6.contains(&MAPPED) => {
            let beside = |length| {
                let bits = MAPPED.addr().to_bits() ^ (1 << (128 - u32::from(length)));
                Ipv6Net::new(Ipv6Addr::from_bits(bits), length).ok().map(|net| net.trunc().into())
            };
            (v6.prefix_len() + 1..=MAPPED_LENGTH).filter_map(beside).collect()
        }
        block => vec![block],
    }
}

/// The same for every policy, and worth half a millisecond.
static LOCAL_BLOCKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| local_blocks().into_iter().map(canonical).collect());

/// Everything that is not public, as blocks that do not overlap, in the kernel's key space.
fn local_blocks() -> Vec<Ipv6Net> {
    let to_key = |(block, class)| match block {
        IpNet::V4(v4) => {
            let bits = v4.network().to_ipv6_mapped();
            Ipv6Net::new(bits, v4.prefix_len() + MAPPED_LENGTH).ok().map(|key| (key, class))
        }
        IpNet::V6(v6) => Some((v6, class)),
    };
    let mut table: Vec<_> = class::blocks().filter_map(to_key).collect();
    table.push((MAPPED, Class::Public));
    let mut found = Vec::new();
    let mut waiting = vec![Ipv6Net::default()];
    // Halves each block until one class holds for all of it. The table is small and fixed, and so
    // is the work.
    while let Some(block) = waiting.pop() {
        let class = table
            .iter()
            .filter(|(line, _)| line.contains(&block))
            .max_by_key(|(line, _)| line.prefix_len())
            .map_or(Class::Local, |&(_, class)| class);
        let mixed = table.iter().any(|(line, other)| block.contains(line) && *other != class);
        match (mixed, class) {
            (true, _) => {
                waiting.extend(block.subnets(block.prefix_len() + 1).into_iter().flatten())
            }
            (false, Class::Local) => found.push(block),
            (false, Class::Public) => {}
        }
    }
    found
}

/// The block in the policy's own form.
fn canonical(key: Ipv6Net) -> IpNet {
    match IpAddr::V6(key.addr()).to_canonical() {
        IpAddr::V4(v4) if key.prefix_len() >= MAPPED_LENGTH => {
            IpNet::new(IpAddr::V4(v4), key.prefix_len() - MAPPED_LENGTH).unwrap_or(IpNet::V6(key))
        }
        _ => IpNet::V6(key),
    }
}

#[cfg(test)]
mod tests;
