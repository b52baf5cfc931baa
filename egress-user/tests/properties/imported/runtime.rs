//! sandbox-runtime's JSON.
use std::{cell::Cell, net::IpAddr};

use ipnet::IpNet;

use super::*;

#[derive(Clone, Debug)]
struct Settings {
    allowed: Vec<String>,
    denied: Vec<String>,
    resolved: Vec<&'static str>,
    opaque: bool,
    /// Below `sandbox`, with the lists as rules of the program's permissions.
    as_rules: bool,
}

fn settings() -> impl Strategy<Value = Settings> {
    let denied =
        prop_oneof![4 => pattern(), 1 => Just("*:22".to_owned()), 1 => Just("*:443".to_owned())];
    let blocks = vec!["93.184.216.0/24", "10.0.0.0/8", "::1", "93.184.216.34"];
    (
        patterns(),
        prop::collection::vec(denied, 0..3),
        prop::collection::vec(prop::sample::select(blocks), 0..2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(allowed, denied, resolved, opaque, as_rules)| Settings {
            allowed,
            denied,
            resolved,
            opaque,
            as_rules,
        })
}

impl Settings {
    fn text(&self) -> String {
        let Self { allowed, denied, resolved, opaque, as_rules } = self;
        let mut network = serde_json::json!({
            "deniedResolvedAddresses": resolved,
            "refuseOpaqueTunnels": opaque,
        });
        if !as_rules {
            network["allowedDomains"] = allowed.clone().into();
            network["deniedDomains"] = denied.clone().into();
            return serde_json::json!({ "network": network }).to_string();
        }
        let rules = |list: &[String]| -> Vec<String> {
            list.iter().map(|host| format!("WebFetch(domain:{host})")).collect()
        };
        serde_json::json!({
            "permissions": { "allow": rules(allowed), "deny": rules(denied) },
            "sandbox": { "network": network },
        })
        .to_string()
    }

    fn allows(&self, asked: Asked) -> bool {
        let matches = |list: &[String]| list.iter().any(|entry| matches(entry, asked));
        let is_denied = match asked.bare().parse::<IpAddr>() {
            Ok(_) => false,
            // The address that the name resolves to.
            Err(_) if asked.host == "localhost" => false,
            Err(_) => {
                let address: IpAddr = ADDRESS.parse().unwrap();
                let in_block = |block: &&str| match block.parse::<IpNet>() {
                    Ok(block) => block.contains(&address),
                    Err(_) => block.parse() == Ok(address),
                };
                self.resolved.iter().any(in_block)
            }
        };
        let allowed: Vec<_> =
            self.allowed.iter().filter(|entry| is_valid(entry)).cloned().collect();
        !matches(&self.denied) && matches(&allowed) && !is_denied
    }
}

/// The port behind a host, as the program splits it.
fn split(entry: &str) -> (String, Option<u16>) {
    let port = |text: &str| text.parse::<u16>().ok().filter(|_| !text.starts_with(['0', '+']));
    let canonical = |address: &str| match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => address.to_owned(),
    };
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(text) => (canonical(address), port(text)),
            None => (canonical(address), None),
        };
    }
    match entry.split_once(':') {
        Some((host, text)) if !text.contains(':') && port(text).is_some() => {
            (host.to_owned(), port(text))
        }
        Some((_, text)) if text.contains(':') => (canonical(entry), None),
        _ => (entry.to_owned(), None),
    }
}

/// What the schema takes as an allow.
fn is_valid(entry: &str) -> bool {
    let (host, _) = split(entry);
    if entry.matches(':').count() > 1 && !entry.starts_with('[') {
        return false;
    }
    match host.strip_prefix("*.") {
        _ if host.parse::<std::net::Ipv6Addr>().is_ok() => true,
        _ if host.contains([':', '/']) => false,
        Some(base) => base.contains('.') && base.split('.').all(|label| !label.is_empty()),
        None if host.contains('*') => false,
        None if host == "localhost" => true,
        None => host.contains('.') && !host.starts_with('.') && !host.ends_with('.'),
    }
}

fn matches(entry: &str, asked: Asked) -> bool {
    let (pattern, port) = split(entry);
    let (pattern, host) = (pattern.to_lowercase(), asked.bare());
    if port.is_some_and(|port| port != asked.port) {
        return false;
    }
    match pattern.strip_prefix("*.") {
        _ if pattern == "*" => true,
        Some(base) => host.parse::<IpAddr>().is_err() && host.ends_with(&format!(".{base}")),
        None => host == pattern,
    }
}

#[test]
fn sandbox_runtime_is_never_wider_here() {
    let passed = Cell::new(0);
    proptest!(|(settings in settings())| {
        let count = hold(&settings.text(), None, |asked| settings.allows(asked));
        passed.set(passed.get() + count);
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}
