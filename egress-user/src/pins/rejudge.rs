//! Pins under a policy that is another one than that by which they were made.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use egress_common::pin::PortList;

use super::{Pins, direct_ports, table::Closed};
use crate::policy::{MatchedRules, Name};

/// A right that a pin had, and has no longer.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Where.
    pub address: IpAddr,
    /// What its rules opened.
    pub grant: MatchedRules,
}

impl Pins {
    /// Asks anew for every pinned name, with all the addresses that are pinned for it: `verdict` gives what
    /// opens them now, or none; then all pins of the name end, whatever lives under them. Addresses that a
    /// closed pin leaves without any are closed in the store. Gives the rights that are no longer what they were.
    pub fn rejudge(
        &self,
        verdict: impl Fn(&Name, &[IpAddr]) -> Option<MatchedRules>,
        now_ns: u64,
    ) -> Vec<Lost> {
        let _writing = self.writing();
        let names: Vec<(Name, Vec<IpAddr>)> = {
            let table = self.table();
            let names = table.by_name.iter();
            names.map(|(name, addresses)| (name.clone(), addresses.clone())).collect()
        };
        let mut lost = Vec::new();
        for (name, addresses) in names {
            let grant = verdict(&name, &addresses);
            for address in addresses {
                lost.extend(self.regrant(&name, address, grant.as_ref(), now_ns));
            }
        }
        // Names that may be looked up no longer are not remembered either.
        let remembered = self.table().expired.all();
        let is_over = |(address, names): &(IpAddr, Arc<[Name]>)| {
            names.iter().all(|name| verdict(name, &[*address]).is_none())
        };
        let over: HashSet<IpAddr> =
            remembered.into_iter().filter(is_over).map(|(address, _)| address).collect();
        let addresses = self.table().expired.forget(|address| over.contains(&address));
        self.close(Closed { addresses, ..Closed::default() });
        lost
    }

    /// To be called by the writer.
    fn regrant(
        &self,
        name: &Name,
        address: IpAddr,
        grant: Option<&MatchedRules>,
        now_ns: u64,
    ) -> Option<Lost> {
        let mut table = self.table();
        let pin = table.pin_mut(name, address)?;
        let (before, number) = (pin.grant.clone(), pin.id);
        match grant {
            Some(grant) if before.opens_as(grant) => {
                // The same right, from another line perhaps. Of its short forms some may be denied now.
                pin.grant = grant.clone();
                let naming = (pin.id != 0).then(|| pin.naming());
                drop(table);
                if let Some(naming) = naming {
                    let _ = self.store.name(address, name, &naming);
                }
                return None;
            }
            Some(grant) => {
                pin.grant = grant.clone();
                pin.direct = direct_ports(grant);
                let mut renamed = pin.clone();
                drop(table);
                self.write_name(address, &mut renamed);
                if renamed.direct == PortList::NONE {
                    self.store.unname(address, name, number);
                    renamed.id = 0;
                }
                table = self.table();
                if let Some(pin) = table.pin_mut(name, address) {
                    *pin = renamed;
                }
            }
            None => {
                table.remove(name, address);
                drop(table);
                let names = vec![(address, name.clone(), number)];
                self.close(Closed { names, ..Closed::default() });
                table = self.table();
            }
        }
        let standing = table.standing(address, now_ns);
        drop(table);
        // Where it cannot be written it is closed; the proxy asks the table, and the caller ends what is direct.
        let is_open = standing.is_some_and(|standing| self.store.pin(address, &standing).is_ok());
        if !is_open {
            self.store.unpin(address);
        }
        Some(Lost { address, grant: before })
    }
}

#[cfg(test)]
mod tests;
