//! What of a file holds under a profile: the profile, what it extends, and the denies of
//! `[network]`, which nothing leaves behind.
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{LayerText, bounds::Bounds};
use crate::{
    config::{ConfigError, ConfigErrors, Loaded, NetworkWritten, Written, schema},
    policy::{Action, Layer},
};

/// `[network]` as a profile.
const DEFAULT: &str = "default";

/// Of each profile of any file, what it extends.
type Parents<'a> = HashMap<&'a str, Option<&'a Written<String>>>;

/// The profiles that hold, the asked one first.
pub(super) struct Chain {
    names: Vec<Arc<str>>,
    /// Whether it ends in `[network]`.
    ends_in_network: bool,
}

impl Chain {
    /// From the asked profile to the last that is extended.
    ///
    /// # Errors
    /// Every profile that extends what there is not, or itself: also of those that are not asked
    /// for, as a file is understood whole or not at all.
    pub(super) fn new(layers: &[Loaded], asked: Option<&str>) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let parents = parents(layers, &mut errors);
        check(layers, &parents, &mut errors);
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut next = asked.unwrap_or(DEFAULT);
        // What a file names was reported where it stands.
        if !exists(&parents, next) && !layers.iter().any(|layer| is_default_of(layer, next)) {
            let message = format!("there is no profile {next:?}");
            let suggestion = suggest(&parents, next);
            let file = "--profile".to_owned();
            errors.push(ConfigError { file, place: None, message, suggestion });
        }
        if !errors.is_empty() || !exists(&parents, next) {
            return Err(errors);
        }
        while next != DEFAULT {
            names.push(next.into());
            match parents.get(next).copied().flatten() {
                Some(parent) => next = &parent.value,
                None => return Ok(Self { names, ends_in_network: false }),
            }
        }
        Ok(Self { names, ends_in_network: true })
    }

    /// What a file says under these profiles. A profile of requirements stays within their
    /// `[network]` like everything else.
    pub(super) fn of(&self, file: &mut Loaded, bounds: &mut Bounds) -> NetworkWritten {
        let mut by_height: Vec<_> = self.names.iter().map(|_| NetworkWritten::default()).collect();
        for profile in &mut file.profiles {
            if let Some(at) = self.names.iter().position(|name| *name == profile.name)
                && let Some(slot) = by_height.get_mut(at)
            {
                *slot = std::mem::take(&mut profile.network);
            }
        }
        let mut network = std::mem::take(&mut file.network);
        if file.layer == Layer::Requirements {
            bounds.settings(&network, &by_height.iter().collect::<Vec<_>>());
        }
        // The administrator's bounds hold under every profile.
        if !self.ends_in_network && file.layer != Layer::Requirements {
            network.rules.retain(|rule| rule.action == Action::Deny);
            network.unix_rules.retain(|rule| rule.action == Action::Deny);
            network = NetworkWritten {
                rules: network.rules,
                unix_rules: network.unix_rules,
                ..NetworkWritten::default()
            };
        }
        let mut merged = NetworkWritten::default();
        for part in by_height.into_iter().chain([network]) {
            merged.fill_from(part);
        }
        merged
    }
}

/// What each profile extends: requirements say so first; below them the user's word goes before the
/// managed default.
fn parents<'a>(layers: &'a [Loaded], errors: &mut ConfigErrors) -> Parents<'a> {
    let mut parents = Parents::new();
    for layer in layers {
        for profile in &layer.profiles {
            let parent = parents.entry(&*profile.name).or_default();
            let Some(written) = &profile.extends else { continue };
            match parent {
                Some(bound) if bound.origin.layer == Layer::Requirements => {
                    if bound.value != written.value {
                        let (own, by) = (written.origin.layer.text(), bound.origin.layer.text());
                        let message = format!(
                            "the profile {:?} of the {own} extends another than the {by} say ({})",
                            profile.name, bound.origin
                        );
                        let suggestion = format!("write {:?}, or remove the line", bound.value);
                        errors.push(error(written, message, suggestion));
                    }
                }
                _ => *parent = Some(written),
            }
        }
    }
    parents
}

/// Reports profiles that are extended and do not exist, and circles.
fn check(layers: &[Loaded], parents: &Parents<'_>, errors: &mut ConfigErrors) {
    let mut seen = HashSet::new();
    for profile in layers.iter().flat_map(|layer| &layer.profiles) {
        let mut name = &*profile.name;
        let mut path = Vec::new();
        // What was seen before was reported where it is wrong.
        while name != DEFAULT && seen.insert(name) {
            path.push(name);
            let Some(written) = parents.get(name).copied().flatten() else { break };
            let parent = written.value.as_str();
            if !exists(parents, parent) {
                let message = format!("there is no profile {parent:?}");
                errors.push(error(written, message, suggest(parents, parent)));
                break;
            }
            if let Some(start) = path.iter().position(|known| *known == parent) {
                let circle = path.get(start..).unwrap_or_default().join(" -> ");
                let message =
                    format!("profiles extend each other in a circle: {circle} -> {parent}");
                let suggestion = "let one of them extend \"default\", or nothing".to_owned();
                errors.push(error(written, message, suggestion));
                break;
            }
            name = parent;
        }
    }
}

/// Reports profiles that are attached and do not exist.
pub(super) fn check_attached(layers: &[Loaded], errors: &mut ConfigErrors) {
    let parents = parents(layers, &mut ConfigErrors::default());
    for attach in layers.iter().flat_map(|layer| &layer.attach) {
        let name = &attach.profile.value;
        if !exists(&parents, name) {
            let message = format!("there is no profile {name:?}");
            errors.push(error(&attach.profile, message, suggest(&parents, name)));
        }
    }
}

/// Reports a `default_profile` that does not exist.
pub(super) fn check_default(layers: &[Loaded], errors: &mut ConfigErrors) {
    let parents = parents(layers, &mut ConfigErrors::default());
    for written in layers.iter().filter_map(|layer| layer.default_profile.as_ref()) {
        let name = &written.value;
        if !exists(&parents, name) {
            errors.push(error(
                written,
                format!("there is no profile {name:?}"),
                suggest(&parents, name),
            ));
        }
    }
}

/// Whether the file's `default_profile` is this one.
fn is_default_of(layer: &Loaded, profile: &str) -> bool {
    layer.default_profile.as_ref().is_some_and(|written| written.value == profile)
}

fn error(written: &Written<String>, message: String, suggestion: String) -> ConfigError {
    let file = written.origin.file.to_string();
    ConfigError { file, place: written.place.clone(), message, suggestion }
}

fn exists(parents: &Parents<'_>, name: &str) -> bool {
    name == DEFAULT || parents.contains_key(name)
}

/// What may have been meant.
fn suggest(parents: &Parents<'_>, name: &str) -> String {
    let mut known: Vec<&str> = parents.keys().copied().chain([DEFAULT]).collect();
    known.sort_unstable();
    match schema::nearest(name, known.iter().copied()) {
        Some(known) => format!("write {known:?}"),
        None => format!("the profiles are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;
