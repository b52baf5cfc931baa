//! Whether a table of the file has a key, and what may have been meant where it has not.
use super::keys::{Keys, Table};
use crate::policy::Pattern;

/// Keys of other tools, and of older forms of this file's model.
const FOREIGN: [&str; 18] = [
    "allowed_domains",
    "denied_domains",
    "allow_unix_sockets",
    "allowedDomains",
    "deniedDomains",
    "allowUnixSockets",
    "allowLocalBinding",
    "admin_url",
    "dangerously_allow_non_loopback_admin",
    "mitm",
    "mitm_hooks",
    "proxy",
    "permissions",
    "default_permissions",
    "sandbox_mode",
    "sandbox_workspace_write",
    "network_proxy",
    "experimental_network",
];

/// What to do about a key that the table does not have; none where it has it.
pub(super) fn unknown(keys: Keys, table: Table, key: &str) -> Option<String> {
    if keys.find(table, key).is_some() {
        return None;
    }
    if FOREIGN.contains(&key) {
        return Some("`egress policy import FILE` converts the settings of other tools".to_owned());
    }
    if let Some(place) = place_of_rule(table, key) {
        return Some(place);
    }
    if table == Table::Profile && keys.find(Table::Network, key).is_some() {
        return Some(format!("{key} belongs in the profile's [profiles.NAME.network]"));
    }
    // A slip of one letter is likelier than the wrong table.
    if let Some(known) = nearest_within(key, keys.of(table).map(|known| known.name), 1) {
        return Some(format!("write {known}"));
    }
    // The one other table that has it; `network` is in two, and belongs in either.
    let others = keys.iter().filter(|known| known.name == key && known.table != table);
    let mut others = others.map(|known| known.table).filter(|&other| other != Table::Rule);
    if let (Some(other), None) = (others.next(), others.next()) {
        return Some(format!("{key} belongs in {}", other.name()));
    }
    Some(match nearest(key, keys.of(table).map(|known| known.name)) {
        Some(known) => format!("write {known}"),
        None => {
            let names: Vec<_> = keys.of(table).map(|known| known.name).collect();
            format!("the keys of {} are {}", table.name(), names.join(", "))
        }
    })
}

/// Where the rule belongs that somebody wrote beside the settings.
fn place_of_rule(table: Table, key: &str) -> Option<String> {
    if table == Table::Rule && matches!(key, "allow" | "deny") {
        return Some(format!("write action = \"{key}\""));
    }
    if !matches!(table, Table::Top | Table::Network | Table::Profile) {
        return None;
    }
    let of = if table == Table::Profile { "profiles.NAME.network" } else { "network" };
    let rules = match key {
        "allow" | "allowed" | "allowlist" | "whitelist" | "hosts" | "rules" => {
            return Some(format!("write \"example.com\" = \"allow\" below [{of}.domains]"));
        }
        "deny" | "denied" | "denylist" | "blacklist" | "blocklist" | "block" => {
            return Some(format!("write \"example.com\" = \"deny\" below [{of}.domains]"));
        }
        socket if socket.starts_with(['/', '@']) => "unix_sockets",
        address if Pattern::parse_address(address).is_ok() => "addresses",
        host if host.contains(['.', '*']) => "domains",
        _ => return None,
    };
    Some(format!("write this line below [{of}.{rules}]"))
}

/// The known key that differs in the fewest letters, if they are few.
pub(super) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    nearest_within(key, known, (key.chars().count() / 3).max(1))
}

fn nearest_within<'a>(
    key: &str,
    known: impl Iterator<Item = &'a str>,
    limit: usize,
) -> Option<&'a str> {
    known
        .map(|candidate| (distance(key, candidate), candidate))
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
    use crate::config::keys::KEYS;

    const TOP: Table = Table::Top;
    const NETWORK: Table = Table::Network;
    const RULE: Table = Table::Rule;
    const PROFILE: Table = Table::Profile;

    #[test]
    fn near_keys_are_suggested() {
        for (table, key, expected) in [
            (NETWORK, "domain", "write domains"),
            (NETWORK, "network_acces", "write network_access"),
            (TOP, "netwrok", "write network"),
            (TOP, "domains", "domains belongs in [network]"),
            (NETWORK, "timeout", "timeout belongs in [network.dns]"),
            (RULE, "method", "write methods"),
            (NETWORK, "*.a.com", "write this line below [network.domains]"),
            (TOP, "profile", "write profiles"),
            (RULE, "deny", "write action = \"deny\""),
            (TOP, "10.0.0.0/8", "write this line below [network.addresses]"),
            (NETWORK, "/run/a.sock", "write this line below [network.unix_sockets]"),
            (PROFILE, "a.com", "write this line below [profiles.NAME.network.domains]"),
            (NETWORK, "deny", "write \"example.com\" = \"deny\" below [network.domains]"),
            (PROFILE, "mode", "mode belongs in the profile's [profiles.NAME.network]"),
            (
                NETWORK,
                "allowed_domains",
                "`egress policy import FILE` converts the settings of other tools",
            ),
        ] {
            assert_eq!(unknown(KEYS, table, key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(unknown(KEYS, NETWORK, "dns"), None);
        assert!(unknown(KEYS, RULE, "zzz").unwrap().contains("action, ports"));
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
