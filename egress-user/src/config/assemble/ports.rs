//! More ports than the kernel's records have room for.
use super::sources::Beyond;
use crate::policy::{Action, MAX_PORT_RANGES, Policy, PortSet};

/// An error for each pattern whose lines open more ranges of ports, together, than one may: at the last of them.
pub(super) fn too_many(policy: &Policy) -> Vec<Beyond> {
    let mut beyond = Vec::new();
    for grant in policy.grants() {
        let [rules @ .., last] = grant.rules() else { continue };
        if last.action == Action::Deny {
            continue;
        }
        let own = last.options.ports.clone();
        let ports = rules.iter().fold(own, |all, rule| all.union(&rule.options.ports));
        if ports == PortSet::All || ports.ranges().len() <= MAX_PORT_RANGES {
            continue;
        }
        let count = ports.ranges().len();
        let with = match rules.first() {
            Some(first) => format!(", together with {first},"),
            None => String::new(),
        };
        beyond.push(Beyond {
            text: last.text.clone(),
            message: format!(
                "\"{}\"{with} opens {count} ranges of ports, and {MAX_PORT_RANGES} is the most of one pattern",
                last.text
            ),
            suggestion: "write fewer and wider ranges, such as \"8000-8099\", or leave the ports out",
            origin: last.origin.clone(),
        });
    }
    beyond
}
