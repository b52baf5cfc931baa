//! `managed_allowed_domains_only`: what lower layers allow, within what requirements allow.
use std::collections::HashMap;

use super::{super::LayerText, super::sources::Beyond, Bounds};
use crate::{
    config::{NetworkWritten, keys::Table, values::Value},
    policy::{Action, MatchedRules, Origin, Policy, Rule, Settings},
};

impl Bounds {
    /// Where `bound` says so, what is below it allows nothing but what a rule at its height or
    /// above covers.
    ///
    /// The rule is the most specific that covers the pattern: a line for `a.example.com` is held to
    /// what requirements say of that name, though their `**.example.com` may open more.
    pub(super) fn domains(
        &mut self,
        bound: &NetworkWritten,
        requirements: &[NetworkWritten],
        below: &[&NetworkWritten],
    ) {
        const ONLY: &str = "managed_allowed_domains_only";
        let Some(only) = bound.values.find(Table::Network, ONLY) else { return };
        if only.value != Value::Boolean(true) {
            return;
        }
        let allows = requirements.iter().flat_map(|layer| &layer.rules);
        let allows = allows.filter(|rule| rule.action == Action::Allow).cloned().collect();
        let allows = Policy::new(Settings::default(), allows);
        let covered = |rule: &Rule| {
            let rules = allows.covering(&rule.pattern).map_or(&[][..], MatchedRules::rules);
            rules.iter().any(|bound| bound.covers(rule))
        };
        let missed = below
            .iter()
            .flat_map(|layer| &layer.rules)
            .filter(|rule| rule.action == Action::Allow && !covered(rule));
        // One error a preset, as it is one word that was written.
        let mut presets: HashMap<&Origin, (&str, usize)> = HashMap::new();
        for rule in missed {
            if rule.origin.preset.is_some() {
                presets.entry(&rule.origin).or_insert((&rule.text, 0)).1 += 1;
                continue;
            }
            let what = format!("\"{}\"", rule.text);
            self.rules.push(Beyond {
                suggestion: Beyond::REMOVE,
                text: rule.text.clone(),
                message: beyond(&what, &rule.origin, only.origin.to_string(), "as much"),
                origin: rule.origin.clone(),
            });
        }
        for (origin, (first, count)) in presets {
            let preset = origin.preset.as_deref().unwrap_or_default();
            let what = format!("the preset \"{preset}\"");
            let hosts = format!("{count} of its hosts, \"{first}\" the first of them");
            self.rules.push(Beyond {
                suggestion: Beyond::REMOVE,
                text: preset.to_owned(),
                message: beyond(&what, origin, only.origin.to_string(), &hosts),
                origin: origin.clone(),
            });
        }
    }
}

fn beyond(what: &str, origin: &Origin, only: String, missed: &str) -> String {
    format!(
        "{what} of the {} goes beyond the requirements: they say managed_allowed_domains_only \
         ({only}), and no line of theirs allows {missed}",
        origin.layer.text()
    )
}
