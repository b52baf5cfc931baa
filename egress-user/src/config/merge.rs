//! Putting what two places say into one.
use std::sync::Arc;

use super::{DnsWritten, Loaded, NetworkWritten, UpstreamWritten};
use crate::policy::Layer;

macro_rules! fill {
    ($into:ident, $from:ident: $($key:ident),+ $(,)?) => {
        $(if $into.$key.is_none() { $into.$key = $from.$key; })+
    };
}

macro_rules! label {
    ($written:expr, $layer:ident, $profile:ident: $($key:ident),+ $(,)?) => {
        $(if let Some(key) = &mut $written.$key {
            key.origin.layer = $layer;
            key.origin.profile = $profile.cloned();
        })+
    };
}

impl Loaded {
    /// Says of every line whose it is.
    pub(super) fn belong_to(&mut self, layer: Layer) {
        self.layer = layer;
        self.network.belong_to(layer, None);
        for profile in &mut self.profiles {
            profile.network.belong_to(layer, Some(&profile.name));
            profile.origin.layer = layer;
            if let Some(extends) = &mut profile.extends {
                extends.origin.layer = layer;
            }
        }
        if let Some(profile) = &mut self.default_profile {
            profile.origin.layer = layer;
        }
        for attach in &mut self.attach {
            attach.cgroup.origin.layer = layer;
            attach.profile.origin.layer = layer;
        }
    }
}

impl NetworkWritten {
    fn belong_to(&mut self, layer: Layer, profile: Option<&Arc<str>>) {
        label!(self, layer, profile:
            network_access, enabled, mode, allow_local_binding, allow_own_loopback, allow_inbound,
            allow_upstream_proxy, enable_socks5, enable_socks5_udp, proxy_url, socks_url, proxy_env,
            dangerously_allow_non_loopback_proxy, dangerously_allow_all_unix_sockets, unix_required,
            allow_ech, drain, managed_allowed_domains_only, presets);
        label!(self.dns, layer, profile:
            servers, forward, timeout, min_ttl, max_ttl, record_types, refusal, dnssec);
        label!(self.upstream, layer, profile: url, no_proxy, resolve_at_proxy);
        for rule in &mut self.rules {
            rule.origin.layer = layer;
        }
        for rule in &mut self.unix_rules {
            rule.origin.layer = layer;
        }
    }

    /// Adds the rules of `other`, those of its presets among them, and of its keys those that are
    /// not written here.
    pub(super) fn fill_from(&mut self, other: Self) {
        fill!(self, other:
            network_access, enabled, mode, allow_local_binding, allow_own_loopback, allow_inbound,
            allow_upstream_proxy, enable_socks5, enable_socks5_udp, proxy_url, socks_url, proxy_env,
            dangerously_allow_non_loopback_proxy, dangerously_allow_all_unix_sockets, unix_required,
            allow_ech, drain, managed_allowed_domains_only);
        // The first file's rules move in one piece.
        if self.rules.is_empty() {
            self.rules = other.rules;
        } else {
            self.rules.extend(other.rules);
        }
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
