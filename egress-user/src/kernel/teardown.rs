//! The end of one sandbox, while others live on in the same maps.

use std::sync::{MutexGuard, PoisonError};

use aya::maps::lpm_trie::Key;
use egress_common::{
    pin::{NameKey, PinKey},
    usage::word,
};

use super::{
    maps::{Maps, Rules},
    usage::Counts,
};
use crate::sys::pod::Wire;

/// How much the maps have of one sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Addresses that are pinned.
    pub pins: usize,
    /// Names that may be named at them.
    pub names: usize,
    /// Address rules.
    pub rules: usize,
    /// Connections to its proxy that were not accepted yet, as the kernel side counts them.
    pub flows: u64,
    /// Direct connections without an answer, as the kernel side counts them.
    pub unverified: u64,
}

impl Maps {
    /// How much there is of a sandbox. Goes through whole maps: not for every connection.
    pub fn standing(&self, id: u64) -> Standing {
        let pins = self.pins().keys().flatten().filter(|key| key.0.sandbox == id).count();
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let names = names.keys().flatten().filter(|key| key.0.sandbox == id).count();
        let rules = self.addresses();
        let rules = rules.keys().flatten().filter(|key| key.data().0.sandbox == id).count();
        let taken = |word| self.usage.taken(id, word);
        Standing {
            pins,
            names,
            rules,
            flows: taken(word::FLOWS),
            unverified: taken(word::UNVERIFIED),
        }
    }

    /// Takes away everything that the maps have of a sandbox, and nothing of another's: from here on its
    /// cgroup is judged by nothing but refusals. Of the last one the maps are cleared when another comes: most
    /// processes have one and end with it, and its maps with them (some 350 elements, which would be a
    /// twentieth of a short run). What still writes of it (a lookup under way) comes too late:
    /// it is refused. Gives what was counted.
    ///
    /// Its held connections are not here to be forgotten: until they have ended they are what keeps its
    /// programs ([`super::detach_pinned`]), and the kernel side takes each out as it ends.
    pub fn remove_sandbox(&self, id: u64) -> Counts {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        // Absent is as good as removed, here and below.
        let _ = sandboxes.remove(&id);
        let has_flows = self.usage.taken(id, word::FLOWS) > 0;
        // Before the maps are cleared: who takes a map's lock behind that finds that it has ended.
        let counts = self.usage.free(id);
        let is_last = self.usage.is_empty();
        if is_last {
            self.leftovers().push(id);
        }
        drop(sandboxes);
        if !is_last {
            self.clear(id, has_flows);
        }
        counts
    }

    /// Makes room of what the last sandbox before has left.
    pub(super) fn clear_leftovers(&self) {
        for id in std::mem::take(&mut *self.leftovers()) {
            self.clear(id, true);
        }
    }

    fn leftovers(&self) -> MutexGuard<'_, Vec<u64>> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self, id: u64, has_flows: bool) {
        self.remove_pins(id);
        self.remove_names(id);
        remove_rules(self.addresses(), id);
        if has_flows {
            self.flows.remove_where(|flow| flow.sandbox == id);
        }
    }

    fn remove_pins(&self, id: u64) {
        let mut pins = self.pins();
        let is_its = |Wire(PinKey { sandbox, .. }): &Wire<PinKey>| *sandbox == id;
        let its: Vec<_> = pins.iter().flatten().filter(|(key, _)| is_its(key)).collect();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in its {
            let _ = pins.remove(&key);
            let _ = live.remove(&value.0.live);
        }
    }

    fn remove_names(&self, id: u64) {
        // In the order in which pins are written.
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let is_its = |Wire(NameKey { sandbox, .. }): &Wire<NameKey>| *sandbox == id;
        let its: Vec<_> = names.iter().flatten().filter(|(key, _)| is_its(key)).collect();
        for (key, value) in its {
            let _ = names.remove(&key);
            let _ = live.remove(&value.0.pin);
        }
    }
}

fn remove_rules(mut rules: MutexGuard<'_, Rules>, id: u64) {
    let its: Vec<Key<_>> =
        rules.keys().flatten().filter(|key| key.data().0.sandbox == id).collect();
    for key in its {
        let _ = rules.remove(&key);
    }
}
