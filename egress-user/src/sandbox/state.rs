//! What the parts of one sandbox share.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{Connections, PolicyWatch};
use crate::{
    clock::boottime_ns,
    dns::HostsFile,
    own::Watch,
    pins::{PinStore, Pins},
    policy::Policy,
    record::Journal,
};

/// One sandbox, as its DNS, its proxy and its keepers know it.
pub struct SandboxState {
    /// As the kernel side knows it: the id of its cgroup.
    pub id: u64,
    /// The policy of now.
    pub policy: Arc<PolicyWatch>,
    /// What was decided.
    pub journal: Journal,
    /// What lives by way of the proxy.
    pub connections: Connections,
    pins: Pins,
    /// Of the machine's own addresses; none in tests.
    own: OnceLock<Arc<Watch>>,
    /// The machine's hosts file as it was at the start; empty in tests.
    hosts: OnceLock<HostsFile>,
    /// Held by whoever changes the policy, or what it knows of the machine's addresses.
    changing: Mutex<()>,
}

impl SandboxState {
    /// Nothing is pinned and nothing lives. `store` is where pins are written.
    pub fn new(id: u64, policy: Arc<PolicyWatch>, store: Arc<dyn PinStore>) -> Arc<Self> {
        Arc::new(Self {
            id,
            policy,
            journal: Journal::new(id),
            connections: Connections::default(),
            pins: Pins::new(store),
            own: OnceLock::new(),
            hosts: OnceLock::new(),
            changing: Mutex::new(()),
        })
    }

    /// The policy of now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.policy()
    }

    /// The pins. Who asks for them waits for no system call.
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// To be held while the policy changes, or what it knows of the machine's addresses.
    pub fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a name is pinned there.
    pub fn is_pinned(&self, address: IpAddr) -> bool {
        !self.pins().names_of(address, boottime_ns()).is_empty()
    }

    /// Whoever dials asks this watch whether an address has become the machine's own. Once.
    pub fn watch_own(&self, watch: Arc<Watch>) {
        let _ = self.own.set(watch);
    }

    /// What the machine's hosts file says. Once, at the start.
    pub fn set_hosts(&self, hosts: HostsFile) {
        let _ = self.hosts.set(hosts);
    }

    /// The machine's hosts file as it was at the start.
    pub fn hosts(&self) -> &HostsFile {
        self.hosts.get_or_init(HostsFile::default)
    }

    /// Takes notice of every change of the machine's addresses until now.
    pub fn settle_own(&self) {
        if let Some(own) = self.own.get() {
            own.settle();
        }
    }
}
