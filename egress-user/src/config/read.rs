//! From the tree of a TOML file to [`Loaded`].
use std::{ops::Range, sync::Arc, time::Duration};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    ConfigError, ConfigErrors, DnsWritten, Loaded, NetworkWritten, Written,
    error::Source,
    schema::{self, Key, Table},
    value,
};
use crate::policy::{Action, Origin, Pattern, PatternError, PortSet, Rule, RuleOptions, Transport};

pub(super) fn read(text: &str, file_name: &str) -> Result<Loaded, ConfigErrors> {
    let source = Source::new(text, file_name);
    let mut reader = Reader { source, file: file_name.into(), errors: ConfigErrors::default() };
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    for error in &syntax_errors {
        let message = error.message().trim().replace('\n', ", ");
        reader.report(error.span().unwrap_or(0..0), PatternError::new(message, ""));
    }
    // What stands after an error of syntax may be read as something that nobody wrote.
    let loaded = syntax_errors.is_empty().then(|| reader.file(root.get_ref()));
    reader.errors.sort();
    match loaded {
        Some(loaded) if reader.errors.is_empty() => Ok(loaded),
        _ => Err(reader.errors),
    }
}

type Node<'t, 'i> = &'t Spanned<DeValue<'i>>;
type Entry<'t, 'i> = (&'t Spanned<DeString<'i>>, Node<'t, 'i>);

struct Reader<'a> {
    source: Source<'a>,
    file: Arc<str>,
    errors: ConfigErrors,
}

impl Reader<'_> {
    fn file(&mut self, root: &DeTable<'_>) -> Loaded {
        let mut loaded = Loaded::default();
        for (_, network) in self.known(root, &schema::TOP) {
            let Some(network) = self.table(network) else { continue };
            for (key, node) in self.known(network, &schema::NETWORK) {
                self.network_key(&mut loaded.network, key.get_ref(), node);
            }
        }
        loaded
    }

    fn network_key(&mut self, network: &mut NetworkWritten, key: &str, node: Node<'_, '_>) {
        match key {
            "network_access" => network.network_access = self.written(node, value::boolean),
            "enabled" => network.enabled = self.written(node, value::boolean),
            "allow_local_binding" => {
                network.allow_local_binding = self.written(node, value::boolean);
            }
            "dns" => network.dns = self.dns(node),
            "domains" => self.rules(network, node, Pattern::parse_domain),
            "addresses" => self.rules(network, node, |text, _| Pattern::parse_address(text)),
            // The schema names no other key.
            _ => {}
        }
    }

    fn dns(&mut self, node: Node<'_, '_>) -> DnsWritten {
        let mut dns = DnsWritten::default();
        let Some(table) = self.table(node) else { return dns };
        for (key, node) in self.known(table, &schema::DNS) {
            match key.get_ref().as_ref() {
                "servers" => dns.servers = self.written_list(node, value::dns_server),
                "timeout" => dns.timeout = self.written(node, value::duration),
                "min_ttl" => dns.min_ttl = self.written(node, value::duration),
                "max_ttl" => dns.max_ttl = self.written(node, value::duration),
                _ => {}
            }
            if key.get_ref() == "timeout"
                && dns.timeout.as_ref().is_some_and(|time| time.value.is_zero())
            {
                let error = PatternError::new("no lookup is done in no time", "write \"2s\"");
                self.report(node.span(), error);
            }
        }
        let ttl = |written: &Option<Written<Duration>>| written.as_ref().map(|ttl| ttl.value);
        if let (Some(min), Some(max)) = (ttl(&dns.min_ttl), ttl(&dns.max_ttl))
            && min > max
        {
            let error = PatternError::new(
                format!("min_ttl ({min:?}) is more than max_ttl ({max:?})"),
                "write a min_ttl that is at most max_ttl",
            );
            let span = table.get("min_ttl").map_or(node.span(), Spanned::span);
            self.report(span, error);
        }
        dns
    }

    fn rules(
        &mut self,
        network: &mut NetworkWritten,
        node: Node<'_, '_>,
        parse: impl Fn(&str, Action) -> Result<Pattern, PatternError>,
    ) {
        let Some(table) = self.table(node) else { return };
        for (key, node) in in_order(table) {
            let written = match node.get_ref() {
                DeValue::Table(table) => self.rule_table(key, table),
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

    /// `{ action = "allow", ports = [443] }`. Without an action nothing is said about the options:
    /// the table may be a name without quotes.
    fn rule_table(
        &mut self,
        pattern: &Spanned<DeString<'_>>,
        table: &DeTable<'_>,
    ) -> Option<(Action, RuleOptions)> {
        let Some(action) = table.get("action") else {
            let error = PatternError::new(
                format!("the rule {:?} has no action", pattern.get_ref()),
                "write action = \"allow\" in it; a name with dots needs quotes: \"example.com\" = \"allow\"",
            );
            self.report(pattern.span(), error);
            return None;
        };
        let action = self.value(action, value::action);
        let mut options = RuleOptions::default();
        for (key, node) in self.known(table, &schema::RULE) {
            if action == Some(Action::Deny) && key.get_ref() != "action" {
                let error = PatternError::new(
                    "a deny closes every port and protocol of the host, and takes no options",
                    format!("remove {}", key.get_ref()),
                );
                self.report(key.span(), error);
                continue;
            }
            match key.get_ref().as_ref() {
                "ports" => {
                    let ports = self.list(node, value::port);
                    options.ports = PortSet::only(ports.unwrap_or_default());
                }
                "transport" => options.transport = self.list::<Transport>(node, value::transport),
                "protocol" => {
                    options.any_protocol = self.value(node, value::any_protocol).unwrap_or(false);
                }
                _ => {}
            }
        }
        action.map(|action| (action, options))
    }

    /// The entries that this version acts on, in the order of the file; others are reported.
    fn known<'t, 'i>(&mut self, table: &'t DeTable<'i>, schema: &Table) -> Vec<Entry<'t, 'i>> {
        let mut known = Vec::new();
        for (key, node) in in_order(table) {
            let name = key.get_ref();
            let error = match schema.key(name) {
                Key::Built => {
                    known.push((key, node));
                    continue;
                }
                Key::Later => PatternError::new(
                    format!("{name} in {} is not built yet", schema.name),
                    "remove it: this version would not act on it",
                ),
                Key::Unknown(suggestion) => {
                    PatternError::new(format!("{name:?} is no key of {}", schema.name), suggestion)
                }
            };
            self.report(key.span(), error);
        }
        known
    }

    fn table<'t, 'i>(&mut self, node: Node<'t, 'i>) -> Option<&'t DeTable<'i>> {
        let table = node.get_ref().as_table();
        if table.is_none() {
            let kind = node.get_ref().type_str();
            let error = PatternError::new(
                format!("a table is needed here, not a value of type {kind}"),
                "write a heading such as [network.domains] and its keys below",
            );
            self.report(node.span(), error);
        }
        table
    }

    /// A list with at least one entry.
    fn list<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<Vec<T>> {
        let error = match node.get_ref().as_array() {
            Some(array) if !array.is_empty() => {
                // Each entry is read before any error ends the list: all are reported.
                let entries: Vec<_> = array.iter().map(|node| self.value(node, &read)).collect();
                return entries.into_iter().collect();
            }
            Some(_) => PatternError::new("an empty list opens nothing", "leave the key out"),
            None => PatternError::new("a list is needed here", "put it in brackets: [ ]"),
        };
        self.report(node.span(), error);
        None
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::new(self.file.clone(), u32::try_from(self.source.line(span.start)).ok())
    }

    fn written<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<Written<T>> {
        let value = self.value(node, read)?;
        let place = Some(self.source.place(node.span()));
        Some(Written { value, origin: self.origin(&node.span()), place })
    }

    fn written_list<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<Written<Vec<T>>> {
        let value = self.list(node, read)?;
        let place = Some(self.source.place(node.span()));
        Some(Written { value, origin: self.origin(&node.span()), place })
    }

    fn value<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<T> {
        read(node.get_ref()).map_err(|error| self.report(node.span(), error)).ok()
    }

    fn report(&mut self, span: Range<usize>, error: PatternError) {
        let PatternError { message, suggestion } = error;
        let place = Some(self.source.place(span));
        let file = self.source.file.to_owned();
        self.errors.push(ConfigError { file, place, message, suggestion });
    }
}

/// The parser sorts keys by name.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
