//! Pins live as long as a connection made under them: a program that keeps a pool of connections to
//! addresses it looked up once must not lose the next one while the others work.

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use egress_common::pin::Ports;

use super::{
    Naming, Opening, Pins,
    table::{Pin, PinTable, ports_of_pins},
};
use crate::policy::Name;

/// How long a pin whose time is over lives on at a time while a connection under it does.
pub(super) const LEASE_NS: u64 = 3_000_000_000;

/// A pin is renewed when less than this is left of it.
const RENEW_NS: u64 = 2_000_000_000;

/// How often [`Pins::renew`] is to be called.
pub const RENEW_EVERY: Duration = Duration::from_secs(1);

// Each pin is looked at between the time when it may be renewed and its end.
const _: () = assert!(RENEW_EVERY.as_nanos() < RENEW_NS as u128 && RENEW_NS < LEASE_NS);

impl Pins {
    /// A connection by the proxy was made to the address: until [`Pins::release`], once for each
    /// hold, [`Pins::renew`] lets its pins live on. By the address, as its names are many, and
    /// what the connection names comes later or never.
    ///
    /// Says whether anything is pinned there. Nothing is written to the store but where a pin would end
    /// before it is renewed: most connections are over long before.
    pub fn hold(&self, address: IpAddr, now_ns: u64) -> bool {
        let address = address.to_canonical();
        {
            let mut table = self.table();
            let Some(pins) = table.by_address.get(&address) else { return false };
            let is_nearly_over = pins.iter().any(|pin| pin.is_nearly_over(now_ns));
            let held = table.held.entry(address).or_insert(0);
            *held = held.saturating_add(1);
            if !is_nearly_over {
                return true;
            }
        }
        self.lend(address, now_ns);
        true
    }

    /// The connection has ended; the pins end when their time is over, at once if it is already.
    pub fn release(&self, address: IpAddr, now_ns: u64) {
        let address = address.to_canonical();
        {
            let mut table = self.table();
            let Some(held) = table.held.get_mut(&address) else { return };
            *held = held.saturating_sub(1);
            if *held > 0 {
                return;
            }
            table.held.remove(&address);
            let changes = |pin: &Pin| pin.lent_ns > 0 || now_ns >= pin.ends_ns();
            if !table.pins_of(address).iter().any(changes) {
                return;
            }
        }
        let _writing = self.writing();
        if self.store.lives_at(address) {
            // They live on for those that go straight out.
            return;
        }
        let lent = self.numbers(address, |pin| pin.lent_ns > 0);
        let living: Vec<u64> = lent.into_iter().filter(|&id| self.store.lives(id)).collect();
        let rewrite = {
            let mut table = self.table();
            if table.held.contains_key(&address) {
                // By another connection meanwhile, whose end comes here again.
                return;
            }
            // A program that connects again and again must not keep what it was lent.
            table.change(address, now_ns, |pin| {
                let is_lent = pin.lent_ns > 0 && !living.contains(&pin.id);
                if is_lent {
                    pin.lent_ns = 0;
                }
                is_lent || now_ns >= pin.ends_ns()
            })
        };
        self.rewrite(address, rewrite);
    }

    /// Lets pins live on whose time is nearly over, and under which connections live. To be called
    /// once in [`RENEW_EVERY`].
    pub fn renew(&self, now_ns: u64) {
        let addresses: Vec<IpAddr> = {
            let table = self.table();
            let nearly_over =
                |pins: &Arc<Vec<Pin>>| pins.iter().any(|pin| pin.is_nearly_over(now_ns));
            let some = table.by_address.iter().filter(|(_, pins)| nearly_over(pins));
            some.map(|(&address, _)| address).collect()
        };
        // One by one: lookups write in between.
        for address in addresses {
            self.lend(address, now_ns);
        }
    }

    /// Gives more time to those pins of the address of which little is left, where connections live
    /// under them.
    fn lend(&self, address: IpAddr, now_ns: u64) {
        let _writing = self.writing();
        // As by the proxy: which of its names a connection is for that names none, nobody knows.
        let lives_at = self.store.lives_at(address);
        let is_held = lives_at || self.table().held.contains_key(&address);
        let living: Vec<u64> = if is_held {
            Vec::new()
        } else {
            let over = self.numbers(address, |pin| pin.is_nearly_over(now_ns));
            over.into_iter().filter(|&id| self.store.lives(id)).collect()
        };
        let rewrite = {
            let mut table = self.table();
            // Looked at again: what was released meanwhile is lent nothing.
            let is_held = lives_at || table.held.contains_key(&address);
            table.change(address, now_ns, |pin| {
                let is_lent = pin.is_nearly_over(now_ns) && (is_held || living.contains(&pin.id));
                if is_lent {
                    pin.lent_ns = now_ns.saturating_add(LEASE_NS);
                }
                is_lent
            })
        };
        self.rewrite(address, rewrite);
    }

    /// The numbers of those pins of the address whose connections the store counts.
    fn numbers(&self, address: IpAddr, which: impl Fn(&Pin) -> bool) -> Vec<u64> {
        let table = self.table();
        let counted = table.pins_of(address).iter().filter(|pin| pin.id != 0 && which(pin));
        counted.map(|pin| pin.id).collect()
    }

    /// To be called by the writer.
    fn rewrite(&self, address: IpAddr, rewrite: Option<Rewrite>) {
        let Some(Rewrite { standing, namings }) = rewrite else { return };
        let standing = match standing {
            Ok(standing) => standing,
            Err(ports) => return self.store.expire(address, ports),
        };
        for (name, naming) in &namings {
            let _ = self.store.name(address, name, naming);
        }
        // Where this fails the kernel keeps the address as it was: open for longer than the table,
        // which the proxy asks, or closed earlier.
        let _ = self.store.pin(address, &standing);
    }
}

/// What of an address is to be written again.
struct Rewrite {
    /// The ports that were open: it is to be closed.
    standing: Result<Opening, Ports>,
    namings: Vec<(Name, Naming)>,
}

impl PinTable {
    /// Lets `change` change the pins of the address, which says whether it did; none when it changed nothing.
    fn change(
        &mut self,
        address: IpAddr,
        now_ns: u64,
        mut change: impl FnMut(&mut Pin) -> bool,
    ) -> Option<Rewrite> {
        let pins = self.by_address.get_mut(&address)?;
        let mut changed = Vec::new();
        for pin in Arc::make_mut(pins) {
            if change(pin) {
                changed.push(pin.name.clone());
            }
        }
        if changed.is_empty() {
            return None;
        }
        let changed: HashSet<Name> = changed.into_iter().collect();
        let named = self.live_of(address, now_ns).filter(|pin| pin.id != 0);
        let namings = named.filter(|pin| changed.contains(&pin.name));
        let namings = namings.map(|pin| (pin.name.clone(), pin.naming())).collect();
        let standing = self.standing(address, now_ns);
        let standing = standing.ok_or_else(|| ports_of_pins(self.pins_of(address)));
        Some(Rewrite { standing, namings })
    }
}

impl Pin {
    fn is_nearly_over(&self, now_ns: u64) -> bool {
        self.ends_ns() < now_ns.saturating_add(RENEW_NS)
    }
}
