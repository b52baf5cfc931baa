//! Of each key, what holds: the user's value, else the managed default, within the requirements;
//! and the one place where values of keys become typed settings.
use std::time::Duration;

use super::{
    DnsServer, DnsSettings, ListenUrl, NetworkSettings, NetworkWritten, RefusalCode,
    keys::{Key, Keys, Show, Table},
    values::Value,
};
use crate::policy::{Mode, Origin, RefusalErrno, Settings};

/// What holds of one key.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The key.
    pub key: &'static Key,
    /// Its value; none where nothing holds unless it is written.
    pub value: Option<Value>,
    /// The line that says so; none for a default.
    pub origin: Option<Origin>,
}

/// What holds of every setting, in the order of the table of keys.
#[derive(Clone, Debug)]
pub struct EffectiveValues(Vec<Effective>);

impl EffectiveValues {
    /// Of every file, the highest first; what goes beyond the requirements was reported before.
    ///
    /// The lowest layer's line wins, as managed values are defaults; what requirements close stays
    /// closed, also where nobody tried to open it.
    pub(super) fn of(
        keys: Keys,
        requirements: &[NetworkWritten],
        lower: &[NetworkWritten],
    ) -> Self {
        let effective = |key: &'static Key| {
            let bounds = || requirements.iter().filter_map(|layer| layer.values.get(key));
            let lower = lower.iter().rev().find_map(|layer| layer.values.get(key));
            let closed = bounds().find(|bound| key.bound.closes(&bound.value));
            match closed.or(lower).or_else(|| bounds().next()) {
                Some(written) => Effective {
                    key,
                    value: Some(written.value.clone()),
                    origin: Some(written.origin.clone()),
                },
                // What is shown only where it is written has no effect by itself.
                None if key.show == Show::Written => Effective { key, value: None, origin: None },
                None => Effective { key, value: key.default_value(), origin: None },
            }
        };
        let mut values = Self(keys.settings().map(effective).collect());
        values.shorten_min_ttl();
        values
    }

    /// The defaults.
    pub(super) fn defaults(keys: Keys) -> Self {
        Self::of(keys, &[], &[])
    }

    /// A short max_ttl shortens a min_ttl that nobody wrote beside it.
    fn shorten_min_ttl(&mut self) {
        let (min, max) = (self.time("min_ttl"), self.time("max_ttl"));
        let min_ttl = self.0.iter_mut().find(|of| of.key.path() == "dns.min_ttl");
        if let Some(min_ttl) = min_ttl {
            min_ttl.value = Some(Value::Time(min.min(max)));
        }
    }

    /// Every setting.
    pub fn iter(&self) -> impl Iterator<Item = &Effective> {
        self.0.iter()
    }

    /// The settings of one table.
    pub fn of_table(&self, table: Table) -> impl Iterator<Item = &Effective> {
        self.iter().filter(move |effective| effective.key.table == table)
    }

    /// What holds of the key of this name; none of a name that is no key.
    pub fn find(&self, table: Table, name: &str) -> Option<&Effective> {
        self.of_table(table).find(|effective| effective.key.name == name)
    }

    fn value(&self, table: Table, name: &str) -> Option<&Value> {
        let found = self.find(table, name);
        debug_assert!(found.is_some(), "the table of keys has no {name}");
        found?.value.as_ref()
    }

    /// A boolean of `[network]`; false where the table has no such key, which opens nothing.
    fn boolean(&self, table: Table, name: &str) -> bool {
        matches!(self.value(table, name), Some(Value::Boolean(true)))
    }

    fn is_word(&self, table: Table, name: &str, word: &'static str) -> bool {
        self.value(table, name) == Some(&Value::Word(word))
    }

    fn listen(&self, name: &str) -> Option<ListenUrl> {
        match self.value(Table::Network, name)? {
            Value::Listen(url) => Some(url.clone()),
            _ => None,
        }
    }

    /// A time of `[network.dns]`.
    fn time(&self, name: &str) -> Duration {
        match self.value(Table::Dns, name) {
            Some(Value::Time(time)) => *time,
            _ => Duration::ZERO,
        }
    }

    fn list<T>(&self, table: Table, name: &str, of: fn(&Value) -> Option<T>) -> Vec<T> {
        match self.value(table, name) {
            Some(Value::List(list)) => list.iter().filter_map(of).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the filter is on, where a file says so.
    pub(super) fn enabled_written(&self) -> Option<bool> {
        let enabled = self.find(Table::Network, "enabled")?;
        enabled.origin.as_ref().map(|_| enabled.value == Some(Value::Boolean(true)))
    }

    /// What decisions depend on.
    pub(super) fn settings(&self) -> Settings {
        const OF: Table = Table::Network;
        Settings {
            network_access: self.boolean(OF, "network_access"),
            enabled: self.boolean(OF, "enabled"),
            allow_local_binding: self.boolean(OF, "allow_local_binding"),
            mode: if self.is_word(OF, "mode", "full") { Mode::Full } else { Mode::Limited },
            allow_ech: self.is_word(OF, "ech", "allow"),
            all_unix_sockets: self.boolean(OF, "dangerously_allow_all_unix_sockets"),
            own_loopback: self.boolean(OF, "allow_own_loopback"),
            inbound: self.boolean(OF, "allow_inbound"),
            refusal_errno: RefusalErrno::ALL
                .into_iter()
                .find(|(word, _)| self.is_word(OF, "refusal_errno", word))
                .map_or_else(RefusalErrno::default, |(_, errno)| errno),
        }
    }

    /// What they do not depend on.
    pub(super) fn network(&self) -> NetworkSettings {
        const OF: Table = Table::Network;
        NetworkSettings {
            allow_upstream_proxy: self.boolean(OF, "allow_upstream_proxy"),
            enable_socks5: self.boolean(OF, "enable_socks5"),
            enable_socks5_udp: self.boolean(OF, "enable_socks5_udp"),
            proxy_url: self.listen("proxy_url"),
            socks_url: self.listen("socks_url"),
            proxy_env: self.boolean(OF, "proxy_env"),
            dangerously_allow_non_loopback_proxy: self
                .boolean(OF, "dangerously_allow_non_loopback_proxy"),
            unix_required: !self.is_word(OF, "unix_enforcement", "off"),
            drain: match self.value(OF, "drain") {
                Some(Value::Time(time)) => *time,
                _ => Duration::ZERO,
            },
            upstream: match self.value(Table::Upstream, "url") {
                Some(Value::Upstream(url)) => Some(url.clone()),
                _ => None,
            },
            no_proxy: self.list(Table::Upstream, "no_proxy", |host| match host {
                Value::Text(host) => Some(host.clone()),
                _ => None,
            }),
            resolve_at_proxy: self.is_word(Table::Upstream, "resolve", "proxy"),
        }
    }

    /// How names are looked up.
    pub(super) fn dns(&self) -> DnsSettings {
        const OF: Table = Table::Dns;
        DnsSettings {
            servers: self.list(OF, "servers", |one| match one {
                Value::Server(server) => Some::<DnsServer>(server.clone()),
                _ => None,
            }),
            forward: match self.value(OF, "forward") {
                Some(Value::Forward(forward)) => forward.clone(),
                _ => Vec::new(),
            },
            timeout: self.time("timeout"),
            min_ttl: self.time("min_ttl"),
            max_ttl: self.time("max_ttl"),
            record_types: self.list(OF, "record_types", |one| match one {
                Value::RecordType(number) => Some(*number),
                _ => None,
            }),
            refusal: match self.is_word(OF, "refusal", "refused") {
                true => RefusalCode::Refused,
                false => RefusalCode::NxDomain,
            },
            queries_per_second: match self.value(OF, "queries_per_second") {
                Some(Value::Number(number)) => *number,
                _ => 1,
            },
            dnssec: self.boolean(OF, "dnssec"),
        }
    }
}
