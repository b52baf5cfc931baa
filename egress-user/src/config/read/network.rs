//! `[network]`, of a file or of a profile, and the tables in it.
use super::{Node, Reader};
use crate::{
    config::{
        NetworkWritten,
        keys::{Kind, Table},
        value,
    },
    policy::{PatternError, UnixAddress, UnixRule},
};

impl Reader<'_> {
    pub(super) fn network(&mut self, node: Node<'_, '_>) -> NetworkWritten {
        let mut network = NetworkWritten::default();
        self.network_table(&mut network, Table::Network, node);
        network
    }

    fn network_table(&mut self, network: &mut NetworkWritten, of: Table, node: Node<'_, '_>) {
        let Some(table) = self.table(node) else { return };
        for (name, node) in self.known(table, of) {
            let Some(key) = self.keys.find(of, name.get_ref()) else { continue };
            match key.kind {
                Kind::Table(inner) => self.network_table(network, inner, node),
                Kind::Rules(parse) => self.rules(network, key.name, node, parse),
                Kind::UnixRules => network.unix_rules = self.unix_rules(node),
                _ => {
                    if let Some(written) = self.setting(key, node) {
                        network.values.put(key, written);
                    }
                }
            }
        }
        if of == Table::Dns
            && let Some(error) = network.values.ttl_conflict()
        {
            let span = table.get("min_ttl").map_or(node.span(), toml::Spanned::span);
            self.report(span, error);
        }
    }

    fn unix_rules(&mut self, node: Node<'_, '_>) -> Vec<UnixRule> {
        let mut rules = Vec::new();
        let Some(table) = self.table(node) else { return rules };
        for (key, node) in super::in_order(table) {
            let text = key.get_ref();
            let action = self.value(node, value::unix_action);
            // A file may have such a name, but who writes one means something else.
            if text.contains(['*', '?']) {
                let message = format!("{text:?}: the path of a unix socket has no wildcards");
                let error = PatternError::new(message, "write one line for each socket");
                self.report(key.span(), error);
                continue;
            }
            match UnixAddress::parse(text) {
                Ok(address) => rules.extend(action.map(|action| UnixRule {
                    text: text.clone().into_owned(),
                    address,
                    action,
                    origin: self.origin(&key.span()),
                })),
                Err(error) => self.report(key.span(), error),
            }
        }
        rules
    }
}
