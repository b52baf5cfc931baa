//! Putting what two places say into one.
use super::{DnsWritten, NetworkWritten, UpstreamWritten};
use crate::policy::Layer;

macro_rules! fill {
    ($into:ident, $from:ident: $($key:ident),+ $(,)?) => {
        $(if $into.$key.is_none() { $into.$key = $from.$key; })+
    };
}

macro_rules! label {
    ($written:expr, $layer:ident: $($key:ident),+ $(,)?) => {
        $(if let Some(key) = &mut $written.$key { key.origin.layer = $layer; })+
    };
}

impl NetworkWritten {
    /// Says of every line whose it is.
    pub(super) fn belong_to(&mut self, layer: Layer) {
        label!(self, layer:
            network_access, enabled, mode, allow_local_binding, allow_own_loopback, allow_inbound,
            allow_upstream_proxy, enable_socks5, enable_socks5_udp, proxy_url, socks_url, proxy_env,
            dangerously_allow_non_loopback_proxy, dangerously_allow_all_unix_sockets, unix_required,
            allow_ech, managed_allowed_domains_only, presets);
        label!(self.dns, layer:
            servers, forward, timeout, min_ttl, max_ttl, record_types, refusal, dnssec);
        label!(self.upstream, layer: url, no_proxy, resolve_at_proxy);
        for rule in &mut self.rules {
            rule.origin.layer = layer;
        }
        for rule in &mut self.unix_rules {
            rule.origin.layer = layer;
        }
    }

    /// Adds the rules of `other`, and of its keys those that are not written here. Presets add up.
    pub(super) fn fill_from(&mut self, other: Self) {
        match (&mut self.presets, other.presets) {
            (Some(mine), Some(theirs)) => {
                mine.value.extend(theirs.value);
                mine.value.sort_unstable();
                mine.value.dedup();
            }
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
        fill!(self, other:
            network_access, enabled, mode, allow_local_binding, allow_own_loopback, allow_inbound,
            allow_upstream_proxy, enable_socks5, enable_socks5_udp, proxy_url, socks_url, proxy_env,
            dangerously_allow_non_loopback_proxy, dangerously_allow_all_unix_sockets, unix_required,
            allow_ech, managed_allowed_domains_only);
        self.rules.extend(other.rules);
        self.unix_rules.extend(other.unix_rules);
        self.dns.fill_from(other.dns);
        self.upstream.fill_from(other.upstream);
    }
}

impl DnsWritten {
    fn fill_from(&mut self, other: Self) {
        fill!(self, other:
            servers, forward, timeout, min_ttl, max_ttl, record_types, refusal, dnssec);
    }
}

impl UpstreamWritten {
    fn fill_from(&mut self, other: Self) {
        fill!(self, other: url, no_proxy, resolve_at_proxy);
    }
}
