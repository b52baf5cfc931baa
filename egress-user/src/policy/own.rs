//! The machine's own addresses, which are local however public they look: a service that listens on
//! every address of its host is behind each of them.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, PoisonError, RwLock},
};

use ipnet::IpNet;

use super::{
    Policy,
    class::{carried, is_mixed, is_public},
    compile::MAPPED_LENGTH,
};

/// Addresses that the network namespace in which connections are dialled holds, each with the interface
/// that has it. Blocks are what a local route gives it as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    addresses: HashMap<IpAddr, Arc<str>>,
    blocks: Vec<(IpNet, Arc<str>)>,
}

impl OwnAddresses {
    /// Those that are local anyway are left out.
    pub fn new(blocks: impl IntoIterator<Item = (IpNet, Arc<str>)>) -> Self {
        let mut own = Self::default();
        for (block, interface) in blocks {
            let block = canonical(block);
            if !is_public(block.addr()) && !is_mixed(block) {
                continue;
            }
            if block.prefix_len() == block.max_prefix_len() {
                own.addresses.entry(block.addr()).or_insert(interface);
            } else if !own.blocks.iter().any(|(known, _)| *known == block) {
                own.blocks.push((block, interface));
            }
        }
        own.blocks.sort();
        own
    }

    /// Every address: where they cannot be read, any may be the machine's own.
    pub fn unknown() -> Self {
        let blocks = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let all = blocks.into_iter().filter_map(|first| IpNet::new(first, 0).ok());
        Self::new(all.map(|block| (block, "an interface that cannot be read".into())))
    }

    /// The interface that has the address, or the IPv4 address that it carries.
    pub fn interface(&self, address: IpAddr) -> Option<&Arc<str>> {
        let address = address.to_canonical();
        let at = |address: IpAddr| {
            let within = || self.blocks.iter().find(|(block, _)| block.contains(&address));
            self.addresses.get(&address).or_else(|| within().map(|(_, interface)| interface))
        };
        at(address).or_else(|| at(carried(address.into())?.addr().into()))
    }

    /// Every one, as a block.
    pub(super) fn blocks(&self) -> impl Iterator<Item = IpNet> {
        let addresses = self.addresses.keys().map(|&address| IpNet::from(address));
        addresses.chain(self.blocks.iter().map(|(block, _)| *block))
    }
}

/// A block of v4-mapped addresses is one of IPv4.
fn canonical(block: IpNet) -> IpNet {
    let block = block.trunc();
    match block.addr().to_canonical() {
        IpAddr::V4(v4) if block.addr().is_ipv6() && block.prefix_len() >= MAPPED_LENGTH => {
            IpNet::new(v4.into(), block.prefix_len() - MAPPED_LENGTH).unwrap_or(block)
        }
        _ => block,
    }
}

/// What a policy knows of them: the one thing of it that changes, as an input of its decisions.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<RwLock<Arc<OwnAddresses>>>);

impl Known {
    pub(super) fn set(&self, own: OwnAddresses) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(own);
    }

    pub(super) fn get(&self) -> Arc<OwnAddresses> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why an address is local.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Locality {
    /// By what it is.
    NotPublic,
    /// The machine has it, on this interface.
    Own(Arc<str>),
}

impl Locality {
    /// The interface of this machine that has the address, where one has.
    pub(super) fn interface(self) -> Option<Arc<str>> {
        match self {
            Self::NotPublic => None,
            Self::Own(interface) => Some(interface),
        }
    }
}

impl Policy {
    /// Decides from here on with these as the machine's own addresses; without any until then.
    pub fn set_own_addresses(&self, own: OwnAddresses) {
        self.known_own().set(own);
    }

    /// The machine's own addresses, as far as they were given.
    pub fn own_addresses(&self) -> Arc<OwnAddresses> {
        self.known_own().get()
    }

    /// Whether the address is the machine's own, and so closed to names: no pin stands that is older than
    /// that.
    pub fn is_own(&self, address: IpAddr) -> bool {
        !self.settings().allow_local_binding && self.known_own().get().interface(address).is_some()
    }

    /// Whether the address is the machine's own, and so closed to every name: no pin of it may stand. Where
    /// `resolves_to` of a rule has it, [`Policy::is_own_to`] says for which names.
    pub fn closes_own(&self, address: IpAddr) -> bool {
        self.is_own(address) && !self.has_alone(address)
    }

    /// Whether the machine delivers to the address itself, allowed or not.
    pub fn is_this_machine(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback()
            || address.is_unspecified()
            || self.known_own().get().interface(address).is_some()
    }

    /// Why the address is local; none for one that is public and somebody else's.
    pub(super) fn locality(&self, address: IpAddr) -> Option<Locality> {
        if !is_public(address) {
            return Some(Locality::NotPublic);
        }
        self.known_own().get().interface(address).cloned().map(Locality::Own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Action, Origin, Pattern, Rule, RuleOptions, Settings};

    fn star() -> Policy {
        let rule = Rule {
            text: "*".to_owned(),
            pattern: Pattern::Any,
            action: Action::Allow,
            options: RuleOptions::default(),
            origin: Origin::new("test.toml", None),
        };
        Policy::new(Settings::default(), vec![rule])
    }

    #[test]
    fn where_they_cannot_be_read_every_address_is_closed() {
        let policy = star();
        let addresses = ["93.184.216.34", "2606:2800::1", "64:ff9b::8.8.8.8", "8.8.8.8"];
        let addresses = addresses.map(|text| text.parse::<IpAddr>().unwrap());
        assert!(addresses.iter().all(|&address| policy.address(address).is_ok()));
        policy.set_own_addresses(OwnAddresses::unknown());
        for address in addresses {
            assert!(policy.address(address).is_err() && policy.closes_own(address), "{address}");
        }
    }

    #[test]
    fn every_form_of_an_own_address_is_own() {
        let own = |text: &str| OwnAddresses::new([(text.parse().unwrap(), "eth0".into())]);
        for (block, inside, outside) in [
            ("93.184.216.2/32", "::ffff:93.184.216.2", "93.184.216.3"),
            ("93.184.216.2/32", "64:ff9b::93.184.216.2", "64:ff9b::93.184.216.3"),
            ("::ffff:93.184.216.2/128", "93.184.216.2", "93.184.216.1"),
            ("93.184.216.9/24", "93.184.216.255", "93.184.217.0"),
            ("2606:2800::/32", "2606:2800:ffff::1", "2606:2801::"),
        ] {
            let at = |text: &str| own(block).interface(text.parse().unwrap()).is_some();
            assert!(at(inside) && !at(outside), "{block}");
        }
        // Local anyway.
        assert_eq!(own("10.0.0.1/32"), OwnAddresses::default());
    }
}
