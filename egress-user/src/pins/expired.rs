//! Addresses whose pins have ended, with the names that they were pinned for: a connection to one of them has
//! these looked up again.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use super::table::{Pin, PinTable};
use crate::policy::Name;

/// Most addresses of a sandbox that are remembered so. The store has each, closed, with its ports.
pub const MAX_EXPIRED: usize = 1024;

/// Most names of each.
pub const MAX_EXPIRED_NAMES: usize = 4;

/// The oldest is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Expired {
    names: HashMap<IpAddr, Arc<[Name]>>,
    order: VecDeque<IpAddr>,
}

impl Expired {
    /// Gives the address that is forgotten for it, where there are too many.
    pub(super) fn remember(&mut self, address: IpAddr, names: Arc<[Name]>) -> Option<IpAddr> {
        self.take(address);
        self.names.insert(address, names);
        self.order.push_back(address);
        let oldest = (self.order.len() > MAX_EXPIRED).then(|| self.order.pop_front()).flatten()?;
        self.names.remove(&oldest);
        Some(oldest)
    }

    /// It is pinned again.
    pub(super) fn take(&mut self, address: IpAddr) {
        if self.names.remove(&address).is_some() {
            self.order.retain(|other| *other != address);
        }
    }

    /// Forgets those for which `is_closed` holds, and gives them.
    pub(super) fn forget(&mut self, is_closed: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
        let closed: Vec<IpAddr> =
            self.order.iter().copied().filter(|&one| is_closed(one)).collect();
        closed.iter().for_each(|&address| self.take(address));
        closed
    }

    /// Every one, with its names.
    pub(super) fn all(&self) -> Vec<(IpAddr, Arc<[Name]>)> {
        self.names.iter().map(|(&address, names)| (address, names.clone())).collect()
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.names.len(), self.order.len());
        self.order.len()
    }
}

impl PinTable {
    /// The names that the address was pinned for, that of the last pin to end first; none where one lives.
    pub(super) fn expired_names(&self, address: IpAddr, now_ns: u64) -> Arc<[Name]> {
        let pins = self.pins_of(address);
        if pins.iter().any(|pin| self.is_live(address, pin, now_ns)) {
            return Arc::default();
        }
        match pins {
            [] => self.expired.names.get(&address.to_canonical()).cloned().unwrap_or_default(),
            pins => last_names(pins),
        }
    }
}

/// The names of these pins, that of the last one to end first.
pub(super) fn last_names(pins: &[Pin]) -> Arc<[Name]> {
    let mut pins: Vec<&Pin> = pins.iter().collect();
    pins.sort_by_key(|pin| std::cmp::Reverse(pin.expires_ns));
    pins.into_iter().take(MAX_EXPIRED_NAMES).map(|pin| pin.name.clone()).collect()
}
