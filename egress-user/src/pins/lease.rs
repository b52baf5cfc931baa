//! Pins live as long as a connection made under them: a program that keeps a pool of connections to
//! addresses it looked up once must not lose the next one while the others work.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use super::{Naming, PinStore, PinTable, table::Pin};
use crate::policy::Name;

/// How long a pin whose time is over lives on at a time while a connection under it does.
pub(super) const LEASE_NS: u64 = 3_000_000_000;

/// A pin is renewed when less than this is left of it.
const RENEW_NS: u64 = 2_000_000_000;

/// How often [`PinTable::renew`] is to be called.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

// Each pin is looked at between the time when it may be renewed and its end.
const _: () = assert!(RENEW_EVERY.as_nanos() < RENEW_NS as u128 && RENEW_NS < LEASE_NS);

impl PinTable {
    /// A connection by the proxy was made to the address: until [`PinTable::release`], once for each
    /// hold, [`PinTable::renew`] lets its pins live on. By the address, as its names are many, and
    /// what the connection names comes later or never.
    ///
    /// Says whether anything is pinned there. Nothing is written to the sink but where a pin would end
    /// before it is renewed: most connections are over long before.
    pub fn hold(&mut self, sink: &dyn PinStore, address: IpAddr, now_ns: u64) -> bool {
        let address = address.to_canonical();
        if !self.by_address.contains_key(&address) {
            return false;
        }
        let held = self.held.entry(address).or_insert(0);
        *held = held.saturating_add(1);
        self.lend(sink, address, now_ns);
        true
    }

    /// The connection has ended; the pins end when their time is over, at once if it is already.
    pub fn release(&mut self, sink: &dyn PinStore, address: IpAddr, now_ns: u64) {
        let address = address.to_canonical();
        let Some(held) = self.held.get_mut(&address) else { return };
        *held = held.saturating_sub(1);
        if *held > 0 {
            return;
        }
        self.held.remove(&address);
        // A program that connects again and again must not keep what it was lent.
        let mut changed = Vec::new();
        for pin in self.by_address.get_mut(&address).into_iter().flatten() {
            let is_lent = pin.lent_ns > 0 && (pin.id == 0 || !sink.lives(pin.id));
            if is_lent {
                pin.lent_ns = 0;
            }
            if is_lent || now_ns >= pin.ends_ns() {
                changed.push(pin.name.clone());
            }
        }
        self.rewrite(sink, &changed, address, now_ns);
    }

    /// Lets pins live on whose time is nearly over, and under which connections live. To be called
    /// once in [`RENEW_EVERY`].
    pub fn renew(&mut self, sink: &dyn PinStore, now_ns: u64) {
        let nearly_over = |pins: &Vec<Pin>| pins.iter().any(|pin| pin.is_nearly_over(now_ns));
        let some = self.by_address.iter().filter(|(_, pins)| nearly_over(pins));
        let addresses: Vec<IpAddr> = some.map(|(&address, _)| address).collect();
        for address in addresses {
            self.lend(sink, address, now_ns);
        }
    }

    /// Gives more time to those pins of the address of which little is left, where connections live
    /// under them.
    fn lend(&mut self, sink: &dyn PinStore, address: IpAddr, now_ns: u64) {
        let is_held = self.held.contains_key(&address);
        let mut changed = Vec::new();
        for pin in self.by_address.get_mut(&address).into_iter().flatten() {
            if pin.is_nearly_over(now_ns) && (is_held || (pin.id != 0 && sink.lives(pin.id))) {
                pin.lent_ns = now_ns.saturating_add(LEASE_NS);
                changed.push(pin.name.clone());
            }
        }
        self.rewrite(sink, &changed, address, now_ns);
    }

    /// Writes what has changed of these pins of the address.
    fn rewrite(&self, sink: &dyn PinStore, changed: &[Name], address: IpAddr, now_ns: u64) {
        if changed.is_empty() {
            return;
        }
        let Some(standing) = self.standing(address, now_ns) else {
            return sink.unpin(address);
        };
        let changed: HashSet<&Name> = changed.iter().collect();
        for pin in self.live_of(address, now_ns).filter(|pin| pin.id != 0) {
            if changed.contains(&pin.name) {
                let naming = Naming { expires_ns: pin.ends_ns(), ports: pin.direct, id: pin.id };
                let _ = sink.name(address, &pin.name, &naming);
            }
        }
        // Where this fails the kernel keeps the address as it was: open for longer than the table,
        // which the proxy asks, or closed earlier.
        let _ = sink.pin(address, &standing);
    }
}

impl Pin {
    fn is_nearly_over(&self, now_ns: u64) -> bool {
        self.ends_ns() < now_ns.saturating_add(RENEW_NS)
    }
}
