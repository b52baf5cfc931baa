//! What a person may see of the pins.

use std::net::IpAddr;

use super::PinTable;
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

impl PinTable {
    /// Every live pin, by name and address.
    pub fn list(&self, now_ns: u64) -> Vec<Listed> {
        let mut listed: Vec<Listed> = self
            .by_address
            .iter()
            .flat_map(|(&address, pins)| pins.iter().map(move |pin| (address, pin)))
            .filter(|(address, pin)| self.is_live(*address, pin, now_ns))
            .map(|(address, pin)| Listed {
                name: pin.name.clone(),
                address,
                grant: pin.grant.clone(),
                since_ns: pin.since_ns,
                expires_ns: pin.expires_ns,
                held: self.held.get(&address).copied().unwrap_or(0),
            })
            .collect();
        listed.sort_by(|a, b| (a.name.as_str(), a.address).cmp(&(b.name.as_str(), b.address)));
        listed
    }
}
