//! The effective policy as a file: what layers, profiles, presets and flags come to.
//!
//! The file reads back as the same policy, with two exceptions: a password of an upstream proxy is
//! left out, and what is not written is written with its default.
use std::{collections::BTreeSet, fmt::Write, net::SocketAddr, time::Duration};

use super::{Assembled, DnsServer, RecordType, RefusalCode};
use crate::policy::{Origin, PortSet, Rule, RuleOptions, UnixRule};

/// The file; with `origins`, each line with where it comes from.
pub fn show(assembled: &Assembled, origins: bool) -> String {
    let mut page = Page { text: String::new(), assembled, origins };
    page.network();
    page.dns();
    page.upstream();
    page.rules("domains", false);
    page.rules("addresses", true);
    page.unix_sockets();
    page.text
}

struct Page<'a> {
    text: String,
    assembled: &'a Assembled,
    origins: bool,
}

impl Page<'_> {
    fn network(&mut self) {
        let settings = self.assembled.policy.settings();
        let network = &self.assembled.network;
        self.line("[network]");
        let listen = |url: &Option<super::ListenUrl>| url.as_ref().map(|url| quoted(&url.text));
        for (key, value) in [
            ("network_access", Some(settings.network_access.to_string())),
            ("enabled", Some(settings.enabled.to_string())),
            ("mode", Some(quoted(settings.mode.as_str()))),
            ("allow_local_binding", Some(settings.allow_local_binding.to_string())),
            ("allow_own_loopback", Some(network.allow_own_loopback.to_string())),
            ("allow_inbound", Some(network.allow_inbound.to_string())),
            ("allow_upstream_proxy", Some(network.allow_upstream_proxy.to_string())),
            ("enable_socks5", Some(network.enable_socks5.to_string())),
            ("enable_socks5_udp", Some(network.enable_socks5_udp.to_string())),
            ("proxy_url", listen(&network.proxy_url)),
            ("socks_url", listen(&network.socks_url)),
            ("proxy_env", Some(network.proxy_env.to_string())),
            (
                "dangerously_allow_non_loopback_proxy",
                Some(network.dangerously_allow_non_loopback_proxy.to_string()),
            ),
            ("dangerously_allow_all_unix_sockets", Some(settings.all_unix_sockets.to_string())),
            (
                "unix_enforcement",
                Some(quoted(if network.unix_required { "required" } else { "off" })),
            ),
            ("ech", Some(quoted(if settings.allow_ech { "allow" } else { "refuse" }))),
        ] {
            if let Some(value) = value {
                self.key("", key, &value);
            }
        }
    }

    fn dns(&mut self) {
        let dns = &self.assembled.dns;
        self.line("\n[network.dns]");
        self.key("dns.", "servers", &list(dns.servers.iter().map(server)));
        if !dns.forward.is_empty() {
            let one = |forward: &super::Forward| {
                let servers = list(forward.servers.iter().map(server));
                format!("{} = {servers}", quoted(forward.domain.as_str()))
            };
            let all: Vec<_> = dns.forward.iter().map(one).collect();
            self.key("dns.", "forward", &format!("{{ {} }}", all.join(", ")));
        }
        self.key("dns.", "timeout", &time(dns.timeout));
        self.key("dns.", "min_ttl", &time(dns.min_ttl));
        self.key("dns.", "max_ttl", &time(dns.max_ttl));
        let types =
            dns.record_types.iter().map(|RecordType(number)| quoted(&format!("TYPE{number}")));
        self.key("dns.", "record_types", &list(types));
        let refusal = if dns.refusal == RefusalCode::Refused { "refused" } else { "nxdomain" };
        self.key("dns.", "refusal", &quoted(refusal));
        self.key("dns.", "dnssec", &dns.dnssec.to_string());
    }

    fn upstream(&mut self) {
        let network = &self.assembled.network;
        let Some(url) = &network.upstream else { return };
        self.line("\n[network.upstream]");
        self.key("upstream.", "url", &quoted(&without_password(&url.text)));
        self.key("upstream.", "no_proxy", &list(network.no_proxy.iter().map(|host| quoted(host))));
        let resolve = if network.resolve_at_proxy { "proxy" } else { "local" };
        self.key("upstream.", "resolve", &quoted(resolve));
    }

    fn rules(&mut self, table: &str, addresses: bool) {
        let rules = self.assembled.policy.rules();
        let mut rules: Vec<&Rule> = rules
            .map(|rule| &**rule)
            .filter(|rule| rule.pattern.is_address() == addresses)
            .collect();
        if rules.is_empty() {
            return;
        }
        let place = |rule: &&Rule| {
            let Origin { file, line, layer, profile, preset } = rule.origin.clone();
            (std::cmp::Reverse(layer), file, profile, preset, line, rule.pattern.to_string())
        };
        rules.sort_by_cached_key(place);
        self.line(&format!("\n[network.{table}]"));
        // Several lines of one pattern add up, and a table of TOML has each key once: spaces
        // around a pattern are nothing to the reader.
        let mut keys = BTreeSet::new();
        for rule in rules {
            let mut key = rule.pattern.to_string();
            while !keys.insert(key.clone()) {
                key.push(' ');
            }
            let line = format!("{} = {}", quoted(&key), value(rule));
            self.with_origin(&line, Some(&rule.origin));
        }
    }

    fn unix_sockets(&mut self) {
        let rules = self.assembled.policy.unix_rules();
        if rules.is_empty() {
            return;
        }
        self.line("\n[network.unix_sockets]");
        let mut keys = BTreeSet::new();
        // A deny and an allow of one socket are a deny.
        let mut rules: Vec<&UnixRule> = rules.iter().collect();
        rules.sort_by_key(|rule| rule.action == crate::policy::Action::Allow);
        for rule in rules {
            let key = rule.address.to_string();
            if keys.insert(key.clone()) {
                let line = format!("{} = {}", quoted(&key), quoted(rule.action.as_str()));
                self.with_origin(&line, Some(&rule.origin));
            }
        }
    }

    fn key(&mut self, table: &str, key: &str, value: &str) {
        let name = format!("{table}{key}");
        let origins = &self.assembled.origins;
        let origin = origins.iter().find(|(known, _)| **known == name).map(|(_, origin)| origin);
        self.with_origin(&format!("{key} = {value}"), origin);
    }

    fn with_origin(&mut self, line: &str, origin: Option<&Origin>) {
        // Writing to a String does not fail.
        let _ = match (self.origins, origin) {
            (false, _) => writeln!(self.text, "{line}"),
            (true, None) => writeln!(self.text, "{line}  # default"),
            (true, Some(origin)) => writeln!(self.text, "{line}  # {}", place(origin)),
        };
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// `user policy.toml:4, profile ci, preset common-dependencies`.
fn place(origin: &Origin) -> String {
    let mut text = format!("{} {origin}", origin.layer.as_str());
    for (what, name) in [("profile", &origin.profile), ("preset", &origin.preset)] {
        if let Some(name) = name {
            let _ = write!(text, ", {what} {name}");
        }
    }
    // A file's name may hold anything.
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn value(rule: &Rule) -> String {
    let action = quoted(rule.action.as_str());
    if rule.options == RuleOptions::default() {
        return action;
    }
    let RuleOptions { ports, transport, any_protocol, methods, paths, path } = &rule.options;
    let mut fields = vec![format!("action = {action}")];
    if let PortSet::Only(ports) = ports {
        fields.push(format!("ports = {ports:?}"));
    }
    if let Some(transport) = transport {
        let words = transport.iter().map(|one| quoted(one.as_str()));
        fields.push(format!("transport = {}", list(words)));
    }
    if *any_protocol {
        fields.push("protocol = \"any\"".to_owned());
    }
    for (key, words) in [("methods", methods), ("paths", paths)] {
        if let Some(words) = words {
            fields.push(format!("{key} = {}", list(words.iter().map(|word| quoted(word)))));
        }
    }
    if let Some(path) = path {
        fields.push(format!("path = {}", quoted(path.as_str())));
    }
    format!("{{ {} }}", fields.join(", "))
}

fn server(server: &DnsServer) -> String {
    let name = |name: &Option<crate::policy::Name>| {
        name.as_ref().map_or_else(String::new, |name| format!("#{name}"))
    };
    let plain = |address: &SocketAddr| address.to_string();
    quoted(&match server {
        DnsServer::System => "system".to_owned(),
        DnsServer::Address(address) => plain(address),
        DnsServer::Tls { address, name: of } => format!("tls://{}{}", plain(address), name(of)),
        DnsServer::Https { address, name: of, path } => {
            format!("https://{}{path}{}", plain(address), name(of))
        }
    })
}

fn time(time: Duration) -> String {
    match time.subsec_millis() {
        0 => quoted(&format!("{}s", time.as_secs())),
        _ => quoted(&format!("{}ms", time.as_millis())),
    }
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

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// As TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
