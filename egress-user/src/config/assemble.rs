//! Layers, from the highest to the lowest, and the rules of flags become one policy.

mod bounds;
mod not_built;
mod ports;
mod profiles;
mod sources;
mod warnings;

use std::sync::Arc;

use self::{bounds::Bounds, profiles::Chain, sources::Sources};
use super::{
    Assembled, ConfigErrors, Flags, Loaded, NetworkWritten,
    effective::EffectiveValues,
    keys::{Keys, Table},
    overrides, presets,
};
use crate::policy::{Action, Layer, Origin, Pattern, Policy, PortSet, Rule, RuleOptions};

/// Words of a layer in a sentence.
trait LayerText {
    fn text(self) -> &'static str;
}

impl LayerText for Layer {
    fn text(self) -> &'static str {
        match self {
            Layer::User => "user's layer",
            Layer::Managed => "managed defaults",
            Layer::Requirements => "requirements",
        }
    }
}

/// The files, the highest first; each knows its layer.
pub(super) fn assemble(
    keys: Keys,
    mut layers: Vec<Loaded>,
    flags: &Flags,
) -> Result<Assembled, ConfigErrors> {
    let mut bounds = Bounds::new(keys);
    let flag_rules = flags.rules().unwrap_or_else(|more| {
        bounds.errors.extend(more);
        Vec::new()
    });
    for file in &mut layers {
        let layer = file.layer;
        file.belong_to(layer);
        let profiles = file.profiles.iter_mut().map(|profile| &mut profile.network);
        profiles.chain([&mut file.network]).for_each(add_presets);
    }
    profiles::check_attached(&layers, &mut bounds.errors);
    profiles::check_default(&layers, &mut bounds.errors);
    let chain = match Chain::new(&layers, overrides::chosen(&layers, flags)) {
        Ok(chain) => chain,
        Err(more) => {
            bounds.errors.extend(more);
            return Err(bounds.errors);
        }
    };
    let (mut requirements, mut lower) = (Vec::new(), Vec::new());
    for file in &mut layers {
        let network = chain.of(file, &mut bounds);
        match file.layer {
            Layer::Requirements => requirements.push(network),
            Layer::Managed | Layer::User => lower.push(network),
        }
    }
    lower.push(NetworkWritten { rules: flag_rules, ..NetworkWritten::default() });
    bounds.check(&requirements, &lower);
    let Bounds { mut errors, rules: beyond, .. } = bounds;
    let sources = Sources::of(&layers);
    for error in sources.errors(beyond) {
        errors.push(error);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let attach: Vec<_> = layers.into_iter().flat_map(|layer| layer.attach).collect();
    let values = EffectiveValues::of(keys, &requirements, &lower);
    let (settings, network, dns) = (values.settings(), values.network(), values.dns());
    let enabled_written = values.enabled_written();
    let mut not_built = not_built::keys(&values);
    let mut warnings: Vec<_> = not_built::defaults(&values).collect();
    // The rules move: there may be a hundred thousand.
    let (mut rules, mut unix_rules) = (Vec::new(), Vec::new());
    for layer in requirements.iter_mut().chain(&mut lower) {
        rules.append(&mut layer.rules);
        unix_rules.append(&mut layer.unix_rules);
    }
    not_built.extend(not_built::rules(&unix_rules));
    warnings.extend(warnings::of_rules(&rules, settings.mode));
    warnings.extend(warnings::of_attach(&attach));
    let policy = Policy::new(settings, rules).with_unix_rules(unix_rules);
    let too_many = ports::too_many(&policy);
    if !too_many.is_empty() {
        sources.errors(too_many).for_each(|error| errors.push(error));
        return Err(errors);
    }
    warnings.extend(warnings::of_policy(&policy));
    for list in [&mut warnings, &mut not_built] {
        list.sort_by(|a, b| (&a.origin.file, a.origin.line).cmp(&(&b.origin.file, b.origin.line)));
    }
    Ok(Assembled { policy, dns, enabled_written, network, values, attach, warnings, not_built })
}

/// The layer of each file where nothing says: the last is the user's, the one above managed, all
/// above that requirements.
pub(super) fn layer_of(height: usize) -> Layer {
    match height {
        0 => Layer::User,
        1 => Layer::Managed,
        _ => Layer::Requirements,
    }
}

/// The rules of the presets that are named, before places are merged: each keeps its line.
fn add_presets(network: &mut NetworkWritten) {
    let Some(written) = network.values.find(Table::Network, "presets").cloned() else { return };
    let names = written.value.into_texts();
    for preset in names.iter().filter_map(|name| presets::find(name)) {
        let origin = Origin { preset: Some(Arc::from(preset.name)), ..written.origin.clone() };
        for entry in preset.entries {
            // A test reads every pattern of every preset.
            let Ok(pattern) = Pattern::parse_domain(entry.pattern, Action::Allow) else { continue };
            let ports = match entry.ports {
                [] => PortSet::All,
                ports => PortSet::only(ports.iter().copied()),
            };
            network.rules.push(Rule {
                text: entry.pattern.to_owned(),
                pattern,
                action: Action::Allow,
                options: RuleOptions { ports, ..RuleOptions::default() },
                origin: origin.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
