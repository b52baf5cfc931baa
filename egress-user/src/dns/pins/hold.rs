//! Pins live as long as a connection made under them: a program that keeps a pool of connections to
//! addresses it looked up once must not lose the next one while the others work.

use std::net::IpAddr;

use super::{PinSink, PinTable};
use crate::policy::Name;

impl PinTable {
    /// A connection to the address was made because this name is pinned there: until
    /// [`PinTable::release`], once for each hold, the pin does not end.
    ///
    /// Says whether there is such a pin. Where the sink fails, the kernel closes the address at the
    /// pin's own end, which is stricter.
    pub fn hold(&mut self, sink: &dyn PinSink, name: &Name, address: IpAddr, now_ns: u64) -> bool {
        let Some(held) = self.held(name, address) else { return false };
        *held = held.saturating_add(1);
        if *held == 1 {
            self.rewrite(sink, name, address, now_ns);
        }
        true
    }

    /// The connection has ended; the pin ends when its time is over, at once if it is already.
    pub fn release(&mut self, sink: &dyn PinSink, name: &Name, address: IpAddr, now_ns: u64) {
        let Some(held) = self.held(name, address) else { return };
        *held = held.saturating_sub(1);
        if *held == 0 {
            self.rewrite(sink, name, address, now_ns);
        }
    }

    fn held(&mut self, name: &Name, address: IpAddr) -> Option<&mut u32> {
        let pins = self.by_address.get_mut(&address.to_canonical())?;
        pins.iter_mut().find(|pin| pin.name == *name).map(|pin| &mut pin.held)
    }
}
