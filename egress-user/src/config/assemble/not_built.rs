//! Lines that mean something in the language, and that `egress run` of this version cannot hold.
use std::net::{Ipv4Addr, SocketAddr};

use super::settings::Effective;
use crate::{
    config::{ListenUrl, NetworkWritten, Warning, Written},
    policy::{Origin, UnixRule},
};

type Pick<T> = fn(&NetworkWritten) -> &Option<Written<T>>;

/// Keys with another value than their default, each with what to do.
pub(super) fn keys(effective: &Effective<'_>) -> Vec<Warning> {
    let mut list = Vec::new();
    let mut add = |origin: &Origin, message: String| {
        list.push(Warning { message, origin: origin.clone() });
    };
    let switches: [(&str, Pick<bool>); 6] = [
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
    for (key, written, is_default) in listeners(effective) {
        if !is_default {
            add(&written.origin, format!("{key}: {NO_LISTENERS}; remove it"));
        }
    }
    if let Some(written) = effective.written(|n| &n.upstream.url, |_| true) {
        add(&written.origin, not_built("upstream.url"));
    }
    if let Some(written) = effective.written(|n| &n.upstream.no_proxy, |_| true)
        && !written.value.is_empty()
    {
        add(&written.origin, not_built("upstream.no_proxy"));
    }
    list
}

const NO_LISTENERS: &str =
    "explicit listeners are not built yet, and programs need no proxy setting";

/// Keys with their default, which ask for nothing that others do not get: a warning will do.
pub(super) fn defaults(effective: &Effective<'_>) -> impl Iterator<Item = Warning> {
    let written = listeners(effective).into_iter().filter(|(.., is_default)| *is_default);
    written.map(|(key, written, _)| Warning {
        message: format!("{key} has no effect: {NO_LISTENERS}"),
        origin: written.origin.clone(),
    })
}

fn listeners<'a>(
    effective: &'a Effective<'_>,
) -> Vec<(&'static str, &'a Written<ListenUrl>, bool)> {
    let urls: [(_, Pick<ListenUrl>, u16); 2] =
        [("proxy_url", |n| &n.proxy_url, 3128), ("socks_url", |n| &n.socks_url, 8081)];
    let mut list = Vec::new();
    for (key, pick, port) in urls {
        let written = effective.written(pick, |_| true);
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        list.extend(written.map(|written| (key, written, written.value.address == default)));
    }
    list
}

/// Rules of such kinds.
pub(super) fn rules(unix_rules: &[UnixRule]) -> impl Iterator<Item = Warning> + '_ {
    // Denies too: whoever writes one counts on it.
    unix_rules.iter().map(|rule| Warning {
        message: format!(
            "\"{}\": rules for unix sockets are not enforced yet; remove it",
            rule.text
        ),
        origin: rule.origin.clone(),
    })
}

fn not_built(key: &str) -> String {
    format!("{key} is not built yet; remove it")
}
