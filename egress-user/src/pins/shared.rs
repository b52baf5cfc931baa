//! The pins of a sandbox, as its DNS, its proxy and its keepers share them.
//!
//! Two locks. The table's is held for work on the table alone, never while anything is waited for: whoever asks
//! what is pinned waits for no system call. The other is the writer's: it is held from the plan of a change until
//! the store has it, so that writes reach the store one after the other, in the order in which the table changes.
//! So no writer can be late: what another has ended since it made its plan it cannot write again, as none can
//! end anything in between.
//!
//! What opens is in the store before it is in the table; what closes is gone from the table before it is gone
//! from the store. So the table, which the proxy asks, never vouches for more than the store was told; and
//! whoever asked for the change waits for the store.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Ends, Opening, PinError, PinStore, Pinned,
    table::{Closed, Pin, PinTable, distinct},
};
use crate::policy::{MatchedRules, Name};

/// All pins of one sandbox, and the one writer of them. Time is the caller's, in CLOCK_BOOTTIME nanoseconds.
pub struct Pins {
    /// Taken before the table's where both are.
    writing: Mutex<()>,
    table: Mutex<PinTable>,
    pub(super) store: Arc<dyn PinStore>,
}

impl Pins {
    /// None yet; they will be written there.
    pub fn new(store: Arc<dyn PinStore>) -> Self {
        Self { writing: Mutex::new(()), table: Mutex::default(), store }
    }

    /// Where they are written.
    pub fn store(&self) -> &dyn PinStore {
        self.store.as_ref()
    }

    /// Pins the addresses for the name, each until its own expiry, all or none. An earlier pin of the same name
    /// and address lives on until the later of both expiries, under the new grant. Where all are there already,
    /// and would get half a second more at most, nothing is written. When this returns, the store has them.
    ///
    /// # Errors
    /// [`PinError`]; then every earlier pin stands as it stood.
    pub fn pin(
        &self,
        name: &Name,
        grant: &MatchedRules,
        addresses: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Result<Ends, PinError> {
        let wanted = distinct(addresses);
        if let Some(ends) = self.table().standing_pins(name, grant, &wanted, now_ns) {
            return Ok(ends);
        }
        let _writing = self.writing();
        self.write(name, grant, &wanted, now_ns)
    }

    /// The same while `is_current` holds, else none: asked where nobody else can write, so that whoever makes it
    /// false, and then has the pins judged anew ([`Pins::rejudge`]), finds every pin that was made before.
    pub fn pin_if(
        &self,
        is_current: impl Fn() -> bool,
        name: &Name,
        grant: &MatchedRules,
        addresses: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Option<Result<Ends, PinError>> {
        let wanted = distinct(addresses);
        if let Some(ends) = self.table().standing_pins(name, grant, &wanted, now_ns) {
            // Nothing is made here.
            return is_current().then_some(Ok(ends));
        }
        let _writing = self.writing();
        is_current().then(|| self.write(name, grant, &wanted, now_ns))
    }

    /// To be called by the writer.
    fn write(
        &self,
        name: &Name,
        grant: &MatchedRules,
        wanted: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Result<Ends, PinError> {
        let mut table = self.table();
        if let Some(ends) = table.standing_pins(name, grant, wanted, now_ns) {
            // Another has pinned them while this one waited.
            return Ok(ends);
        }
        let closed = table.make_room(name, wanted, now_ns);
        let planned = table.plan(name, grant, wanted, now_ns);
        drop(table);
        self.close(closed);
        let mut pins = planned?;
        // The names before the addresses: a connection that is let out must find its name.
        for (address, pin) in &mut pins {
            self.write_name(*address, pin);
        }
        let openings: Vec<(Option<Opening>, Opening)> = {
            let table = self.table();
            let opening = |(address, pin): &(IpAddr, Pin)| {
                // The address stays open as long as any name pins it, on the ports of all of them.
                let others = table.live_of(*address, now_ns).filter(|other| other.name != *name);
                let opening = table.opening(*address, others.chain([pin]));
                (table.standing(*address, now_ns), opening)
            };
            pins.iter().map(opening).collect()
        };
        for (at, ((standing, opening), &(address, _))) in openings.iter().zip(&pins).enumerate() {
            if *standing == Some(*opening) {
                continue;
            }
            if let Err(source) = self.store.pin(address, opening) {
                self.put_back(name, &pins, openings.iter().take(at + 1));
                return Err(PinError::Sink { name: name.as_str().to_owned(), address, source });
            }
        }
        let ends = Ends::of(pins.iter().map(|(address, pin)| (*address, pin.expires_ns)));
        self.table().insert_all(pins);
        Ok(ends)
    }

    /// Gives the store back what stood there before the first of these pins was written.
    fn put_back<'a>(
        &self,
        name: &Name,
        pins: &[(IpAddr, Pin)],
        written: impl Iterator<Item = &'a (Option<Opening>, Opening)>,
    ) {
        for ((standing, _), &(address, _)) in written.zip(pins) {
            match standing {
                // If this fails too, the address stays open in the kernel for longer than
                // here; no name vouches for it here, so the proxy refuses it.
                Some(standing) => drop(self.store.pin(address, standing)),
                None => self.store.unpin(address),
            }
        }
        for (address, pin) in pins {
            let is_new = self.table().pin_of(name, *address).is_none();
            if is_new {
                self.store.unname(*address, name, pin.id);
            }
        }
    }

    /// Removes expired pins, and closes the addresses that no live pin is left of.
    pub fn purge(&self, now_ns: u64) {
        let _writing = self.writing();
        let closed = self.table().purge(now_ns);
        self.close(closed);
    }

    /// Ends every pin of the addresses for which `is_closed` holds, whatever lives under it; later
    /// connections get the policy's word, not that of a pin that has ended. When this returns, they are closed
    /// in the store, whatever was being written there meanwhile.
    pub fn end(&self, is_closed: impl Fn(IpAddr) -> bool, now_ns: u64) {
        let _writing = self.writing();
        let closed = self.table().end(is_closed, now_ns);
        self.close(closed);
    }

    /// Takes from the store what the table has lost: the addresses first. To be called by the writer.
    pub(super) fn close(&self, closed: Closed) {
        for (address, ports) in closed.expired {
            self.store.expire(address, ports);
        }
        for address in closed.addresses {
            self.store.unpin(address);
        }
        for (address, name, id) in closed.names {
            self.store.unname(address, &name, id);
        }
    }

    /// Live pins of this address, the latest first: the names that vouch for it.
    pub fn names_of(&self, address: IpAddr, now_ns: u64) -> Vec<Pinned> {
        let (pins, is_held) = {
            let table = self.table();
            let is_held = table.held.contains_key(&address.to_canonical());
            let Some(pins) = table.shared_pins_of(address) else { return Vec::new() };
            (pins, is_held)
        };
        let live = pins.iter().filter(|pin| is_held || now_ns < pin.ends_ns());
        live.map(|pin| Pinned { name: pin.name.clone(), grant: pin.grant.clone() }).collect()
    }

    /// Live addresses of this name, in the order of the answer.
    pub fn addresses_of(&self, name: &Name, now_ns: u64) -> Vec<IpAddr> {
        self.table().addresses_of(name, now_ns)
    }

    /// Whether the address is pinned for this name.
    pub fn is_pinned_for(&self, name: &Name, address: IpAddr, now_ns: u64) -> bool {
        self.table().is_pinned_for(name, address, now_ns)
    }

    /// The name that the address was pinned for last, if that pin has expired and no other name
    /// pins it; none for an address that was never pinned, or so long ago that
    /// [`super::MAX_EXPIRED`] others have expired since.
    pub fn expired(&self, address: IpAddr, now_ns: u64) -> Option<Name> {
        self.expired_names(address, now_ns).first().cloned()
    }

    /// The same: every name that is remembered of the address, [`super::MAX_EXPIRED_NAMES`] at most, that of
    /// the last pin to end first.
    pub fn expired_names(&self, address: IpAddr, now_ns: u64) -> Arc<[Name]> {
        self.table().expired_names(address, now_ns)
    }

    /// When this name's pin of the address ends or ended; none when there is none.
    pub fn expiry_of(&self, name: &Name, address: IpAddr) -> Option<u64> {
        self.table().pin_of(name, address).map(Pin::ends_ns)
    }

    /// For work on the table alone.
    pub(super) fn table(&self) -> MutexGuard<'_, PinTable> {
        // What a panic can leave behind is a pin less than the store has.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From a plan until the store has it.
    pub(super) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
