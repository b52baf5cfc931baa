//! The table of a sandbox's pins.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use egress_common::{
    abi::capacity,
    pin::{PortList, Ports},
};

use super::{
    direct_ports,
    expired::{Expired, MAX_EXPIRED, last_names},
    ports_of,
};
use crate::policy::{MatchedRules, Name, PortSet};

/// Most live pins of a sandbox. At the limit new pins are refused and live ones kept, so a flood
/// of names costs only the sandbox that makes it. Each pin costs about 200 bytes here (0.8 MiB a
/// full table) and at most one entry of the kernel's map.
pub const MAX_PINS: usize = 4096;

// A full table fits the kernel's maps, of which a sandbox has its own part, with the addresses that are
// remembered; the proof of the path pins one more.
const _: () = assert!(
    MAX_PINS + MAX_EXPIRED < capacity::PINS as usize && MAX_PINS <= capacity::NAMES as usize
);

/// Most live addresses of one name. More than one answer's worth, because a name with a TTL of
/// seconds that rotates eight addresses at a time collects 480 of them in the default five
/// minutes of a pin's life. At the limit new ones are refused.
pub const MAX_ADDRESSES_A_NAME: usize = 512;

/// Expiry of a pin that never ends.
pub const NEVER_NS: u64 = u64::MAX;

/// Least life of a pin: a connection must have time to follow its answer, whatever the TTL.
const LEAST_LIFE: Duration = Duration::from_secs(1);

/// How often expired pins are swept out while pins are added.
const SWEEP_NS: u64 = 10_000_000_000;

/// When a pin made at `now_ns` for an answer of this TTL ends: after max(TTL, `min_ttl`), bounded
/// by `max_ttl`, and never in less than a second. CLOCK_BOOTTIME nanoseconds.
pub fn expiry_ns(now_ns: u64, ttl_seconds: u32, min_ttl: Duration, max_ttl: Duration) -> u64 {
    let life = Duration::from_secs(ttl_seconds.into()).max(min_ttl).min(max_ttl).max(LEAST_LIFE);
    // One less than NEVER_NS: a clock near its end must not make a pin permanent.
    let life_ns = u64::try_from(life.as_nanos()).unwrap_or(NEVER_NS);
    now_ns.saturating_add(life_ns).min(NEVER_NS - 1)
}

/// A live pin of an address.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The name whose lookup gave it.
    pub name: Name,
    /// What its rule opens.
    pub grant: MatchedRules,
}

/// Why addresses were not pinned. Nothing of the attempt is left in the table or the sink.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The sandbox, or the name, has as many live pins as it may have.
    #[error("pin {name}: the quota of {limit} live pins is used up")]
    Full {
        /// The name whose addresses were to be pinned.
        name: String,
        /// [`MAX_PINS`] or [`MAX_ADDRESSES_A_NAME`].
        limit: usize,
    },
    /// The kernel's map could not be written.
    #[error("pin {address} of {name}")]
    Sink {
        /// The name whose addresses were to be pinned.
        name: String,
        /// The address whose write failed.
        address: IpAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// All pins of one sandbox: what is to be open. Nothing here writes to the store, or waits for anything; what
/// a change asks of the store is handed to [`super::Pins`], which makes it.
///
/// A pin is live while `now < expires`, as in the kernel, and while a connection made under it is
/// ([`super::Pins::hold`]). Addresses are kept in their canonical form: a v4-mapped address is its IPv4 address.
#[derive(Debug, Default)]
pub(super) struct PinTable {
    /// Pins of an address, the latest first. Never empty. Shared, so that whoever reads them copies nothing
    /// while others wait.
    pub(super) by_address: HashMap<IpAddr, Arc<Vec<Pin>>>,
    /// Addresses of a name in the order of the latest answer. Never empty.
    pub(super) by_name: HashMap<Name, Vec<IpAddr>>,
    /// Pins in `by_address`, live or not yet swept.
    pub(super) count: usize,
    pub(super) expired: Expired,
    pub(super) sweep_at_ns: u64,
    /// Pinned addresses whose next connections take the proxy, whatever their pins say.
    pub(super) proxied: HashSet<IpAddr>,
    /// Connections by the proxy to each address that still live. Never 0.
    pub(super) held: HashMap<IpAddr, u32>,
}

/// What the table no longer has, and the store is to lose.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// Addresses that are to be closed for good.
    pub(super) addresses: Vec<IpAddr>,
    /// Addresses of which no pin is left, with the ports that were open there.
    pub(super) expired: Vec<(IpAddr, Ports)>,
    /// Names of an address, with the number of each.
    pub(super) names: Vec<(IpAddr, Name, u64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Pin {
    pub(super) name: Name,
    pub(super) grant: MatchedRules,
    /// When an answer gave it first.
    pub(super) since_ns: u64,
    /// When the answers' time is over.
    pub(super) expires_ns: u64,
    /// Until when it lives on for connections under it; 0 for none.
    pub(super) lent_ns: u64,
    /// By which the sink counts direct connections.
    pub(super) id: u64,
    /// Ports on which it needs no proxy.
    pub(super) direct: PortList,
}

impl Pin {
    /// When it ends, as far as is known.
    pub(super) fn ends_ns(&self) -> u64 {
        self.expires_ns.max(self.lent_ns)
    }
}

impl PinTable {
    /// As in the kernel; and as long as a connection by the proxy lives, which renews it.
    pub(super) fn is_live(&self, address: IpAddr, pin: &Pin, now_ns: u64) -> bool {
        now_ns < pin.ends_ns() || self.held.contains_key(&address.to_canonical())
    }

    /// Sweeps, where it is time or there is no room for the pins that are wanted.
    pub(super) fn make_room(
        &mut self,
        name: &Name,
        wanted: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Closed {
        if now_ns >= self.sweep_at_ns || self.limit_met(name, wanted).is_some() {
            self.purge(now_ns)
        } else {
            Closed::default()
        }
    }

    /// The pins as they will stand, all or none: earlier ones of the same name and address live on until the
    /// later of both expiries, under the new grant.
    pub(super) fn plan(
        &self,
        name: &Name,
        grant: &MatchedRules,
        wanted: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Result<Vec<(IpAddr, Pin)>, PinError> {
        if let Some(limit) = self.limit_met(name, wanted) {
            return Err(PinError::Full { name: name.as_str().to_owned(), limit });
        }
        let direct = direct_ports(grant);
        let pins = wanted.iter().map(|&(address, expires_ns)| {
            let earlier = self.pin_of(name, address);
            let pin = Pin {
                name: name.clone(),
                grant: grant.clone(),
                since_ns: earlier.map_or(now_ns, |pin| pin.since_ns),
                expires_ns: earlier.map_or(expires_ns, |pin| pin.expires_ns.max(expires_ns)),
                lent_ns: earlier.map_or(0, |pin| pin.lent_ns),
                id: earlier.map_or(0, |pin| pin.id),
                direct,
            };
            (address, pin)
        });
        Ok(pins.collect())
    }

    /// Enters what the store has.
    pub(super) fn insert_all(&mut self, pins: Vec<(IpAddr, Pin)>) {
        // Backwards, because each goes to the front.
        for (address, pin) in pins.into_iter().rev() {
            self.insert(address, pin);
        }
    }

    fn insert(&mut self, address: IpAddr, pin: Pin) {
        self.expired.take(address);
        let addresses = self.by_name.entry(pin.name.clone()).or_default();
        addresses.retain(|&other| other != address);
        addresses.insert(0, address);
        let pins = Arc::make_mut(self.by_address.entry(address).or_default());
        match pins.iter().position(|other| other.name == pin.name) {
            Some(at) => drop(pins.remove(at)),
            None => self.count += 1,
        }
        pins.insert(0, pin);
    }

    /// Live addresses of this name, in the order of the answer.
    pub(super) fn addresses_of(&self, name: &Name, now_ns: u64) -> Vec<IpAddr> {
        let Some(addresses) = self.by_name.get(name) else { return Vec::new() };
        let live = addresses.iter().filter(|&&address| self.is_pinned_for(name, address, now_ns));
        live.copied().collect()
    }

    /// Whether a live pin of the address is this name's.
    pub(super) fn is_pinned_for(&self, name: &Name, address: IpAddr, now_ns: u64) -> bool {
        self.pin_of(name, address).is_some_and(|pin| self.is_live(address, pin, now_ns))
    }

    /// Removes expired pins.
    pub(super) fn purge(&mut self, now_ns: u64) -> Closed {
        self.sweep_at_ns = now_ns.saturating_add(SWEEP_NS);
        let mut gone = Closed::default();
        let mut over = Vec::new();
        let held = &self.held;
        self.by_address.retain(|&address, pins| {
            let is_over = |pin: &Pin| now_ns >= pin.ends_ns();
            if held.contains_key(&address) || !pins.iter().any(is_over) {
                return true;
            }
            let last = pins.clone();
            let ended = pins.iter().filter(|pin| is_over(pin));
            gone.names.extend(ended.map(|pin| (address, pin.name.clone(), pin.id)));
            Arc::make_mut(pins).retain(|pin| !is_over(pin));
            if pins.is_empty() {
                over.push((address, last));
            }
            !pins.is_empty()
        });
        self.count -= gone.names.len();
        for (address, name, _) in &gone.names {
            self.forget_address(name, *address);
        }
        for (address, pins) in over {
            self.proxied.remove(&address);
            gone.addresses.extend(self.expired.remember(address, last_names(&pins)));
            gone.expired.push((address, ports_of_pins(&pins)));
        }
        gone
    }

    /// Removes every pin of the addresses for which `is_closed` holds, and what has expired.
    pub(super) fn end(&mut self, is_closed: impl Fn(IpAddr) -> bool, now_ns: u64) -> Closed {
        let mut gone = Closed::default();
        let addresses = self.by_address.keys().copied();
        gone.addresses.extend(addresses.filter(|&address| is_closed(address)));
        for &address in &gone.addresses {
            for pin in self.by_address.remove(&address).as_deref().into_iter().flatten() {
                self.count -= 1;
                self.forget_address(&pin.name, address);
                gone.names.push((address, pin.name.clone(), pin.id));
            }
            self.proxied.remove(&address);
        }
        let Closed { addresses, expired, names } = self.purge(now_ns);
        gone.addresses.extend(addresses);
        gone.addresses.extend(self.expired.forget(is_closed));
        gone.expired.extend(expired);
        gone.names.extend(names);
        gone
    }

    /// Takes one pin out.
    pub(super) fn remove(&mut self, name: &Name, address: IpAddr) {
        let Some(pins) = self.by_address.get_mut(&address) else { return };
        let before = pins.len();
        Arc::make_mut(pins).retain(|pin| pin.name != *name);
        self.count -= before - pins.len();
        if pins.is_empty() {
            self.by_address.remove(&address);
        }
        self.forget_address(name, address);
    }

    fn forget_address(&mut self, name: &Name, address: IpAddr) {
        if let Some(addresses) = self.by_name.get_mut(name) {
            addresses.retain(|&other| other != address);
            if addresses.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    /// All pins of the address, live or not yet swept.
    pub(super) fn shared_pins_of(&self, address: IpAddr) -> Option<Arc<Vec<Pin>>> {
        self.by_address.get(&address.to_canonical()).cloned()
    }

    pub(super) fn pins_of(&self, address: IpAddr) -> &[Pin] {
        self.by_address.get(&address.to_canonical()).map_or(&[], |pins| pins.as_slice())
    }

    /// This name's pin of the address, live or not yet swept.
    pub(super) fn pin_of(&self, name: &Name, address: IpAddr) -> Option<&Pin> {
        self.pins_of(address).iter().find(|pin| pin.name == *name)
    }

    /// The same, to be changed.
    pub(super) fn pin_mut(&mut self, name: &Name, address: IpAddr) -> Option<&mut Pin> {
        let pins = Arc::make_mut(self.by_address.get_mut(&address)?);
        pins.iter_mut().find(|pin| pin.name == *name)
    }

    /// The limit that these pins would go beyond, if any.
    fn limit_met(&self, name: &Name, wanted: &[(IpAddr, u64)]) -> Option<usize> {
        let is_new = |&&(address, _): &&(IpAddr, u64)| self.pin_of(name, address).is_none();
        let new = wanted.iter().filter(is_new).count();
        let of_name = self.by_name.get(name).map_or(0, Vec::len);
        match (self.count + new > MAX_PINS, of_name + new > MAX_ADDRESSES_A_NAME) {
            (true, _) => Some(MAX_PINS),
            (false, true) => Some(MAX_ADDRESSES_A_NAME),
            (false, false) => None,
        }
    }
}

/// The TCP ports that these pins open, together.
pub(super) fn ports_of_pins(pins: &[Pin]) -> Ports {
    let none = PortSet::only([]);
    ports_of(&pins.iter().fold(none, |all, pin| all.union(&pin.grant.tcp_ports())))
}

/// Canonical addresses, each once, in the order given.
pub(super) fn distinct(addresses: &[(IpAddr, u64)]) -> Vec<(IpAddr, u64)> {
    // An answer has few: comparing them all costs less than a table.
    let mut distinct: Vec<(IpAddr, u64)> = Vec::with_capacity(addresses.len());
    for &(address, at) in addresses {
        let address = address.to_canonical();
        if !distinct.iter().any(|&(other, _)| other == address) {
            distinct.push((address, at));
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
