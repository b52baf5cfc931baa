//! Lines that do not do what they seem to.
use std::{collections::HashMap, sync::Arc};

use egress_common::abi::DNS_PORT;

use crate::{
    config::{AttachWritten, Warning},
    policy::{
        Action, LOCALHOST_ADDRESSES, MatchedRules, Mode, Origin, Pattern, Policy, PortRange,
        PortSet, Route, Rule, Transport,
    },
};

/// What each rule gets wrong by itself. Before the policy is made of them.
pub(super) fn of_rules(rules: &[Rule], mode: Mode) -> Vec<Warning> {
    let mut warnings = Vec::new();
    // Presets are not the user's lines.
    for rule in rules.iter().filter(|rule| rule.origin.preset.is_none()) {
        warnings.extend(
            [port_53(rule), wide(rule), udp(rule), unreadable(rule, mode), no_kernel(rule, mode)]
                .into_iter()
                .flatten(),
        );
    }
    warnings.extend(unreadable_presets(rules, mode));
    warnings
}

/// What rules get wrong beside others: allows that a deny leaves nothing to, second spellings, and
/// one spelling of this host without the other.
pub(super) fn of_policy(policy: &Policy) -> Vec<Warning> {
    let mut warnings = Vec::new();
    // One pass: the rules lie all over the memory.
    for grant in policy.grants() {
        let own = || grant.rules().iter().filter(|rule| rule.origin.preset.is_none());
        if grant.rules().len() > 1 {
            warnings.extend(second_spellings(own()));
        }
        for rule in own().filter(|rule| rule.action == Action::Allow) {
            let warning = dead(policy, rule).or_else(|| local(policy, rule));
            warnings.extend(warning.or_else(|| narrower(policy, rule)));
        }
    }
    warnings
}

/// A cgroup gets one profile.
pub(super) fn of_attach(attach: &[AttachWritten]) -> Vec<Warning> {
    let mut first: HashMap<&str, &AttachWritten> = HashMap::new();
    let mut warnings = Vec::new();
    for attach in attach {
        let (path, origin) = (&attach.cgroup.value, &attach.cgroup.origin);
        let known = first.entry(path).or_insert(attach);
        if !std::ptr::eq(*known, attach) {
            let (profile, place) = (&known.profile.value, &known.cgroup.origin);
            let message = format!("\"{path}\" has the profile \"{profile}\" already ({place})");
            warnings.push(Warning { message, origin: origin.clone() });
        }
    }
    warnings
}

/// Two lines of one file about one host are most likely a slip.
fn second_spellings<'a>(rules: impl Iterator<Item = &'a Arc<Rule>>) -> Vec<Warning> {
    let mut first_lines = HashMap::new();
    let mut warnings = Vec::new();
    for rule in rules {
        let first = first_lines.entry((&rule.origin.file, &rule.origin.profile)).or_insert(rule);
        if !std::ptr::eq(*first, rule) {
            warnings.push(warn(rule, "", &format!("is a second spelling of {first}")));
        }
    }
    warnings
}

const DNS: PortRange = PortRange::one(DNS_PORT).expect("a port");

fn port_53(rule: &Rule) -> Option<Warning> {
    // Of a range it is one of many.
    let is_named = rule.options.ports.entries().any(|entry| entry == DNS);
    is_named.then(|| {
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

/// `via = "kernel"` where every connection takes the proxy.
fn no_kernel(rule: &Rule, mode: Mode) -> Option<Warning> {
    let written = rule.action == Action::Allow && rule.options.via == Some(Route::Kernel);
    written.then_some(())?;
    let why = if rule.pattern.is_address() {
        "connections to addresses carry no name that the kernel could judge"
    } else if rule.reads_requests(mode) {
        "requests have to be read"
    } else if MatchedRules::from(Arc::new(rule.clone())).direct_ports().is_empty() {
        "it opens no port of TLS"
    } else {
        return None;
    };
    Some(warn(rule, "via = \"kernel\" of", &format!("has no effect: {why}")))
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

/// One warning a preset: its lines are not the user's.
fn unreadable_presets(rules: &[Rule], mode: Mode) -> Vec<Warning> {
    let mut counts: HashMap<&Origin, usize> = HashMap::new();
    for rule in rules {
        if rule.origin.preset.is_some() && rule.is_unreadable(mode) {
            *counts.entry(&rule.origin).or_default() += 1;
        }
    }
    let warning = |(origin, count): (&Origin, usize)| Warning {
        message: format!(
            "{count} rules of the preset \"{}\" allow nothing: mode = \"limited\" reads requests of \
             plain HTTP, and their ports carry TLS, which is not opened",
            origin.preset.as_deref().unwrap_or_default()
        ),
        origin: origin.clone(),
    };
    counts.into_iter().map(warning).collect()
}

fn dead(policy: &Policy, rule: &Rule) -> Option<Warning> {
    let deny = match &rule.pattern {
        // What it stands for is known without a lookup, and one denied address closes a name.
        Pattern::Exact(name) if name.is_localhost() => {
            policy
                .denied_name(name)
                .or_else(|| LOCALHOST_ADDRESSES.iter().find_map(|&one| policy.denied_address(one)))?
                .rule?
        }
        pattern => policy.denies_all_of(pattern)?.clone(),
    };
    Some(warn(rule, "", &format!("allows nothing, as the deny of {deny} covers it")))
}

/// The name `localhost` does not open its addresses, nor they the name.
fn local(policy: &Policy, rule: &Rule) -> Option<Warning> {
    let opens = |pattern: &Pattern| policy.covering(pattern).is_some();
    match &rule.pattern {
        Pattern::Exact(name) if name.is_localhost() => {
            let mut addresses = LOCALHOST_ADDRESSES.iter().copied().map(Pattern::Address);
            (!addresses.any(|address| opens(&address))).then(|| {
                let hint = "opens the name alone: programs that are told 127.0.0.1 or ::1 need \
                            these in [network.addresses]";
                warn(rule, "", hint)
            })
        }
        Pattern::Address(address) if LOCALHOST_ADDRESSES.contains(address) => {
            let name = Pattern::parse_domain("localhost", Action::Allow).ok()?;
            (!opens(&name)).then(|| {
                let hint = "opens the address alone: programs that are told localhost need \
                            \"localhost\" in [network.domains]";
                warn(rule, "", hint)
            })
        }
        _ => None,
    }
}

/// A name with ports of its own, beside a wider rule that opens more: the more specific one counts.
fn narrower(policy: &Policy, rule: &Rule) -> Option<Warning> {
    let (Pattern::Exact(name), ports @ PortSet::Only(_)) = (&rule.pattern, &rule.options.ports)
    else {
        return None;
    };
    let wider = policy.covering(&Pattern::AtOrBelow(name.clone()))?;
    let is_own = |wider: &&Arc<Rule>| wider.origin.preset.is_none();
    let wider = wider.rules().iter().filter(is_own).find(|wider| {
        let (origin, own) = (&wider.origin, &rule.origin);
        let is_beside = origin.file == own.file && origin.profile == own.profile;
        wider.options.ports == PortSet::All && is_beside
    })?;
    // Another line of the same name may open the rest.
    let own = policy.covering(&rule.pattern)?;
    if own.rules().iter().any(|own| own.options.ports == PortSet::All) {
        return None;
    }
    let what = format!(
        "opens port {ports} alone, though {wider} opens every port: the more specific rule counts. Add the \
         ports that are needed, or leave the line out"
    );
    Some(warn(rule, "", &what))
}

fn warn(rule: &Rule, before: &str, after: &str) -> Warning {
    let space = if before.is_empty() { "" } else { " " };
    let message = format!("{before}{space}\"{}\" {after}", rule.text);
    Warning { message, origin: rule.origin.clone() }
}
