//! The machine's own addresses, told to every sandbox.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    own::{Keeper, Listener},
    policy::OwnAddresses,
};

/// Tells all keepers.
#[derive(Default)]
pub(super) struct OwnFanout {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    now: OwnAddresses,
    keepers: HashMap<u64, Arc<Keeper>>,
}

impl OwnFanout {
    /// From here on it is told, at once of the addresses of now.
    pub(super) fn add(&self, id: u64, keeper: Arc<Keeper>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that no change comes between.
        keeper.changed(inner.now.clone());
        inner.keepers.insert(id, keeper);
    }

    pub(super) fn remove(&self, id: u64) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).keepers.remove(&id);
    }
}

impl Listener for OwnFanout {
    fn changed(&self, own: OwnAddresses) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.now = own.clone();
        for keeper in inner.keepers.values() {
            keeper.changed(own.clone());
        }
    }
}
