//! The policy of a sandbox, which may change while it lives.

use std::sync::Arc;

use tokio::sync::watch;

use crate::policy::Policy;

/// A policy, and how many there were before it.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// From 0; never goes back.
    pub generation: u64,
    /// What holds.
    pub policy: Arc<Policy>,
}

/// The policy of now. A verdict is of one version; whoever keeps one looks at the generation again where
/// it takes effect.
#[derive(Debug)]
pub struct PolicyWatch {
    version: watch::Sender<PolicyVersion>,
}

impl PolicyWatch {
    /// With this as the first.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self { version: watch::Sender::new(PolicyVersion { generation: 0, policy }) }
    }

    /// The policy of now, with its generation.
    pub fn now(&self) -> PolicyVersion {
        self.version.borrow().clone()
    }

    /// The policy of now.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.version.borrow().policy)
    }

    /// The generation of now.
    pub fn generation(&self) -> u64 {
        self.version.borrow().generation
    }

    /// From here on this policy holds. Gives its generation.
    pub(super) fn set(&self, policy: Arc<Policy>) -> u64 {
        let mut generation = 0;
        self.version.send_modify(|version| {
            version.generation += 1;
            version.policy = policy;
            generation = version.generation;
        });
        generation
    }

    /// Told of every policy after the one of now.
    pub fn subscribe(&self) -> watch::Receiver<PolicyVersion> {
        self.version.subscribe()
    }
}
