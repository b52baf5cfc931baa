//! Lines that mean something in the language, and that `egress run` of this version cannot hold.
use super::settings::Effective;
use crate::{
    config::{NetworkWritten, Warning, Written},
    policy::{Action, DataPath, Origin, Rule},
};

/// Each with what to do.
pub(super) fn list(effective: &Effective<'_>, rules: &[Rule]) -> Vec<Warning> {
    let mut list = Vec::new();
    let mut add = |origin: &Origin, message: String| {
        list.push(Warning { message, origin: origin.clone() });
    };
    let switches: [(&str, fn(&NetworkWritten) -> &Option<Written<bool>>); 6] = [
        ("allow_own_loopback", |n| &n.allow_own_loopback),
        ("allow_inbound", |n| &n.allow_inbound),
        ("proxy_env", |n| &n.proxy_env),
        ("dangerously_allow_non_loopback_proxy", |n| &n.dangerously_allow_non_loopback_proxy),
        ("dangerously_allow_all_unix_sockets", |n| &n.dangerously_allow_all_unix_sockets),
        ("upstream.resolve", |n| &n.upstream.resolve_at_proxy),
    ];
    for (key, pick) in switches {
        if let Some(written) = effective.written(pick, |&value| !value)
            && written.value
        {
            add(&written.origin, not_built(key));
        }
    }
    for (key, pick) in [
        ("proxy_url", (|n| &n.proxy_url) as fn(&NetworkWritten) -> &Option<Written<_>>),
        ("socks_url", |n| &n.socks_url),
    ] {
        if let Some(written) = effective.written(pick, |_| true) {
            let message = format!(
                "{key}: explicit listeners are not built yet; remove it: programs need no proxy \
                 setting"
            );
            add(&written.origin, message);
        }
    }
    if let Some(written) = effective.written(|n| &n.upstream.url, |_| true) {
        add(&written.origin, not_built("upstream.url"));
    }
    for rule in effective.requirements.iter().chain(effective.lower).flat_map(|n| &n.unix_rules) {
        if rule.action == Action::Allow {
            let message = format!(
                "\"{}\": rules for unix sockets are not enforced yet; remove it",
                rule.text
            );
            add(&rule.origin, message);
        }
    }
    for rule in rules.iter().filter(|rule| rule.options.path == Some(DataPath::Kernel)) {
        let message = format!("path = \"kernel\" of \"{}\" is not built yet; remove it", rule.text);
        add(&rule.origin, message);
    }
    list
}

fn not_built(key: &str) -> String {
    format!("{key} is not built yet; remove it")
}
