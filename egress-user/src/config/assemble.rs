//! Layers, from the highest to the lowest, and the rules of flags become one policy.
use std::{collections::HashMap, time::Duration};

use super::{Assembled, DnsSettings, Loaded, NetworkSettings, Warning, Written};
use crate::policy::{Action, Layer, Policy, PortSet, Rule, Settings};

/// Always answered by the DNS proxy, whatever a rule says.
const DNS_PORT: u16 = 53;

pub(super) fn assemble(mut layers: Vec<Loaded>, flag_rules: Vec<Rule>) -> Assembled {
    for (height, layer) in layers.iter_mut().rev().enumerate() {
        layer.layer = layer_of(height);
        for rule in &mut layer.network.rules {
            rule.origin.layer = layer.layer;
        }
    }
    // A switch that widens stays off once any layer turns it off.
    let all = |pick: fn(&Loaded) -> &Option<Written<bool>>, default: bool| {
        let mut written = layers.iter().filter_map(|layer| pick(layer).as_ref()).peekable();
        if written.peek().is_none() { default } else { written.all(|written| written.value) }
    };
    let enabled_written = layers.iter().find_map(|layer| value(&layer.network.enabled));
    let settings = Settings {
        network_access: all(|layer| &layer.network.network_access, true),
        enabled: enabled_written.unwrap_or(true),
        allow_local_binding: all(|layer| &layer.network.allow_local_binding, false),
        ..Settings::default()
    };
    let dns = dns(&layers);
    let rules: Vec<Rule> =
        layers.into_iter().flat_map(|layer| layer.network.rules).chain(flag_rules).collect();
    let mut warnings = second_spellings(&rules);
    warnings.extend(rules.iter().filter_map(port_53));
    warnings.extend(rules.iter().filter_map(wide));
    let policy = Policy::new(settings, rules.clone());
    warnings.extend(rules.iter().filter_map(|rule| dead(&policy, rule)));
    warnings.sort_by(|a, b| (&a.origin.file, a.origin.line).cmp(&(&b.origin.file, b.origin.line)));
    Assembled {
        policy,
        dns,
        enabled_written,
        network: NetworkSettings::default(),
        attach: Vec::new(),
        warnings,
        not_built: Vec::new(),
    }
}

fn layer_of(height: usize) -> Layer {
    match height {
        0 => Layer::User,
        1 => Layer::Managed,
        _ => Layer::Requirements,
    }
}

fn value<T: Clone>(written: &Option<Written<T>>) -> Option<T> {
    written.as_ref().map(|written| written.value.clone())
}

/// Of each key, the highest layer that writes it.
fn dns(layers: &[Loaded]) -> DnsSettings {
    let default = DnsSettings::default();
    let pick = |dns: fn(&Loaded) -> &Option<Written<Duration>>, default| {
        layers.iter().find_map(|layer| value(dns(layer))).unwrap_or(default)
    };
    let max_ttl = pick(|layer| &layer.network.dns.max_ttl, default.max_ttl);
    let min_ttl = pick(|layer| &layer.network.dns.min_ttl, default.min_ttl);
    DnsSettings {
        servers: layers
            .iter()
            .find_map(|layer| value(&layer.network.dns.servers))
            .unwrap_or(default.servers),
        timeout: pick(|layer| &layer.network.dns.timeout, default.timeout),
        // A short max_ttl shortens a min_ttl that nobody wrote beside it.
        min_ttl: min_ttl.min(max_ttl),
        max_ttl,
        ..DnsSettings::default()
    }
}

/// Two lines of one file about one host are most likely a slip.
fn second_spellings(rules: &[Rule]) -> Vec<Warning> {
    let mut first_lines = HashMap::new();
    let mut warnings = Vec::new();
    for rule in rules {
        let key = (&rule.pattern, rule.action == Action::Deny, &rule.origin.file);
        let first: &Rule = first_lines.entry(key).or_insert(rule);
        if !std::ptr::eq(first, rule) {
            let message = format!("\"{}\" is a second spelling of {first}", rule.text);
            warnings.push(Warning { message, origin: rule.origin.clone() });
        }
    }
    warnings
}

fn port_53(rule: &Rule) -> Option<Warning> {
    let PortSet::Only(ports) = &rule.options.ports else { return None };
    ports.contains(&DNS_PORT).then(|| Warning {
        message: format!(
            "port 53 of \"{}\" has no effect: the DNS proxy answers every query to port 53",
            rule.text
        ),
        origin: rule.origin.clone(),
    })
}

/// A block is an exact exception also for what is not public in it.
fn wide(rule: &Rule) -> Option<Warning> {
    (rule.action == Action::Allow && rule.pattern.is_mixed_block()).then(|| Warning {
        message: format!(
            "\"{}\" also opens private, loopback or metadata addresses; for public addresses alone \
             write \"*\" = \"allow\" in [network.domains], or narrower blocks",
            rule.text
        ),
        origin: rule.origin.clone(),
    })
}

fn dead(policy: &Policy, rule: &Rule) -> Option<Warning> {
    if rule.action == Action::Deny {
        return None;
    }
    let deny = policy.denies_all_of(&rule.pattern)?;
    let message = format!("\"{}\" allows nothing, as {deny} covers it", rule.text);
    Some(Warning { message, origin: rule.origin.clone() })
}
