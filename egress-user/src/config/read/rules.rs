//! `[network.domains]` and `[network.addresses]`.
use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue},
};

use super::{Node, Reader, in_order};
use crate::{
    config::{
        NetworkWritten,
        keys::{ReadPattern, Table},
        value,
    },
    policy::{Action, Ech, Pattern, PatternError, Route, Rule, RuleOptions, Transport},
};

impl Reader<'_> {
    pub(super) fn rules(
        &mut self,
        network: &mut NetworkWritten,
        name: &str,
        node: Node<'_, '_>,
        parse: ReadPattern,
    ) {
        if let Some(array) = node.get_ref().as_array() {
            let is_heading = array.iter().any(|entry| entry.get_ref().is_table());
            let suggestion = match is_heading {
                true => format!("write [network.{name}], with one bracket on each side"),
                false => format!("write [network.{name}] and below it {}", line_of(array)),
            };
            let message = format!("{name} is a table with a line for each host, not a list");
            return self.report(node.span(), PatternError::new(message, suggestion));
        }
        let Some(table) = self.table(node) else { return };
        network.rules.reserve(table.len());
        for (key, node) in in_order(table) {
            let written = match node.get_ref() {
                DeValue::Array(array) => {
                    let suggestion = format!("write {}", line_of(array));
                    let error = PatternError::new("each host has a line of its own", suggestion);
                    self.report(key.span(), error);
                    continue;
                }
                DeValue::Table(table) => {
                    let written = self.rule_table(key, table);
                    if let Some((action, options)) = &written
                        && let Ok(pattern) = parse(key.get_ref(), *action)
                    {
                        self.resolved(table, &pattern, options);
                    }
                    written
                }
                _ => self.value(node, value::action).map(|action| (action, RuleOptions::default())),
            };
            // The pattern is looked at even if the action is wrong: both errors are reported.
            let action = written.as_ref().map_or(Action::Allow, |(action, _)| *action);
            let text = key.get_ref();
            match (parse(text, action), written) {
                (Ok(pattern), Some((action, options))) => {
                    let origin = self.origin(&key.span());
                    let text = text.clone().into_owned();
                    network.rules.push(Rule { text, pattern, action, options, origin });
                }
                (Ok(_), None) => {}
                (Err(error), _) => self.report(key.span(), error),
            }
        }
    }

    /// `{ action = "allow", ports = [443] }`.
    fn rule_table(
        &mut self,
        pattern: &Spanned<DeString<'_>>,
        table: &DeTable<'_>,
    ) -> Option<(Action, RuleOptions)> {
        let Some(action) = table.get("action") else {
            if self.source.is_dotted(&pattern.span()) {
                self.bare_names(pattern.get_ref(), table);
                return None;
            }
            self.known(table, Table::Rule);
            if self.has_slips {
                return None;
            }
            let error = PatternError::new(
                format!("the rule {:?} has no action", pattern.get_ref()),
                "write action = \"allow\" in it",
            );
            self.report(pattern.span(), error);
            return None;
        };
        let action = self.value(action, value::action);
        let mut options = RuleOptions::default();
        for (key, node) in self.known(table, Table::Rule) {
            if action == Some(Action::Deny) && key.get_ref() != "action" {
                let error = PatternError::new(
                    "a deny closes every port and protocol of the host, and takes no options",
                    format!("remove {}", key.get_ref()),
                );
                self.report(key.span(), error);
                continue;
            }
            let Some(known) = self.keys.find(Table::Rule, key.get_ref()) else { continue };
            if let Some(option) = known.option
                && let Some(value) = self.value_of(known, node)
            {
                (option.set)(&mut options, value);
            }
        }
        self.contradictions(table, &options);
        action.map(|action| (action, options))
    }

    /// `example.com = "allow"`: to TOML a key `com` in a table `example`.
    fn bare_names(&mut self, above: &str, table: &DeTable<'_>) {
        for (key, node) in in_order(table) {
            let name = format!("{above}.{}", key.get_ref());
            match node.get_ref() {
                DeValue::Table(inner) if inner.get("action").is_none() => {
                    self.bare_names(&name, inner);
                }
                value => {
                    let line = match value.as_str() {
                        Some(action) => format!("\"{name}\" = \"{action}\""),
                        None => format!("\"{name}\""),
                    };
                    let message = format!("the dots of {name} need quotes");
                    let span = self.source.line_until(&key.span());
                    self.report(span, PatternError::new(message, format!("write {line}")));
                }
            }
        }
    }

    /// `resolves_to` of what is no name, or of every name.
    fn resolved(&mut self, table: &DeTable<'_>, pattern: &Pattern, options: &RuleOptions) {
        let Some(node) = table.get("resolves_to").filter(|_| !options.resolves_to.is_empty())
        else {
            return;
        };
        let (message, fix) = match pattern {
            Pattern::Any => (
                "resolves_to would open addresses inside to every name, whoever has it",
                "write it to a rule of the names that are meant: \"*.corp.example\"",
            ),
            Pattern::Exact(name) if name.is_localhost() => {
                ("localhost is never looked up", "remove resolves_to")
            }
            pattern if pattern.is_address() => {
                ("an address is not looked up, and resolves to nothing", "remove resolves_to")
            }
            _ => return,
        };
        self.report(node.span(), PatternError::new(message, fix));
    }

    /// Options that cannot hold together.
    fn contradictions(&mut self, table: &DeTable<'_>, options: &RuleOptions) {
        if options.via == Some(Route::Kernel)
            && options.ech.is_some()
            && let Some(node) = table.get("via")
        {
            let message = "the kernel judges ECH by [network] alone, and this rule has its own ech";
            self.report(node.span(), PatternError::new(message, "remove via, or ech"));
        }
        let reads = [("methods", options.methods.is_some()), ("paths", options.paths.is_some())];
        let Some((key, _)) = reads.into_iter().find(|(_, written)| *written) else { return };
        let mut report = |option: &str, what: &str, fix: String| {
            let Some(node) = table.get(option) else { return };
            let message = format!("{what}, and {key} are of HTTP requests");
            self.report(node.span(), PatternError::new(message, fix));
        };
        let remove = |option: &str| format!("remove {option}, or {key}");
        if options.transport.as_ref().is_some_and(|list| !list.contains(&Transport::Tcp)) {
            report("transport", "UDP carries no HTTP requests", remove("transport"));
        }
        if options.any_protocol {
            report("protocol", "\"any\" lets every payload pass", remove("protocol"));
        }
        if options.ech == Some(Ech::Allow) {
            report("ech", "it lets TLS pass, of which no request can be read", remove("ech"));
        }
        if options.via == Some(Route::Kernel) {
            report("via", "the kernel reads no requests", remove("via"));
        }
    }
}

/// A rule of the first text in such a list.
fn line_of(array: &DeArray<'_>) -> String {
    let host = array.iter().find_map(|entry| entry.get_ref().as_str()).unwrap_or("example.com");
    format!("{host:?} = \"allow\"")
}
