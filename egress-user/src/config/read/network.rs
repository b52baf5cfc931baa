//! `[network]`, of a file or of a profile.
use toml::de::DeValue;

use super::{Node, Reader};
use crate::{
    config::{NetworkWritten, UpstreamWritten, Written, presets, schema, value},
    policy::{Pattern, PatternError, UnixAddress, UnixRule},
};

impl Reader<'_> {
    pub(super) fn network(&mut self, node: Node<'_, '_>) -> NetworkWritten {
        let mut network = NetworkWritten::default();
        let Some(table) = self.table(node) else { return network };
        for (key, node) in self.known(table, schema::NETWORK) {
            let key = key.get_ref().as_ref();
            match key {
                "mode" => network.mode = self.written(node, value::mode),
                "proxy_url" => network.proxy_url = self.written(node, value::proxy_url),
                "socks_url" => network.socks_url = self.written(node, value::socks_url),
                "unix_enforcement" => {
                    network.unix_required = self.written(node, value::unix_enforcement);
                }
                "ech" => network.allow_ech = self.written(node, value::ech),
                "drain" => network.drain = self.written(node, value::duration),
                "presets" => network.presets = self.presets(node),
                "domains" => self.rules(&mut network, key, node, Pattern::parse_domain),
                "addresses" => {
                    self.rules(&mut network, key, node, |text, _| Pattern::parse_address(text));
                }
                "unix_sockets" => network.unix_rules = self.unix_rules(node),
                "dns" => network.dns = self.dns(node),
                "upstream" => network.upstream = self.upstream(node),
                // The schema names no other key but the switches.
                _ => {
                    let written = self.written(node, value::boolean);
                    if let Some(switch) = switch(&mut network, key) {
                        *switch = written;
                    }
                }
            }
        }
        network
    }

    fn presets(&mut self, node: Node<'_, '_>) -> Option<Written<Vec<&'static str>>> {
        let names = self.any_list(node, |value| match value.as_str() {
            Some(name) => presets::find(name).map(|preset| preset.name).ok_or_else(|| {
                PatternError::new(
                    format!("there is no preset {name:?}"),
                    format!("write one of {}", presets::names()),
                )
            }),
            None => Err(PatternError::new("a preset is a text", "write \"common-dependencies\"")),
        })?;
        Some(self.said(names, node))
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

    fn upstream(&mut self, node: Node<'_, '_>) -> UpstreamWritten {
        let mut upstream = UpstreamWritten::default();
        let Some(table) = self.table(node) else { return upstream };
        for (key, node) in self.known(table, schema::UPSTREAM) {
            match key.get_ref().as_ref() {
                "url" => {
                    // What is no URL may be a password all over.
                    if value::upstream_url(node.get_ref()).is_err() {
                        self.source.hide(node.span());
                    }
                    upstream.url = self.written(node, value::upstream_url);
                }
                "no_proxy" => {
                    let hosts = self.any_list(node, value::no_proxy);
                    upstream.no_proxy = hosts.map(|hosts| self.said(hosts, node));
                }
                "resolve" => upstream.resolve_at_proxy = self.written(node, resolve),
                _ => {}
            }
        }
        upstream
    }
}

/// The switch of this name.
fn switch<'n>(network: &'n mut NetworkWritten, key: &str) -> Option<&'n mut Option<Written<bool>>> {
    Some(match key {
        "network_access" => &mut network.network_access,
        "enabled" => &mut network.enabled,
        "allow_local_binding" => &mut network.allow_local_binding,
        "allow_own_loopback" => &mut network.allow_own_loopback,
        "allow_inbound" => &mut network.allow_inbound,
        "allow_upstream_proxy" => &mut network.allow_upstream_proxy,
        "enable_socks5" => &mut network.enable_socks5,
        "enable_socks5_udp" => &mut network.enable_socks5_udp,
        "proxy_env" => &mut network.proxy_env,
        "dangerously_allow_non_loopback_proxy" => &mut network.dangerously_allow_non_loopback_proxy,
        "dangerously_allow_all_unix_sockets" => &mut network.dangerously_allow_all_unix_sockets,
        "managed_allowed_domains_only" => &mut network.managed_allowed_domains_only,
        _ => return None,
    })
}

fn resolve(value: &DeValue<'_>) -> Result<bool, PatternError> {
    value::word(value, "resolve", &[("local", false), ("proxy", true)])
}
