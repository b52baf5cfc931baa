//! Layers, from the highest to the lowest, and the rules of flags become one policy.
use std::collections::HashMap;

use super::{Assembled, DnsSettings, Loaded, Warning, read::USER_LAYER};
use crate::policy::{Action, Policy, PortSet, Rule, Settings};

/// Names of the layers above the user's, from the lowest.
const HIGHER_LAYERS: [&str; 2] = ["managed", "requirements"];
/// Always answered by the DNS proxy, whatever a rule says.
const DNS_PORT: u16 = 53;

pub(super) fn assemble(mut layers: Vec<Loaded>, flag_rules: Vec<Rule>) -> Assembled {
    for (height, layer) in layers.iter_mut().rev().enumerate() {
        for rule in &mut layer.rules {
            rule.origin.layer = layer_name(height);
        }
    }
    // A switch that widens stays off once any layer turns it off.
    let all = |pick: fn(&Loaded) -> Option<bool>, default: bool| {
        let mut written = layers.iter().filter_map(pick).peekable();
        if written.peek().is_none() { default } else { written.all(|value| value) }
    };
    let enabled_written = layers.iter().find_map(|layer| layer.enabled);
    let settings = Settings {
        network_access: all(|layer| layer.network_access, true),
        enabled: enabled_written.unwrap_or(true),
        allow_local_binding: all(|layer| layer.allow_local_binding, false),
    };
    let dns = dns(&layers);
    let rules: Vec<Rule> =
        layers.into_iter().flat_map(|layer| layer.rules).chain(flag_rules).collect();
    let mut warnings = second_spellings(&rules);
    warnings.extend(rules.iter().filter_map(port_53));
    warnings.extend(rules.iter().filter_map(wide));
    let policy = Policy::new(settings, rules.clone());
    warnings.extend(rules.iter().filter_map(|rule| dead(&policy, rule)));
    warnings.sort_by(|a, b| (&a.origin.file, a.origin.line).cmp(&(&b.origin.file, b.origin.line)));
    Assembled { policy, dns, enabled_written, warnings }
}

fn layer_name(height: usize) -> String {
    match height.checked_sub(1) {
        None => USER_LAYER.to_owned(),
        Some(above) => HIGHER_LAYERS
            .get(above)
            .map_or_else(|| format!("layer {}", height + 1), |&name| name.to_owned()),
    }
}

/// Of each key, the highest layer that writes it.
fn dns(layers: &[Loaded]) -> DnsSettings {
    let default = DnsSettings::default();
    let max_ttl = layers.iter().find_map(|l| l.dns.max_ttl).unwrap_or(default.max_ttl);
    let min_ttl = layers.iter().find_map(|l| l.dns.min_ttl).unwrap_or(default.min_ttl);
    DnsSettings {
        servers: layers.iter().find_map(|l| l.dns.servers.clone()).unwrap_or(default.servers),
        timeout: layers.iter().find_map(|l| l.dns.timeout).unwrap_or(default.timeout),
        // A short max_ttl shortens a min_ttl that nobody wrote beside it.
        min_ttl: min_ttl.min(max_ttl),
        max_ttl,
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
