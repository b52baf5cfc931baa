//! Lines that do not do what they seem to.
use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::{
    config::Warning,
    policy::{Action, Mode, Policy, PortSet, Rule, Transport},
};

/// Always answered by the DNS proxy, whatever a rule says.
const DNS_PORT: u16 = 53;

/// What each rule by itself, or beside the others, gets wrong. Before the policy is made of them.
pub(super) fn of_rules(rules: &[Rule], mode: Mode) -> Vec<Warning> {
    // Presets are not the user's lines.
    let own = || rules.iter().filter(|rule| rule.origin.preset.is_none());
    let mut warnings = second_spellings(own());
    for rule in own() {
        warnings.extend(
            [port_53(rule), wide(rule), udp(rule), unreadable(rule, mode)].into_iter().flatten(),
        );
    }
    warnings
}

/// Allows that a deny leaves nothing to.
pub(super) fn of_policy(policy: &Policy) -> Vec<Warning> {
    let allows = policy.rules().filter(|rule| rule.action == Action::Allow);
    allows.filter_map(|rule| dead(policy, rule)).collect()
}

/// Two lines of one file about one host are most likely a slip.
fn second_spellings<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Warning> {
    let most = rules.size_hint().1.unwrap_or_default();
    let mut first_lines = HashMap::with_capacity_and_hasher(most, FixedState::default());
    let mut warnings = Vec::new();
    for rule in rules {
        let is_deny = rule.action == Action::Deny;
        let key = (&rule.pattern, is_deny, &rule.origin.file, &rule.origin.profile);
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
    ports.contains(&DNS_PORT).then(|| {
        warn(rule, "port 53 of", "has no effect: the DNS proxy answers every query to port 53")
    })
}

/// A block is an exact exception also for what is not public in it.
fn wide(rule: &Rule) -> Option<Warning> {
    (rule.action == Action::Allow && rule.pattern.is_mixed_block()).then(|| {
        warn(
            rule,
            "",
            "also opens private, loopback or metadata addresses; for public addresses alone write \
             \"*\" = \"allow\" in [network.domains], or narrower blocks",
        )
    })
}

fn udp(rule: &Rule) -> Option<Warning> {
    let written = rule.options.transport.as_ref()?;
    written
        .contains(&Transport::Udp)
        .then(|| warn(rule, "udp of", "has no effect yet: egress run forwards no UDP but DNS"))
}

fn unreadable(rule: &Rule, mode: Mode) -> Option<Warning> {
    (rule.action == Action::Allow && rule.is_unreadable(mode)).then(|| {
        let why = if mode == Mode::Limited {
            "mode = \"limited\" reads"
        } else {
            "methods and paths are of"
        };
        let message = format!(
            "allows nothing: {why} requests of plain HTTP, and its ports carry TLS, which is not \
             opened; add port 80, or leave the restriction out"
        );
        warn(rule, "", &message)
    })
}

fn dead(policy: &Policy, rule: &Rule) -> Option<Warning> {
    if rule.origin.preset.is_some() {
        return None;
    }
    let deny = policy.denies_all_of(&rule.pattern)?;
    Some(warn(rule, "", &format!("allows nothing, as {deny} covers it")))
}

fn warn(rule: &Rule, before: &str, after: &str) -> Warning {
    let space = if before.is_empty() { "" } else { " " };
    let message = format!("{before}{space}\"{}\" {after}", rule.text);
    Warning { message, origin: rule.origin.clone() }
}
