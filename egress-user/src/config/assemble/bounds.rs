//! Requirements: what a lower layer may not go beyond.
//!
//! Only keys that requirements write constrain. A switch that they close stays closed, a value that
//! they write stays, and with `managed_allowed_domains_only` what others allow must be covered by a
//! rule of theirs. What tries more is an error that names both layers.
//!
//! Each file of requirements bounds every file below it, other requirements among them: whoever
//! may name files on the command line must not be able to make one of them an equal of the
//! machine's.
use super::{LayerText, sources::Beyond};
use crate::{
    config::{
        ConfigError, ConfigErrors, NetworkWritten, Written,
        keys::{Keys, Table},
        values::Value,
    },
    policy::{Action, Ech},
};

mod domains;

/// What goes beyond, in keys and in rules.
pub(super) struct Bounds {
    keys: Keys,
    pub(super) errors: ConfigErrors,
    pub(super) rules: Vec<Beyond>,
}

impl Bounds {
    /// Of the keys of this table; nothing was checked yet.
    pub(super) fn new(keys: Keys) -> Self {
        Self { keys, errors: ConfigErrors::default(), rules: Vec::new() }
    }

    /// Reports whatever goes beyond; both the highest first.
    pub(super) fn check(&mut self, requirements: &[NetworkWritten], lower: &[NetworkWritten]) {
        for (height, bound) in requirements.iter().enumerate() {
            let below: Vec<_> = requirements.iter().skip(height + 1).chain(lower).collect();
            self.settings(bound, &below);
            self.sockets(bound, &below);
            self.ech(bound, &below);
            self.domains(bound, requirements.get(..=height).unwrap_or_default(), &below);
        }
        self.misplaced(lower);
    }

    /// Reports keys alone.
    pub(super) fn settings(&mut self, bound: &NetworkWritten, below: &[&NetworkWritten]) {
        for key in self.keys.settings() {
            let Some(bound) = bound.values.get(key) else { continue };
            for tried in below.iter().filter_map(|layer| layer.values.get(key)) {
                if key.bound.is_beyond(&bound.value, &tried.value) {
                    let (own, by) = (tried.origin.layer.text(), bound.origin.layer.text());
                    let path = key.path();
                    let message =
                        format!("{path} of the {own} goes beyond the {by} ({})", bound.origin);
                    self.report(tried, message, "remove the line");
                }
            }
        }
    }

    /// Where requirements refuse Encrypted ClientHello, no rule of others lets it pass.
    fn ech(&mut self, bound: &NetworkWritten, below: &[&NetworkWritten]) {
        let Some(written) = bound.values.find(Table::Network, "ech") else { return };
        if written.value != Value::Word("refuse") {
            return;
        }
        let rules = below.iter().flat_map(|layer| &layer.rules);
        for rule in rules.filter(|rule| rule.options.ech == Some(Ech::Allow)) {
            self.rules.push(Beyond {
                suggestion: Beyond::REMOVE,
                text: rule.text.clone(),
                message: format!(
                    "ech = \"allow\" of \"{}\" of the {} goes beyond the {} ({})",
                    rule.text,
                    rule.origin.layer.text(),
                    written.origin.layer.text(),
                    written.origin,
                ),
                origin: rule.origin.clone(),
            });
        }
    }

    /// Where requirements list sockets, others allow none besides.
    fn sockets(&mut self, bound: &NetworkWritten, below: &[&NetworkWritten]) {
        let listed = || bound.unix_rules.iter().filter(|rule| rule.action == Action::Allow);
        let Some(first) = listed().next() else { return };
        let list = format!("the sockets of the requirements (from {} on)", first.origin);
        for layer in below {
            for rule in layer.unix_rules.iter().filter(|rule| rule.action == Action::Allow) {
                if !listed().any(|bound| bound.address == rule.address) {
                    self.rules.push(Beyond {
                        suggestion: Beyond::REMOVE,
                        text: rule.text.clone(),
                        message: format!(
                            "\"{}\" of the {} goes beyond {list}",
                            rule.text,
                            rule.origin.layer.text()
                        ),
                        origin: rule.origin.clone(),
                    });
                }
            }
            const ALL: &str = "dangerously_allow_all_unix_sockets";
            let Some(all) = layer.values.find(Table::Network, ALL) else { continue };
            // Where the bound has this key too, that was compared already.
            if all.value == Value::Boolean(true) && bound.values.find(Table::Network, ALL).is_none()
            {
                let message = format!(
                    "dangerously_allow_all_unix_sockets of the {} goes beyond {list}",
                    all.origin.layer.text()
                );
                self.report(all, message, "remove the line");
            }
        }
    }

    fn misplaced(&mut self, lower: &[NetworkWritten]) {
        for key in self.keys.settings().filter(|key| key.is_for_requirements) {
            for written in lower.iter().filter_map(|layer| layer.values.get(key)) {
                let message = format!(
                    "{} in the {} bounds nobody: it belongs in requirements",
                    key.path(),
                    written.origin.layer.text()
                );
                let suggestion = "write it in /etc/egress/requirements.toml, or remove it";
                self.report(written, message, suggestion);
            }
        }
    }

    fn report<T>(&mut self, written: &Written<T>, message: String, suggestion: &str) {
        let file = written.origin.file.to_string();
        let (place, suggestion) = (written.place.clone(), suggestion.to_owned());
        self.errors.push(ConfigError { file, place, message, suggestion });
    }
}
