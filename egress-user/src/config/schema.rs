//! The keys of a policy file: those that this version acts on, and those that it does not yet.

/// A table of the file.
pub(super) struct Table {
    /// As a message calls it.
    pub(super) name: &'static str,
    built: &'static [&'static str],
    later: &'static [&'static str],
}

/// What a key is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Acted on.
    Built,
    /// Part of the language, and refused until it does something.
    Later,
    /// Not part of the language; with what may have been meant.
    Unknown(String),
}

pub(super) const TOP: Table =
    Table { name: "the file", built: &["network"], later: &["profiles", "attach"] };

pub(super) const NETWORK: Table = Table {
    name: "[network]",
    built: &["network_access", "enabled", "allow_local_binding", "domains", "addresses", "dns"],
    later: &[
        "mode",
        "allow_own_loopback",
        "allow_inbound",
        "allow_upstream_proxy",
        "enable_socks5",
        "enable_socks5_udp",
        "proxy_url",
        "socks_url",
        "proxy_env",
        "dangerously_allow_non_loopback_proxy",
        "dangerously_allow_all_unix_sockets",
        "unix_enforcement",
        "unix_sockets",
        "ech",
        "presets",
        "upstream",
        "managed_allowed_domains_only",
    ],
};

pub(super) const DNS: Table = Table {
    name: "[network.dns]",
    built: &["servers", "timeout", "min_ttl", "max_ttl"],
    later: &["forward", "record_types", "refusal", "dnssec"],
};

pub(super) const RULE: Table = Table {
    name: "a rule",
    built: &["action", "ports", "transport", "protocol"],
    later: &["methods", "paths", "path"],
};

impl Table {
    pub(super) fn key(&self, key: &str) -> Key {
        if self.built.contains(&key) {
            return Key::Built;
        }
        if self.later.contains(&key) {
            return Key::Later;
        }
        for (inner, heading) in [(&NETWORK, "[network]"), (&DNS, "[network.dns]")] {
            if inner.built.contains(&key) && inner.name != self.name {
                return Key::Unknown(format!("{key} belongs in {heading}"));
            }
        }
        Key::Unknown(match nearest(key, self.built.iter().chain(self.later)) {
            Some(known) => format!("write {known}"),
            None => format!("the keys of {} are {}", self.name, self.built.join(", ")),
        })
    }
}

/// The known key that differs in the fewest letters, if they are few.
fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a &'static str>) -> Option<&'static str> {
    let limit = (key.chars().count() / 3).max(1);
    known
        .map(|&candidate| (distance(key, candidate), candidate))
        .filter(|&(letters, _)| letters <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    // A key has at most some 40 letters; longer ones are near to nothing.
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_keys_are_suggested() {
        let unknown = |text: &str| Key::Unknown(text.to_owned());
        assert_eq!(NETWORK.key("domain"), unknown("write domains"));
        assert_eq!(NETWORK.key("network_acces"), unknown("write network_access"));
        assert_eq!(TOP.key("netwrok"), unknown("write network"));
        assert_eq!(TOP.key("domains"), unknown("domains belongs in [network]"));
        assert_eq!(NETWORK.key("timeout"), unknown("timeout belongs in [network.dns]"));
        assert_eq!(NETWORK.key("mode"), Key::Later);
        assert_eq!(NETWORK.key("dns"), Key::Built);
        assert!(matches!(RULE.key("zzz"), Key::Unknown(text) if text.contains("action, ports")));
    }

    #[test]
    fn distances_are_counted() {
        for (a, b, letters) in
            [("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("a", "a", 0)]
        {
            assert_eq!(distance(a, b), letters, "{a} {b}");
        }
    }
}
