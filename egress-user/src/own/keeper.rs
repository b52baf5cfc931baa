//! What follows from a change of the machine's own addresses, for one sandbox.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::Listener;
use crate::{
    clock::boottime_ns,
    direct::Direct,
    kernel::{Maps, OwnRules},
    pins::{PinStore, PinTable},
    policy::{OwnAddresses, Policy},
};

/// Closes what has become the machine's own, in the policy, among the pins and in the kernel.
pub struct Keeper {
    policy: Arc<Policy>,
    pins: Arc<Mutex<PinTable>>,
    sink: Arc<dyn PinStore>,
    rules: Mutex<OwnRules>,
    direct: Arc<OnceLock<Arc<Direct>>>,
}

impl Keeper {
    /// Of the sandbox with this id in these maps. `direct` may be set later.
    pub fn new(
        policy: Arc<Policy>,
        pins: Arc<Mutex<PinTable>>,
        sink: Arc<dyn PinStore>,
        maps: Arc<Maps>,
        sandbox: u64,
        direct: Arc<OnceLock<Arc<Direct>>>,
    ) -> Self {
        Self { policy, pins, sink, rules: Mutex::new(OwnRules::new(maps, sandbox)), direct }
    }
}

impl Listener for Keeper {
    fn changed(&self, own: OwnAddresses) {
        if *self.policy.own_addresses() == own {
            return;
        }
        tracing::debug!(?own, "the machine's own addresses");
        // The policy first: from here on nothing is pinned there.
        self.policy.set_own_addresses(own);
        let rules = self.policy.own_rules();
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).set(rules);
        let is_closed = |address: IpAddr| self.policy.closes_own(address);
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.end(&*self.sink, is_closed, boottime_ns());
        drop(pins);
        if let Some(direct) = self.direct.get() {
            direct.end_where(is_closed);
        }
    }
}
