//! Requirements: what a lower layer may not go beyond.
//!
//! Only keys that requirements write constrain. A switch that they close stays closed, a value that
//! they write stays, and with `managed_allowed_domains_only` what others allow must be covered by a
//! rule of theirs. What tries more is an error that names both layers.
//!
//! Each file of requirements bounds every file below it, other requirements among them: whoever
//! may name files on the command line must not be able to make one of them an equal of the
//! machine's.
use super::{LayerText, sources::Beyond};
use crate::{
    config::{ConfigError, ConfigErrors, NetworkWritten, Written},
    policy::{Action, Mode},
};

mod domains;

/// What goes beyond, in keys and in rules.
#[derive(Default)]
pub(super) struct Bounds {
    pub(super) errors: ConfigErrors,
    pub(super) rules: Vec<Beyond>,
}

type Pick<T> = fn(&NetworkWritten) -> &Option<Written<T>>;

impl Bounds {
    /// Reports whatever goes beyond; both the highest first.
    pub(super) fn check(&mut self, requirements: &[NetworkWritten], lower: &[NetworkWritten]) {
        for (height, bound) in requirements.iter().enumerate() {
            let below: Vec<_> = requirements.iter().skip(height + 1).chain(lower).collect();
            self.keys(bound, &below);
            self.sockets(bound, &below);
            self.domains(bound, requirements.get(..=height).unwrap_or_default(), &below);
        }
        self.misplaced(lower);
    }

    /// Reports keys alone.
    pub(super) fn keys(&mut self, bound: &NetworkWritten, below: &[&NetworkWritten]) {
        // Each with the value that is narrower.
        let switches: [(&str, Pick<bool>, bool); 15] = [
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
            ("managed_allowed_domains_only", |n| &n.managed_allowed_domains_only, true),
        ];
        for (key, pick, narrow) in switches {
            self.beyond(key, pick, bound, below, |bound, tried| {
                *bound == narrow && *tried != narrow
            });
        }
        self.beyond("mode", |n| &n.mode, bound, below, |bound: &Mode, tried| tried > bound);
        self.fixed("proxy_url", |n| &n.proxy_url, bound, below);
        self.fixed("socks_url", |n| &n.socks_url, bound, below);
        self.fixed("proxy_env", |n| &n.proxy_env, bound, below);
        self.fixed("drain", |n| &n.drain, bound, below);
        self.fixed("dns.servers", |n| &n.dns.servers, bound, below);
        self.fixed("dns.forward", |n| &n.dns.forward, bound, below);
        self.fixed("dns.timeout", |n| &n.dns.timeout, bound, below);
        self.fixed("dns.min_ttl", |n| &n.dns.min_ttl, bound, below);
        self.fixed("dns.max_ttl", |n| &n.dns.max_ttl, bound, below);
        self.fixed("dns.refusal", |n| &n.dns.refusal, bound, below);
        self.fixed("upstream.url", |n| &n.upstream.url, bound, below);
        self.fixed("upstream.no_proxy", |n| &n.upstream.no_proxy, bound, below);
        self.beyond(
            "dns.record_types",
            |n| &n.dns.record_types,
            bound,
            below,
            |bound, tried| tried.iter().any(|one| !bound.contains(one)),
        );
    }

    fn fixed<T: PartialEq>(
        &mut self,
        key: &str,
        pick: Pick<T>,
        bound: &NetworkWritten,
        below: &[&NetworkWritten],
    ) {
        self.beyond(key, pick, bound, below, |bound, tried| bound != tried);
    }

    fn beyond<T>(
        &mut self,
        key: &str,
        pick: Pick<T>,
        bound: &NetworkWritten,
        below: &[&NetworkWritten],
        is_beyond: impl Fn(&T, &T) -> bool,
    ) {
        let Some(bound) = pick(bound) else { return };
        for tried in below.iter().filter_map(|layer| pick(layer).as_ref()) {
            if is_beyond(&bound.value, &tried.value) {
                let (own, by) = (tried.origin.layer.text(), bound.origin.layer.text());
                let message = format!("{key} of the {own} goes beyond the {by} ({})", bound.origin);
                self.report(tried, message, "remove the line");
            }
        }
    }

    /// Where requirements list sockets, others allow none besides.
    fn sockets(&mut self, bound: &NetworkWritten, below: &[&NetworkWritten]) {
        let listed = || bound.unix_rules.iter().filter(|rule| rule.action == Action::Allow);
        let Some(first) = listed().next() else { return };
        let list = format!("the sockets of the requirements (from {} on)", first.origin);
        for layer in below {
            for rule in layer.unix_rules.iter().filter(|rule| rule.action == Action::Allow) {
                if !listed().any(|bound| bound.address == rule.address) {
                    self.rules.push(Beyond {
                        text: rule.text.clone(),
                        message: format!(
                            "\"{}\" of the {} goes beyond {list}",
                            rule.text,
                            rule.origin.layer.text()
                        ),
                        origin: rule.origin.clone(),
                    });
                }
            }
            let Some(all) = &layer.dangerously_allow_all_unix_sockets else { continue };
            // Where the bound has this key too, that was compared already.
            if all.value && bound.dangerously_allow_all_unix_sockets.is_none() {
                let message = format!(
                    "dangerously_allow_all_unix_sockets of the {} goes beyond {list}",
                    all.origin.layer.text()
                );
                self.report(all, message, "remove the line");
            }
        }
    }

    fn misplaced(&mut self, lower: &[NetworkWritten]) {
        for layer in lower {
            if let Some(written) = &layer.managed_allowed_domains_only {
                let message = format!(
                    "managed_allowed_domains_only in the {} bounds nobody: it belongs in \
                     requirements",
                    written.origin.layer.text()
                );
                let suggestion = "write it in /etc/egress/requirements.toml, or remove it";
                self.report(written, message, suggestion);
            }
        }
    }

    fn report<T>(&mut self, written: &Written<T>, message: String, suggestion: &str) {
        let file = written.origin.file.to_string();
        let (place, suggestion) = (written.place.clone(), suggestion.to_owned());
        self.errors.push(ConfigError { file, place, message, suggestion });
    }
}
