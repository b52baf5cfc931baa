//! Which line each key comes from.
use super::settings::Effective;
use crate::policy::{Mode, Origin};

macro_rules! origins {
    ($effective:ident, $list:ident: $($name:literal = $($path:ident).+ $(, narrow $narrow:expr)?;)+) => {
        $({
            let closes = |_value: &_| true $(&& *_value == $narrow)?;
            let written = $effective.written(|network| &network.$($path).+, closes);
            $list.extend(written.map(|written| ($name, written.origin.clone())));
        })+
    };
}

impl Effective<'_> {
    /// By the key, `dns.` and `upstream.` before those of these tables; keys that no file writes
    /// are left out.
    pub(super) fn origins(&self) -> Vec<(&'static str, Origin)> {
        let mut list = Vec::new();
        origins!(self, list:
            "network_access" = network_access, narrow false;
            "enabled" = enabled, narrow true;
            "mode" = mode, narrow Mode::Limited;
            "allow_local_binding" = allow_local_binding, narrow false;
            "allow_own_loopback" = allow_own_loopback, narrow false;
            "allow_inbound" = allow_inbound, narrow false;
            "allow_upstream_proxy" = allow_upstream_proxy, narrow false;
            "enable_socks5" = enable_socks5, narrow false;
            "enable_socks5_udp" = enable_socks5_udp, narrow false;
            "proxy_url" = proxy_url;
            "socks_url" = socks_url;
            "proxy_env" = proxy_env;
            "dangerously_allow_non_loopback_proxy" = dangerously_allow_non_loopback_proxy, narrow false;
            "dangerously_allow_all_unix_sockets" = dangerously_allow_all_unix_sockets, narrow false;
            "unix_enforcement" = unix_required, narrow true;
            "ech" = allow_ech, narrow false;
            "drain" = drain;
            "dns.servers" = dns.servers;
            "dns.forward" = dns.forward;
            "dns.timeout" = dns.timeout;
            "dns.min_ttl" = dns.min_ttl;
            "dns.max_ttl" = dns.max_ttl;
            "dns.record_types" = dns.record_types;
            "dns.refusal" = dns.refusal;
            "dns.dnssec" = dns.dnssec, narrow true;
            "upstream.url" = upstream.url;
            "upstream.no_proxy" = upstream.no_proxy;
            "upstream.resolve" = upstream.resolve_at_proxy, narrow false;
        );
        list
    }
}
