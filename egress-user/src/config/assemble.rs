//! Layers, from the highest to the lowest, and the rules of flags become one policy.

mod bounds;
mod not_built;
mod origins;
mod profiles;
mod settings;
mod warnings;

use std::sync::Arc;

use self::{bounds::Bounds, profiles::Chain, settings::Effective};
use super::{Assembled, ConfigError, ConfigErrors, Flags, Loaded, NetworkWritten, presets};
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
pub(super) fn assemble(layers: Vec<Loaded>, flags: &Flags) -> Result<Assembled, ConfigErrors> {
    let flag_rules = flags.rules()?;
    let chain = Chain::new(&layers, flags.profile.as_deref())?;
    let mut errors = ConfigErrors::default();
    let mut attach = Vec::new();
    for written in layers.iter().flat_map(|layer| &layer.attach) {
        let profile = &written.profile;
        if !profiles::exists(&layers, &profile.value) {
            errors.push(ConfigError {
                file: profile.origin.file.to_string(),
                place: profile.place.clone(),
                message: format!("there is no profile {:?}", profile.value),
                suggestion: profiles::suggest(&layers, &profile.value),
            });
        }
        attach.push(written.clone());
    }
    let (mut requirements, mut lower) = (Vec::new(), Vec::new());
    for file in layers {
        let layer = file.layer;
        let mut network = chain.of(file);
        add_presets(&mut network);
        network.belong_to(layer);
        match layer {
            Layer::Requirements => requirements.push(network),
            Layer::Managed | Layer::User => lower.push(network),
        }
    }
    lower.push(NetworkWritten { rules: flag_rules, ..NetworkWritten::default() });
    Bounds { requirements: &requirements, lower: &lower, errors: &mut errors }.check();
    if !errors.is_empty() {
        return Err(errors);
    }
    let effective = Effective { requirements: &requirements, lower: &lower };
    let (settings, network, dns) = (effective.settings(), effective.network(), effective.dns());
    let enabled_written =
        effective.written(|n| &n.enabled, |&enabled| enabled).map(|written| written.value);
    let origins = effective.origins();
    // The rules move: there may be a hundred thousand.
    let mut rules = Vec::new();
    let mut unix_rules = Vec::new();
    for layer in requirements.iter_mut().chain(&mut lower) {
        rules.append(&mut layer.rules);
        unix_rules.extend(layer.unix_rules.iter().cloned());
    }
    let effective = Effective { requirements: &requirements, lower: &lower };
    let not_built = not_built::list(&effective, &rules);
    let mut warnings = warnings::of_rules(&rules, settings.mode);
    let policy = Policy::new(settings, rules).with_unix_rules(unix_rules);
    warnings.extend(warnings::of_policy(&policy));
    warnings.sort_by(|a, b| (&a.origin.file, a.origin.line).cmp(&(&b.origin.file, b.origin.line)));
    Ok(Assembled { policy, dns, enabled_written, network, origins, attach, warnings, not_built })
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

/// The rules of the presets that are named.
fn add_presets(network: &mut NetworkWritten) {
    let Some(written) = &network.presets else { return };
    for preset in written.value.iter().filter_map(|name| presets::find(name)) {
        let origin = Origin { preset: Some(Arc::from(preset.name)), ..written.origin.clone() };
        for entry in preset.entries {
            // A test reads every pattern of every preset.
            let Ok(pattern) = Pattern::parse_domain(entry.pattern, Action::Allow) else { continue };
            let ports = match entry.ports {
                [] => PortSet::All,
                ports => PortSet::only(ports.to_vec()),
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
