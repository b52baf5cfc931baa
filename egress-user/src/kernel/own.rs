//! The machine's own addresses in the kernel's map of rules.

use std::{collections::HashMap, sync::Arc};

use ipnet::IpNet;

use super::maps::{Maps, rule_key, write_rule};
use crate::policy::AddressEntry;

/// What stands there of them. Without an entry a connection is the proxy's to refuse, so that a map which
/// is full opens nothing.
pub struct OwnRules {
    maps: Arc<Maps>,
    sandbox: u64,
    standing: HashMap<IpNet, AddressEntry>,
}

impl OwnRules {
    /// Of the sandbox with this id; nothing stands there yet.
    pub fn new(maps: Arc<Maps>, sandbox: u64) -> Self {
        Self { maps, sandbox, standing: HashMap::new() }
    }

    /// Writes these and takes the others away.
    pub fn set(&mut self, rules: Vec<AddressEntry>) {
        let wanted: HashMap<IpNet, AddressEntry> =
            rules.into_iter().map(|rule| (rule.block, rule)).collect();
        let mut map = self.maps.addresses();
        if !self.maps.lives(self.sandbox) {
            return;
        }
        for rule in wanted.values().filter(|rule| !self.standing.contains_key(&rule.block)) {
            if let Err(error) = write_rule(&mut map, self.sandbox, rule) {
                tracing::debug!(%error, block = %rule.block, "left to the proxy to refuse");
            }
        }
        for block in self.standing.keys().filter(|block| !wanted.contains_key(block)) {
            // Absent is as good as removed.
            let _ = map.remove(&rule_key(self.sandbox, *block));
        }
        drop(map);
        self.standing = wanted;
    }
}
