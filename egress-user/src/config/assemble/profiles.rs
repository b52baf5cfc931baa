//! What of a file holds under a profile: the profile, what it extends, and the denies of
//! `[network]`, which nothing leaves behind.
use std::sync::Arc;

use crate::{
    config::{ConfigError, ConfigErrors, Loaded, NetworkWritten, Written, schema},
    policy::{Action, Layer},
};

/// `[network]` as a profile.
const DEFAULT: &str = "default";

/// The profiles that hold, the asked one first.
pub(super) struct Chain {
    names: Vec<Arc<str>>,
    /// Whether it ends in `[network]`.
    ends_in_network: bool,
}

impl Chain {
    /// From the asked profile to the last that is extended.
    pub(super) fn new(layers: &[Loaded], asked: Option<&str>) -> Result<Self, ConfigErrors> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let Some(asked) = asked.filter(|&name| name != DEFAULT) else {
            return Ok(Self { names, ends_in_network: true });
        };
        if !exists(layers, asked) {
            let file = "--profile".to_owned();
            let message = format!("there is no profile {asked:?}");
            let suggestion = suggest(layers, asked);
            return Err(ConfigError { file, place: None, message, suggestion }.into());
        }
        let mut next: Arc<str> = asked.into();
        loop {
            names.push(next.clone());
            // The highest layer that says so.
            let written = layers
                .iter()
                .flat_map(|layer| &layer.profiles)
                .filter(|profile| profile.name == next)
                .find_map(|profile| profile.extends.as_ref());
            let Some(Written { value: parent, origin, place }) = written else {
                return Ok(Self { names, ends_in_network: false });
            };
            if parent == DEFAULT {
                return Ok(Self { names, ends_in_network: true });
            }
            let wrong = if !exists(layers, parent) {
                (format!("there is no profile {parent:?}"), suggest(layers, parent))
            } else if names.iter().any(|name| **name == **parent) {
                let circle: Vec<_> = names.iter().map(|name| &**name).collect();
                let message = format!("{} extend each other in a circle", circle.join(", "));
                (message, "let one of them extend \"default\", or nothing".to_owned())
            } else {
                next = parent.as_str().into();
                continue;
            };
            let file = origin.file.to_string();
            let (message, suggestion) = wrong;
            return Err(ConfigError { file, place: place.clone(), message, suggestion }.into());
        }
    }

    /// What a file says under these profiles.
    pub(super) fn of(&self, file: Loaded) -> NetworkWritten {
        let Loaded { layer, network, profiles, .. } = file;
        let mut merged = NetworkWritten::default();
        let mut by_height: Vec<_> = self.names.iter().map(|_| NetworkWritten::default()).collect();
        for profile in profiles {
            if let Some(at) = self.names.iter().position(|name| *name == profile.name)
                && let Some(slot) = by_height.get_mut(at)
            {
                *slot = profile.network;
            }
        }
        for profile in by_height {
            merged.fill_from(profile);
        }
        // The administrator's bounds hold under every profile.
        if self.ends_in_network || layer == Layer::Requirements {
            merged.fill_from(network);
        } else {
            let denies = network.rules.into_iter().filter(|rule| rule.action == Action::Deny);
            merged.rules.extend(denies);
            let denies = network.unix_rules.into_iter().filter(|rule| rule.action == Action::Deny);
            merged.unix_rules.extend(denies);
        }
        merged
    }
}

/// Whether a file defines the profile.
pub(super) fn exists(layers: &[Loaded], name: &str) -> bool {
    name == DEFAULT || names(layers).any(|known| known == name)
}

/// What may have been meant.
pub(super) fn suggest(layers: &[Loaded], name: &str) -> String {
    match schema::nearest(name, names(layers)) {
        Some(known) => format!("write {known:?}"),
        None => {
            let known: Vec<_> = names(layers).chain([DEFAULT]).collect();
            format!("the profiles are {}", known.join(", "))
        }
    }
}

fn names(layers: &[Loaded]) -> impl Iterator<Item = &str> {
    layers.iter().flat_map(|layer| &layer.profiles).map(|profile| &*profile.name)
}
