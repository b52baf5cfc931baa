//! Putting what two places say into one.
use std::sync::Arc;

use super::{Loaded, NetworkWritten};
use crate::policy::Layer;

impl Loaded {
    /// Says of every line whose it is.
    pub(super) fn belong_to(&mut self, layer: Layer) {
        self.layer = layer;
        self.network.belong_to(layer, None);
        for profile in &mut self.profiles {
            profile.network.belong_to(layer, Some(&profile.name));
            profile.origin.layer = layer;
            if let Some(extends) = &mut profile.extends {
                extends.origin.layer = layer;
            }
        }
        if let Some(profile) = &mut self.default_profile {
            profile.origin.layer = layer;
        }
        for attach in &mut self.attach {
            attach.cgroup.origin.layer = layer;
            attach.profile.origin.layer = layer;
        }
    }
}

impl NetworkWritten {
    fn belong_to(&mut self, layer: Layer, profile: Option<&Arc<str>>) {
        self.values.belong_to(layer, profile);
        for rule in &mut self.rules {
            rule.origin.layer = layer;
        }
        for rule in &mut self.unix_rules {
            rule.origin.layer = layer;
        }
    }

    /// Adds the rules of `other`, those of its presets among them, and of its keys those that are
    /// not written here.
    pub(super) fn fill_from(&mut self, other: Self) {
        self.values.fill_from(other.values);
        // The first file's rules move in one piece.
        if self.rules.is_empty() {
            self.rules = other.rules;
        } else {
            self.rules.extend(other.rules);
        }
        self.unix_rules.extend(other.unix_rules);
    }
}
