//! Pins live as long as a connection made under them: a program that keeps a pool of connections to
//! addresses it looked up once must not lose the next one while the others work.

use std::net::IpAddr;

use super::{Naming, Pin, PinSink, PinTable};
use crate::policy::Name;

/// How long a pin whose time is over lives on at a time while a connection under it does.
pub(super) const LEASE_NS: u64 = 3_000_000_000;

/// A pin is renewed when less than this is left of it; longer than [`PinTable::renew`]'s period.
const RENEW_NS: u64 = 2_000_000_000;

impl PinTable {
    /// A connection to the address was made because this name is pinned there: until
    /// [`PinTable::release`], once for each hold, [`PinTable::renew`] lets the pin live on.
    ///
    /// Says whether there is such a pin. Nothing is written to the sink but where the pin would end
    /// before it is renewed: most connections are over long before.
    pub fn hold(&mut self, sink: &dyn PinSink, name: &Name, address: IpAddr, now_ns: u64) -> bool {
        let Some(pin) = self.pin_of(name, address) else { return false };
        pin.held = pin.held.saturating_add(1);
        if pin.lend(now_ns) {
            self.rewrite(sink, name, address, now_ns);
        }
        true
    }

    /// The connection has ended; the pin ends when its time is over, at once if it is already.
    pub fn release(&mut self, sink: &dyn PinSink, name: &Name, address: IpAddr, now_ns: u64) {
        let Some(pin) = self.pin_of(name, address) else { return };
        pin.held = pin.held.saturating_sub(1);
        // A program that connects again and again must not keep what it was lent.
        let is_lent = pin.lent_ns > 0 && pin.held == 0 && (pin.id == 0 || !sink.lives(pin.id));
        if is_lent {
            pin.lent_ns = 0;
        }
        if is_lent || !pin.is_live(now_ns) {
            self.rewrite(sink, name, address, now_ns);
        }
    }

    /// Lets pins live on whose time is nearly over, and under which connections live. To be called
    /// every second.
    pub fn renew(&mut self, sink: &dyn PinSink, now_ns: u64) {
        let mut renewed: Vec<(IpAddr, Name)> = Vec::new();
        for (&address, pins) in &mut self.by_address {
            for pin in pins {
                let lives = pin.held > 0 || (pin.id != 0 && sink.lives(pin.id));
                if lives && pin.lend(now_ns) {
                    renewed.push((address, pin.name.clone()));
                }
            }
        }
        for (address, name) in renewed {
            self.rewrite(sink, &name, address, now_ns);
        }
    }

    /// Writes what has changed of a pin.
    fn rewrite(&self, sink: &dyn PinSink, name: &Name, address: IpAddr, now_ns: u64) {
        let Some(standing) = self.standing(address, now_ns) else {
            return sink.unpin(address);
        };
        if let Some(pin) = self.live_of(address, now_ns).find(|pin| pin.name == *name)
            && pin.id != 0
        {
            let naming = Naming { expires_ns: pin.ends_ns(), ports: pin.direct, id: pin.id };
            let _ = sink.name(address, name, &naming);
        }
        // Where this fails the kernel keeps the address as it was: open for longer than the table,
        // which the proxy asks, or closed earlier.
        let _ = sink.pin(address, &standing);
    }

    fn pin_of(&mut self, name: &Name, address: IpAddr) -> Option<&mut Pin> {
        let pins = self.by_address.get_mut(&address.to_canonical())?;
        pins.iter_mut().find(|pin| pin.name == *name)
    }
}

impl Pin {
    /// Gives it more time where little is left; says whether it did.
    fn lend(&mut self, now_ns: u64) -> bool {
        let is_nearly_over = self.ends_ns() < now_ns.saturating_add(RENEW_NS);
        if is_nearly_over {
            self.lent_ns = now_ns.saturating_add(LEASE_NS);
        }
        is_nearly_over
    }
}
