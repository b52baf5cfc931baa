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
    policy::OwnAddresses,
    sandbox::SandboxState,
};

/// Closes what has become the machine's own, in the policy, among the pins and in the kernel.
pub struct Keeper {
    sandbox: Arc<SandboxState>,
    rules: Mutex<OwnRules>,
    direct: OnceLock<Arc<Direct>>,
}

impl Keeper {
    /// Of this sandbox, in these maps.
    pub fn new(sandbox: Arc<SandboxState>, maps: Arc<Maps>) -> Self {
        let rules = Mutex::new(OwnRules::new(maps, sandbox.id));
        Self { sandbox, rules, direct: OnceLock::new() }
    }

    /// The keeper of the direct connections, which are to be ended where such an address is theirs. Once.
    pub fn set_direct(&self, direct: Arc<Direct>) {
        let _ = self.direct.set(direct);
    }

    /// Writes what the policy of now says of the machine's own addresses into the kernel.
    pub fn write_rules(&self) {
        let entries = self.sandbox.policy().own_entries();
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).set(entries);
    }
}

impl Listener for Keeper {
    fn changed(&self, own: OwnAddresses) {
        let _changing = self.sandbox.change();
        let policy = self.sandbox.policy();
        if *policy.own_addresses() == own {
            return;
        }
        tracing::debug!(?own, "the machine's own addresses");
        // The policy first: from here on nothing is pinned there.
        policy.set_own_addresses(own);
        self.write_rules();
        let is_closed = |address: IpAddr| policy.is_own(address);
        self.sandbox.pins().end(is_closed, boottime_ns());
        if let Some(direct) = self.direct.get() {
            direct.end_where(is_closed);
        }
    }
}
