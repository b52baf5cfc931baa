//! The sandboxes that live, by the id that the kernel side knows them by.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::sandbox::Sandbox;

/// Who is told of what.
#[derive(Default)]
pub(crate) struct Registry {
    by_id: RwLock<HashMap<u64, Arc<Sandbox>>>,
}

impl Registry {
    pub(super) fn add(&self, sandbox: Arc<Sandbox>) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(sandbox.state.id, sandbox);
    }

    pub(super) fn remove(&self, id: u64) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Sandbox>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Sandbox>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
