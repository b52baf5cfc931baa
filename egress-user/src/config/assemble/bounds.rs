//! Requirements: what a lower layer may not go beyond.
//!
//! Only keys that requirements write constrain. A switch that they close stays closed, a value that
//! they write stays, and with `managed_allowed_domains_only` what others allow must be covered by a
//! rule of theirs. What tries more is an error that names both layers.
use super::LayerText;
use crate::{
    config::{ConfigError, ConfigErrors, NetworkWritten, Written},
    policy::{Action, Layer, Mode, Origin, Rule},
};

/// The files of requirements, and those that they bound, each the highest first.
pub(super) struct Bounds<'a> {
    pub(super) requirements: &'a [NetworkWritten],
    pub(super) lower: &'a [NetworkWritten],
    pub(super) errors: &'a mut ConfigErrors,
}

type Pick<T> = fn(&NetworkWritten) -> &Option<Written<T>>;

impl Bounds<'_> {
    /// Reports whatever goes beyond.
    pub(super) fn check(&mut self) {
        self.switches();
        self.values();
        self.sockets();
        self.misplaced();
        self.domains();
    }

    fn switches(&mut self) {
        // Each with the value that is narrower.
        let switches: [(&str, Pick<bool>, bool); 14] = [
            ("network_access", |n| &n.network_access, false),
            ("enabled", |n| &n.enabled, true),
            ("allow_local_binding", |n| &n.allow_local_binding, false),
            ("allow_own_loopback", |n| &n.allow_own_loopback, false),
            ("allow_inbound", |n| &n.allow_inbound, false),
            ("allow_upstream_proxy", |n| &n.allow_upstream_proxy, false),
            ("enable_socks5", |n| &n.enable_socks5, false),
            ("enable_socks5_udp", |n| &n.enable_socks5_udp, false),
            (
                "dangerously_allow_non_loopback_proxy",
                |n| &n.dangerously_allow_non_loopback_proxy,
                false,
            ),
            (
                "dangerously_allow_all_unix_sockets",
                |n| &n.dangerously_allow_all_unix_sockets,
                false,
            ),
            ("unix_enforcement", |n| &n.unix_required, true),
            ("ech", |n| &n.allow_ech, false),
            ("dns.dnssec", |n| &n.dns.dnssec, true),
            ("upstream.resolve", |n| &n.upstream.resolve_at_proxy, false),
        ];
        for (key, pick, narrow) in switches {
            self.beyond(key, pick, |bound, tried| *bound == narrow && *tried != narrow);
        }
        let wider = |bound: &Mode, tried: &Mode| tried > bound;
        self.beyond("mode", |n| &n.mode, wider);
    }

    fn values(&mut self) {
        self.fixed("proxy_url", |n| &n.proxy_url);
        self.fixed("socks_url", |n| &n.socks_url);
        self.fixed("proxy_env", |n| &n.proxy_env);
        self.fixed("dns.servers", |n| &n.dns.servers);
        self.fixed("dns.forward", |n| &n.dns.forward);
        self.fixed("dns.timeout", |n| &n.dns.timeout);
        self.fixed("dns.min_ttl", |n| &n.dns.min_ttl);
        self.fixed("dns.max_ttl", |n| &n.dns.max_ttl);
        self.fixed("dns.refusal", |n| &n.dns.refusal);
        self.fixed("upstream.url", |n| &n.upstream.url);
        self.fixed("upstream.no_proxy", |n| &n.upstream.no_proxy);
        self.beyond(
            "dns.record_types",
            |n| &n.dns.record_types,
            |bound, tried| tried.iter().any(|one| !bound.contains(one)),
        );
    }

    fn fixed<T: PartialEq>(&mut self, key: &str, pick: Pick<T>) {
        self.beyond(key, pick, |bound, tried| bound != tried);
    }

    fn beyond<T>(&mut self, key: &str, pick: Pick<T>, is_beyond: impl Fn(&T, &T) -> bool) {
        let bounds = self.requirements.iter().filter_map(|layer| pick(layer).as_ref());
        for bound in bounds {
            for tried in self.lower.iter().filter_map(|layer| pick(layer).as_ref()) {
                if is_beyond(&bound.value, &tried.value) {
                    self.errors.push(ConfigError {
                        file: tried.origin.file.to_string(),
                        place: tried.place.clone(),
                        message: format!(
                            "{key} of the {} goes beyond the {} ({})",
                            tried.origin.layer.text(),
                            bound.origin.layer.text(),
                            bound.origin
                        ),
                        suggestion: "remove the line".to_owned(),
                    });
                }
            }
        }
    }

    /// Where requirements list sockets, others allow none besides.
    fn sockets(&mut self) {
        let listed: Vec<_> = self.requirements.iter().flat_map(|layer| &layer.unix_rules).collect();
        let Some(first) = listed.iter().find(|rule| rule.action == Action::Allow) else { return };
        for rule in self.lower.iter().flat_map(|layer| &layer.unix_rules) {
            let allowed = |bound: &&&crate::policy::UnixRule| {
                bound.action == Action::Allow && bound.address == rule.address
            };
            if rule.action == Action::Allow && !listed.iter().any(|bound| allowed(&bound)) {
                self.errors.push(beyond_line(
                    &rule.text,
                    &rule.origin,
                    &format!("the sockets of the requirements (from {} on)", first.origin),
                ));
            }
        }
    }

    fn misplaced(&mut self) {
        for layer in self.lower {
            if let Some(Written { origin, place, .. }) = &layer.managed_allowed_domains_only {
                self.errors.push(ConfigError {
                    file: origin.file.to_string(),
                    place: place.clone(),
                    message: format!(
                        "managed_allowed_domains_only in the {} bounds nobody",
                        origin.layer.text()
                    ),
                    suggestion: "write it in /etc/egress/requirements.toml, or remove it"
                        .to_owned(),
                });
            }
        }
    }

    fn domains(&mut self) {
        let only = self.requirements.iter().find_map(|layer| {
            layer.managed_allowed_domains_only.as_ref().filter(|only| only.value)
        });
        let Some(only) = only else { return };
        let bounds: Vec<&Rule> = self
            .requirements
            .iter()
            .flat_map(|layer| &layer.rules)
            .filter(|rule| rule.action == Action::Allow)
            .collect();
        for rule in self.lower.iter().flat_map(|layer| &layer.rules) {
            if rule.action == Action::Allow && !bounds.iter().any(|bound| bound.covers(rule)) {
                let by = format!(
                    "the {}: they say managed_allowed_domains_only ({}), and no line of theirs \
                     allows as much",
                    Layer::Requirements.text(),
                    only.origin
                );
                self.errors.push(beyond_line(&rule.text, &rule.origin, &by));
            }
        }
    }
}

fn beyond_line(text: &str, origin: &Origin, bound: &str) -> ConfigError {
    let preset = match &origin.preset {
        Some(preset) => format!(" of the preset {preset:?}"),
        None => String::new(),
    };
    ConfigError {
        file: origin.to_string(),
        place: None,
        message: format!("\"{text}\"{preset} of the {} goes beyond {bound}", origin.layer.text()),
        suggestion: "remove it, or ask who keeps the requirements".to_owned(),
    }
}
