//! The table of a sandbox's pins.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    time::Duration,
};

use egress_common::{abi::capacity, pin::PortList};

use super::{Ends, PinStore, direct_ports};
use crate::policy::{MatchedRules, Name};

/// Most live pins of a sandbox. At the limit new pins are refused and live ones kept, so a flood
/// of names costs only the sandbox that makes it. Each pin costs about 200 bytes here (0.8 MiB a
/// full table) and at most one entry of the kernel's map.
pub const MAX_PINS: usize = 4096;

// A full table fits the kernel's maps, of which a sandbox has its own part; the proof of the path pins one
// more.
const _: () = assert!(MAX_PINS < capacity::PINS as usize && MAX_PINS <= capacity::NAMES as usize);

/// Most live addresses of one name. More than one answer's worth, because a name with a TTL of
/// seconds that rotates eight addresses at a time collects 480 of them in the default five
/// minutes of a pin's life. At the limit new ones are refused.
pub const MAX_ADDRESSES_A_NAME: usize = 512;

/// Most expired addresses whose last name is remembered, for [`PinTable::expired`].
pub const MAX_EXPIRED: usize = 1024;

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

/// All pins of one sandbox. Time is the caller's, in CLOCK_BOOTTIME nanoseconds.
///
/// A pin is live while `now < expires`, as in the kernel, and while a connection made under it is
/// ([`PinTable::hold`]). Addresses are kept in their canonical
/// form: a v4-mapped address is its IPv4 address.
#[derive(Debug, Default)]
pub struct PinTable {
    /// Pins of an address, the latest first. Never empty.
    pub(super) by_address: HashMap<IpAddr, Vec<Pin>>,
    /// Addresses of a name in the order of the latest answer. Never empty.
    pub(super) by_name: HashMap<Name, Vec<IpAddr>>,
    /// Pins in `by_address`, live or not yet swept.
    pub(super) count: usize,
    expired: Expired,
    pub(super) sweep_at_ns: u64,
    /// Pinned addresses whose next connections take the proxy, whatever their pins say.
    pub(super) proxied: HashSet<IpAddr>,
    /// Connections by the proxy to each address that still live. Never 0.
    pub(super) held: HashMap<IpAddr, u32>,
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

    /// Pins the addresses for the name, each until its own expiry, all or none: writes them to
    /// the sink first, then to the table. An earlier pin of the same name and address lives on
    /// until the later of both expiries, under the new grant. Where all are there already, and would
    /// get half a second more at most, nothing is written.
    ///
    /// # Errors
    /// [`PinError`]; then every earlier pin stands as it stood.
    pub fn pin(
        &mut self,
        sink: &dyn PinStore,
        name: &Name,
        grant: &MatchedRules,
        addresses: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Result<Ends, PinError> {
        let wanted = distinct(addresses);
        if let Some(ends) = self.standing_pins(name, grant, &wanted, now_ns) {
            return Ok(ends);
        }
        let new = self.new_among(name, &wanted);
        let full = |table: &Self, new: usize| {
            let of_name = table.by_name.get(name).map_or(0, Vec::len);
            table.count + new > MAX_PINS || of_name + new > MAX_ADDRESSES_A_NAME
        };
        if now_ns >= self.sweep_at_ns || full(self, new) {
            self.purge(sink, now_ns);
        }
        let new = self.new_among(name, &wanted);
        if full(self, new) {
            let limit = if self.count + new > MAX_PINS { MAX_PINS } else { MAX_ADDRESSES_A_NAME };
            return Err(PinError::Full { name: name.as_str().to_owned(), limit });
        }
        let pins = self.write(sink, name, grant, &wanted, now_ns)?;
        let ends = Ends::of(pins.iter().map(|(address, pin)| (*address, pin.expires_ns)));
        // Backwards, because each goes to the front.
        for (address, pin) in pins.into_iter().rev() {
            self.insert(address, pin);
        }
        Ok(ends)
    }

    /// Live pins of this address, the latest first: the names that vouch for it.
    pub fn names_of(&self, address: IpAddr, now_ns: u64) -> Vec<Pinned> {
        self.pins_of(address)
            .iter()
            .filter(|pin| self.is_live(address, pin, now_ns))
            .map(|pin| Pinned { name: pin.name.clone(), grant: pin.grant.clone() })
            .collect()
    }

    /// Live addresses of this name, in the order of the answer.
    pub fn addresses_of(&self, name: &Name, now_ns: u64) -> Vec<IpAddr> {
        let Some(addresses) = self.by_name.get(name) else { return Vec::new() };
        addresses
            .iter()
            .filter(|&&address| self.live_of(address, now_ns).any(|pin| pin.name == *name))
            .copied()
            .collect()
    }

    /// The name that the address was pinned for last, if that pin has expired and no other name
    /// pins it; none for an address that was never pinned, or so long ago that
    /// [`MAX_EXPIRED`] others have expired since.
    pub fn expired(&self, address: IpAddr, now_ns: u64) -> Option<Name> {
        let pins = self.pins_of(address);
        if pins.iter().any(|pin| self.is_live(address, pin, now_ns)) {
            return None;
        }
        match pins.iter().max_by_key(|pin| pin.expires_ns) {
            Some(last) => Some(last.name.clone()),
            None => self.expired.names.get(&address.to_canonical()).cloned(),
        }
    }

    /// When this name's pin of the address ends or ended; none when there is none.
    pub fn expiry_of(&self, name: &Name, address: IpAddr) -> Option<u64> {
        self.pins_of(address).iter().find(|pin| pin.name == *name).map(Pin::ends_ns)
    }

    /// Removes expired pins, and closes in the sink the addresses that no live pin is left of.
    pub fn purge(&mut self, sink: &dyn PinStore, now_ns: u64) {
        self.sweep_at_ns = now_ns.saturating_add(SWEEP_NS);
        let mut ended: Vec<(Name, IpAddr, u64)> = Vec::new();
        let mut closed: Vec<(IpAddr, Name)> = Vec::new();
        let held = &self.held;
        self.by_address.retain(|&address, pins| {
            if held.contains_key(&address) {
                return true;
            }
            let last = pins.iter().max_by_key(|pin| pin.expires_ns).map(|pin| pin.name.clone());
            pins.retain(|pin| {
                let is_live = now_ns < pin.ends_ns();
                if !is_live {
                    ended.push((pin.name.clone(), address, pin.id));
                }
                is_live
            });
            if pins.is_empty() {
                closed.extend(last.map(|name| (address, name)));
            }
            !pins.is_empty()
        });
        self.count -= ended.len();
        for (name, address, id) in ended {
            sink.unname(address, &name, id);
            if let Some(addresses) = self.by_name.get_mut(&name) {
                addresses.retain(|&other| other != address);
                if addresses.is_empty() {
                    self.by_name.remove(&name);
                }
            }
        }
        for (address, name) in closed {
            sink.unpin(address);
            self.proxied.remove(&address);
            self.expired.remember(address, name);
        }
    }

    /// Ends every pin of the addresses for which `is_closed` holds, whatever lives under it; later
    /// connections get the policy's word, not that of a pin that has ended.
    pub fn end(&mut self, sink: &dyn PinStore, is_closed: impl Fn(IpAddr) -> bool, now_ns: u64) {
        let closed: Vec<IpAddr> =
            self.by_address.keys().copied().filter(|&address| is_closed(address)).collect();
        for address in closed {
            // The kernel first.
            sink.unpin(address);
            for pin in self.by_address.remove(&address).into_iter().flatten() {
                self.forget_pin(sink, address, &pin);
            }
            self.proxied.remove(&address);
        }
        self.purge(sink, now_ns);
        self.expired.forget(is_closed);
    }

    /// Takes away what there is of a pin that is no longer among those of its address.
    pub(super) fn forget_pin(&mut self, sink: &dyn PinStore, address: IpAddr, pin: &Pin) {
        self.count -= 1;
        sink.unname(address, &pin.name, pin.id);
        if let Some(addresses) = self.by_name.get_mut(&pin.name) {
            addresses.retain(|&other| other != address);
            if addresses.is_empty() {
                self.by_name.remove(&pin.name);
            }
        }
    }

    /// Opens every address in the sink; on a failure puts back what stood there before.
    fn write(
        &self,
        sink: &dyn PinStore,
        name: &Name,
        grant: &MatchedRules,
        wanted: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Result<Vec<(IpAddr, Pin)>, PinError> {
        let mut pins = Vec::with_capacity(wanted.len());
        for &(address, expires_ns) in wanted {
            let pin = self.renewed(address, name, grant, expires_ns, now_ns);
            // The name before the address: a connection that is let out must find it.
            let pin = Self::named(sink, address, pin);
            // The address stays open as long as any name pins it, on the ports of all of them.
            let others = self.live_of(address, now_ns).filter(|other| other.name != *name);
            let opening = self.opening(address, others.chain([&pin]));
            let standing = self.standing(address, now_ns);
            pins.push((address, pin));
            if standing == Some(opening) {
                continue;
            }
            let Err(source) = sink.pin(address, &opening) else { continue };
            for (address, pin) in &pins {
                match self.standing(*address, now_ns) {
                    // If this fails too, the address stays open in the kernel for longer than
                    // here; no name vouches for it here, so the proxy refuses it.
                    Some(standing) => drop(sink.pin(*address, &standing)),
                    None => sink.unpin(*address),
                }
                if self.expiry_of(name, *address).is_none() {
                    sink.unname(*address, name, pin.id);
                }
            }
            return Err(PinError::Sink { name: name.as_str().to_owned(), address, source });
        }
        Ok(pins)
    }

    /// The pin as it will stand: an earlier one of the same name and address lives on.
    fn renewed(
        &self,
        address: IpAddr,
        name: &Name,
        grant: &MatchedRules,
        expires_ns: u64,
        now_ns: u64,
    ) -> Pin {
        let earlier = self.pins_of(address).iter().find(|pin| pin.name == *name);
        Pin {
            name: name.clone(),
            grant: grant.clone(),
            since_ns: earlier.map_or(now_ns, |pin| pin.since_ns),
            expires_ns: earlier.map_or(expires_ns, |pin| pin.expires_ns.max(expires_ns)),
            lent_ns: earlier.map_or(0, |pin| pin.lent_ns),
            id: earlier.map_or(0, |pin| pin.id),
            direct: direct_ports(grant),
        }
    }

    fn insert(&mut self, address: IpAddr, pin: Pin) {
        let addresses = self.by_name.entry(pin.name.clone()).or_default();
        addresses.retain(|&other| other != address);
        addresses.insert(0, address);
        let pins = self.by_address.entry(address).or_default();
        match pins.iter().position(|other| other.name == pin.name) {
            Some(at) => drop(pins.remove(at)),
            None => self.count += 1,
        }
        pins.insert(0, pin);
    }

    pub(super) fn pins_of(&self, address: IpAddr) -> &[Pin] {
        self.by_address.get(&address.to_canonical()).map_or(&[], Vec::as_slice)
    }

    fn new_among(&self, name: &Name, wanted: &[(IpAddr, u64)]) -> usize {
        wanted.iter().filter(|&&(address, _)| self.expiry_of(name, address).is_none()).count()
    }
}

/// Canonical addresses, each once, in the order given.
fn distinct(addresses: &[(IpAddr, u64)]) -> Vec<(IpAddr, u64)> {
    let mut seen = HashSet::new();
    let canonical = addresses.iter().map(|&(address, at)| (address.to_canonical(), at));
    canonical.filter(|&(address, _)| seen.insert(address)).collect()
}

/// The last name of addresses that were pinned once, the oldest forgotten first.
#[derive(Debug, Default)]
struct Expired {
    names: HashMap<IpAddr, Name>,
    order: VecDeque<IpAddr>,
}

impl Expired {
    fn forget(&mut self, is_closed: impl Fn(IpAddr) -> bool) {
        self.names.retain(|&address, _| !is_closed(address));
        self.order.retain(|&address| !is_closed(address));
    }

    fn remember(&mut self, address: IpAddr, name: Name) {
        if self.names.insert(address, name).is_none() {
            self.order.push_back(address);
        }
        if self.order.len() > MAX_EXPIRED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
