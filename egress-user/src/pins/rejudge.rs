//! Pins under a policy that is another one than that by which they were made.

use std::net::IpAddr;

use egress_common::pin::PortList;

use super::{Naming, PinStore, PinTable, direct_ports};
use crate::policy::{MatchedRules, Name};

impl PinTable {
    /// Asks anew for every pinned name, with all the addresses that are pinned for it: `verdict` gives what
    /// opens them now, or none; then all pins of the name end, whatever lives under them. Addresses that a
    /// closed pin leaves without any are closed in the store.
    pub fn rejudge(
        &mut self,
        store: &dyn PinStore,
        verdict: impl Fn(&Name, &[IpAddr]) -> Option<MatchedRules>,
        now_ns: u64,
    ) {
        let names: Vec<(Name, Vec<IpAddr>)> = self
            .by_name
            .iter()
            .map(|(name, addresses)| (name.clone(), addresses.clone()))
            .collect();
        for (name, addresses) in names {
            let grant = verdict(&name, &addresses);
            for address in addresses {
                self.regrant(store, &name, address, grant.as_ref(), now_ns);
            }
        }
    }

    fn regrant(
        &mut self,
        store: &dyn PinStore,
        name: &Name,
        address: IpAddr,
        grant: Option<&MatchedRules>,
        now_ns: u64,
    ) {
        let Some(pins) = self.by_address.get_mut(&address) else { return };
        let Some(at) = pins.iter().position(|pin| pin.name == *name) else { return };
        match (grant, pins.get_mut(at)) {
            (Some(grant), Some(pin)) if pin.grant.opens_as(grant) => {
                // The same right, from another line perhaps. Of its short forms some may be denied now.
                pin.grant = grant.clone();
                if pin.id != 0 {
                    let naming =
                        Naming { expires_ns: pin.ends_ns(), ports: pin.direct, id: pin.id };
                    let _ = store.name(address, name, &naming);
                }
                return;
            }
            (Some(grant), Some(pin)) => {
                let before = pin.clone();
                pin.grant = grant.clone();
                pin.direct = direct_ports(grant);
                let renewed = Self::named(store, address, pin.clone());
                if renewed.direct == PortList::NONE {
                    store.unname(address, name, before.id);
                }
                *pin = super::table::Pin {
                    id: if renewed.direct == PortList::NONE { 0 } else { renewed.id },
                    ..renewed
                };
            }
            _ => {
                let pin = pins.remove(at);
                if pins.is_empty() {
                    self.by_address.remove(&address);
                }
                self.forget_pin(store, address, &pin);
            }
        }
        match self.standing(address, now_ns) {
            // Where this fails the kernel keeps what it has; the proxy asks the table, and the caller ends
            // what is direct.
            Some(standing) => {
                if store.pin(address, &standing).is_err() {
                    store.unpin(address);
                }
            }
            None => store.unpin(address),
        }
    }
}

#[cfg(test)]
mod tests;
