//! Of each key, what holds: the user's value, else the managed default, within the requirements.
use std::time::Duration;

use crate::{
    config::{DnsSettings, NetworkSettings, NetworkWritten, Written},
    policy::{Mode, Settings},
};

/// Every file, the highest first; what goes beyond the requirements was reported before.
pub(super) struct Effective<'a> {
    pub(super) requirements: &'a [NetworkWritten],
    pub(super) lower: &'a [NetworkWritten],
}

/// A key.
pub(super) type Pick<T> = fn(&NetworkWritten) -> &Option<Written<T>>;

impl Effective<'_> {
    /// The line that says so.
    ///
    /// The lowest layer's wins, as managed values are defaults; what requirements close stays
    /// closed, also where nobody tried to open it.
    pub(super) fn written<T>(
        &self,
        pick: Pick<T>,
        closes: impl Fn(&T) -> bool,
    ) -> Option<&Written<T>> {
        let bounds = || self.requirements.iter().filter_map(move |layer| pick(layer).as_ref());
        let lower = self.lower.iter().rev().find_map(|layer| pick(layer).as_ref());
        let closed = bounds().find(|bound| closes(&bound.value));
        closed.or(lower).or_else(|| bounds().next())
    }

    fn value<T: Clone>(&self, pick: Pick<T>) -> Option<T> {
        self.written(pick, |_| true).map(|written| written.value.clone())
    }

    fn switch(&self, pick: Pick<bool>, narrow: bool, default: bool) -> bool {
        self.written(pick, |&value| value == narrow).map_or(default, |written| written.value)
    }

    /// What decisions depend on.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            network_access: self.switch(|n| &n.network_access, false, true),
            enabled: self.switch(|n| &n.enabled, true, true),
            allow_local_binding: self.switch(|n| &n.allow_local_binding, false, false),
            mode: self
                .written(|n| &n.mode, |&mode| mode == Mode::Limited)
                .map_or(Mode::Full, |written| written.value),
            allow_ech: self.switch(|n| &n.allow_ech, false, false),
            all_unix_sockets: self.switch(|n| &n.dangerously_allow_all_unix_sockets, false, false),
        }
    }

    /// What they do not depend on.
    pub(super) fn network(&self) -> NetworkSettings {
        NetworkSettings {
            allow_own_loopback: self.switch(|n| &n.allow_own_loopback, false, false),
            allow_inbound: self.switch(|n| &n.allow_inbound, false, false),
            allow_upstream_proxy: self.switch(|n| &n.allow_upstream_proxy, false, true),
            enable_socks5: self.switch(|n| &n.enable_socks5, false, true),
            enable_socks5_udp: self.switch(|n| &n.enable_socks5_udp, false, true),
            proxy_url: self.value(|n| &n.proxy_url),
            socks_url: self.value(|n| &n.socks_url),
            proxy_env: self.value(|n| &n.proxy_env).unwrap_or(false),
            dangerously_allow_non_loopback_proxy: self.switch(
                |n| &n.dangerously_allow_non_loopback_proxy,
                false,
                false,
            ),
            unix_required: self.switch(|n| &n.unix_required, true, true),
            drain: self.value(|n| &n.drain).unwrap_or(NetworkSettings::default().drain),
            upstream: self.value(|n| &n.upstream.url),
            no_proxy: self.value(|n| &n.upstream.no_proxy).unwrap_or_default(),
            resolve_at_proxy: self.switch(|n| &n.upstream.resolve_at_proxy, false, false),
        }
    }

    /// How names are looked up.
    pub(super) fn dns(&self) -> DnsSettings {
        let default = DnsSettings::default();
        let time = |pick: Pick<Duration>, default| self.value(pick).unwrap_or(default);
        let max_ttl = time(|n| &n.dns.max_ttl, default.max_ttl);
        DnsSettings {
            servers: self.value(|n| &n.dns.servers).unwrap_or(default.servers),
            forward: self.value(|n| &n.dns.forward).unwrap_or(default.forward),
            timeout: time(|n| &n.dns.timeout, default.timeout),
            // A short max_ttl shortens a min_ttl that nobody wrote beside it.
            min_ttl: time(|n| &n.dns.min_ttl, default.min_ttl).min(max_ttl),
            max_ttl,
            record_types: self
                .written(|n| &n.dns.record_types, |_| false)
                .map(|written| written.value.clone())
                .unwrap_or_default(),
            refusal: self.value(|n| &n.dns.refusal).unwrap_or_default(),
            dnssec: self.switch(|n| &n.dns.dnssec, true, false),
        }
    }
}
