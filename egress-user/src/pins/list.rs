//! What a person may see of the pins.

use std::{net::IpAddr, sync::Arc};

use super::Pins;
use crate::policy::{MatchedRules, Name};

/// One live pin.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name whose lookup gave it.
    pub name: Name,
    /// The address that is open for it.
    pub address: IpAddr,
    /// What its rules open.
    pub grant: MatchedRules,
    /// When an answer gave it first, in CLOCK_BOOTTIME nanoseconds.
    pub since_ns: u64,
    /// When its time is over; [`super::NEVER_NS`] never is. Held pins live on.
    pub expires_ns: u64,
    /// Connections by the proxy to its address that still live.
    pub held: u32,
}

impl Pins {
    /// Every live pin, by name and address.
    pub fn list(&self, now_ns: u64) -> Vec<Listed> {
        let pinned: Vec<_> = {
            let table = self.table();
            let held = |address| table.held.get(&address).copied().unwrap_or(0);
            let addresses = table.by_address.iter();
            addresses.map(|(&address, pins)| (address, held(address), Arc::clone(pins))).collect()
        };
        let mut listed = Vec::new();
        for (address, held, pins) in &pinned {
            let live = pins.iter().filter(|pin| *held > 0 || now_ns < pin.ends_ns());
            listed.extend(live.map(|pin| Listed {
                name: pin.name.clone(),
                address: *address,
                grant: pin.grant.clone(),
                since_ns: pin.since_ns,
                expires_ns: pin.expires_ns,
                held: *held,
            }));
        }
        listed.sort_by(|a, b| (a.name.as_str(), a.address).cmp(&(b.name.as_str(), b.address)));
        listed
    }
}
