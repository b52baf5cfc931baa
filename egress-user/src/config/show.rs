//! The effective policy: what layers, profiles, presets and flags come to, line by line.
//!
//! As a file it reads back as the same policy, with two exceptions: a password of an upstream proxy
//! is left out, and what is not written is written with its default.
use std::{cmp::Reverse, collections::HashSet, net::SocketAddr, time::Duration};

use self::line::{Line, Value};
use super::{Assembled, DnsServer, Forward, ListenUrl, RecordType, RefusalCode};
use crate::policy::{Action, Name, Origin, PortSet, Rule, RuleOptions, UnixAddress, UnixRule};

mod line;

/// The policy as a file; with `origins`, each line with where it comes from.
pub fn show(assembled: &Assembled, origins: bool) -> String {
    line::toml(&lines(assembled), origins)
}

/// The policy as a list: table, key or pattern, value, and the origin, null for a default.
pub fn show_json(assembled: &Assembled) -> serde_json::Value {
    line::json(&lines(assembled))
}

fn lines(assembled: &Assembled) -> Vec<Line<'_>> {
    let mut page = Page { lines: Vec::new(), assembled };
    page.network();
    page.dns();
    page.upstream();
    page.rules("network.domains", false);
    page.rules("network.addresses", true);
    page.unix_sockets();
    page.lines
}

struct Page<'a> {
    lines: Vec<Line<'a>>,
    assembled: &'a Assembled,
}

impl Page<'_> {
    fn network(&mut self) {
        let settings = self.assembled.policy.settings();
        let network = &self.assembled.network;
        let listen = |url: &Option<ListenUrl>| url.as_ref().map(|url| text(&url.text));
        for (key, value) in [
            ("network_access", Some(Value::Switch(settings.network_access))),
            ("enabled", Some(Value::Switch(settings.enabled))),
            ("mode", Some(text(settings.mode.as_str()))),
            ("allow_local_binding", Some(Value::Switch(settings.allow_local_binding))),
            ("allow_own_loopback", Some(Value::Switch(network.allow_own_loopback))),
            ("allow_inbound", Some(Value::Switch(network.allow_inbound))),
            ("allow_upstream_proxy", Some(Value::Switch(network.allow_upstream_proxy))),
            ("enable_socks5", Some(Value::Switch(network.enable_socks5))),
            ("enable_socks5_udp", Some(Value::Switch(network.enable_socks5_udp))),
            ("proxy_url", listen(&network.proxy_url)),
            ("socks_url", listen(&network.socks_url)),
            ("proxy_env", Some(Value::Switch(network.proxy_env))),
            (
                "dangerously_allow_non_loopback_proxy",
                Some(Value::Switch(network.dangerously_allow_non_loopback_proxy)),
            ),
            ("dangerously_allow_all_unix_sockets", Some(Value::Switch(settings.all_unix_sockets))),
            (
                "unix_enforcement",
                Some(text(if network.unix_required { "required" } else { "off" })),
            ),
            ("ech", Some(text(if settings.allow_ech { "allow" } else { "refuse" }))),
            ("drain", Some(time(network.drain))),
        ] {
            if let Some(value) = value {
                self.key("network", key, value);
            }
        }
    }

    fn dns(&mut self) {
        const TABLE: &str = "network.dns";
        let dns = &self.assembled.dns;
        self.key(TABLE, "servers", list(dns.servers.iter().map(server)));
        if !dns.forward.is_empty() {
            let one = |forward: &Forward| {
                (forward.domain.to_string(), list(forward.servers.iter().map(server)))
            };
            self.key(TABLE, "forward", Value::Table(dns.forward.iter().map(one).collect()));
        }
        self.key(TABLE, "timeout", time(dns.timeout));
        self.key(TABLE, "min_ttl", time(dns.min_ttl));
        self.key(TABLE, "max_ttl", time(dns.max_ttl));
        let types = dns.record_types.iter();
        let types = types.map(|RecordType(number)| text(&format!("TYPE{number}")));
        self.key(TABLE, "record_types", list(types));
        let refusal = if dns.refusal == RefusalCode::Refused { "refused" } else { "nxdomain" };
        self.key(TABLE, "refusal", text(refusal));
        self.key(TABLE, "dnssec", Value::Switch(dns.dnssec));
    }

    fn upstream(&mut self) {
        const TABLE: &str = "network.upstream";
        let network = &self.assembled.network;
        if let Some(url) = &network.upstream {
            self.key(TABLE, "url", text(&without_password(&url.text)));
        }
        // Without a proxy the rest is of interest only where somebody wrote it.
        let by_default = network.no_proxy.is_empty() && !network.resolve_at_proxy;
        if network.upstream.is_some() || !by_default {
            self.key(TABLE, "no_proxy", list(network.no_proxy.iter().map(|host| text(host))));
            let resolve = if network.resolve_at_proxy { "proxy" } else { "local" };
            self.key(TABLE, "resolve", text(resolve));
        }
    }

    /// The highest layer first, file by file as written; the lines of a preset by pattern.
    fn rules(&mut self, table: &'static str, addresses: bool) {
        let rules = self.assembled.policy.rules();
        let mut rules: Vec<&Rule> = rules
            .map(|rule| &**rule)
            .filter(|rule| rule.pattern.is_address() == addresses)
            .collect();
        let place = |rule: &&Rule| {
            let Origin { file, line, layer, profile, preset } = rule.origin.clone();
            (Reverse(layer), file, profile, preset, line, rule.pattern.to_string())
        };
        rules.sort_by_cached_key(place);
        self.lines.extend(rules.into_iter().map(|rule| Line {
            table,
            key: rule.pattern.to_string(),
            value: value(rule),
            origin: Some(&rule.origin),
        }));
    }

    fn unix_sockets(&mut self) {
        // A deny and an allow of one socket are a deny.
        let mut rules: Vec<&UnixRule> = self.assembled.policy.unix_rules().iter().collect();
        rules.sort_by_key(|rule| rule.action == Action::Allow);
        let mut known = HashSet::new();
        for rule in rules.into_iter().filter(|rule| known.insert(&rule.address)) {
            let address = rule.address.to_string();
            // A link may lead to what no file can write.
            let reads_back = UnixAddress::parse(&address).as_ref() == Ok(&rule.address);
            self.lines.push(Line {
                table: "network.unix_sockets",
                key: if reads_back { address } else { rule.text.clone() },
                value: text(rule.action.as_str()),
                origin: Some(&rule.origin),
            });
        }
    }

    fn key(&mut self, table: &'static str, key: &str, value: Value) {
        let name = match table.strip_prefix("network.") {
            Some(inner) => format!("{inner}.{key}"),
            None => key.to_owned(),
        };
        let origins = &self.assembled.origins;
        let origin = origins.iter().find(|(known, _)| **known == name).map(|(_, origin)| origin);
        self.lines.push(Line { table, key: key.to_owned(), value, origin });
    }
}

fn value(rule: &Rule) -> Value {
    let action = text(rule.action.as_str());
    if rule.options == RuleOptions::default() {
        return action;
    }
    let RuleOptions { ports, transport, any_protocol, methods, paths, via } = &rule.options;
    let mut fields = vec![("action".to_owned(), action)];
    let mut field = |key: &str, value| fields.push((key.to_owned(), value));
    if let PortSet::Only(ports) = ports {
        field("ports", list(ports.iter().map(|&port| Value::Number(port))));
    }
    if let Some(transport) = transport {
        field("transport", list(transport.iter().map(|one| text(one.as_str()))));
    }
    if *any_protocol {
        field("protocol", text("any"));
    }
    for (key, words) in [("methods", methods), ("paths", paths)] {
        if let Some(words) = words {
            field(key, list(words.iter().map(|word| text(word))));
        }
    }
    if let Some(via) = via {
        field("via", text(via.as_str()));
    }
    Value::Table(fields)
}

fn server(server: &DnsServer) -> Value {
    let of =
        |name: &Option<Name>| name.as_ref().map_or_else(String::new, |name| format!("#{name}"));
    let plain = SocketAddr::to_string;
    Value::Text(match server {
        DnsServer::System => "system".to_owned(),
        DnsServer::Address(address) => plain(address),
        DnsServer::Tls { address, name } => format!("tls://{}{}", plain(address), of(name)),
        DnsServer::Https { address, name, path } => {
            format!("https://{}{path}{}", plain(address), of(name))
        }
    })
}

fn time(time: Duration) -> Value {
    Value::Text(match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    })
}

fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => url.to_owned(),
        },
        None => String::new(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::List(items.collect())
}

#[cfg(test)]
mod tests;
