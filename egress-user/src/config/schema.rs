//! Whether a table of the file has a key, and what may have been meant where it has not.
use super::keys::{KEYS, Table};

pub(super) const TOP: Table = Table::Top;
pub(super) const NETWORK: Table = Table::Network;
pub(super) const DNS: Table = Table::Dns;
pub(super) const RULE: Table = Table::Rule;
pub(super) const UPSTREAM: Table = Table::Upstream;
pub(super) const PROFILE: Table = Table::Profile;
pub(super) const ATTACH: Table = Table::Attach;

/// Keys of other tools, and of older forms of this file's model.
const FOREIGN: [&str; 12] = [
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
    "network_proxy",
    "experimental_network",
];

/// What to do about a key that the table does not have; none where it has it.
pub(super) fn unknown(table: Table, key: &str) -> Option<String> {
    if table.keys().any(|known| known.name == key) {
        return None;
    }
    if FOREIGN.contains(&key) {
        return Some("`egress policy import FILE` converts the settings of other tools".to_owned());
    }
    // The one other table that has it; `network` is in two, and belongs in either.
    let others = KEYS.iter().filter(|known| known.name == key && known.table != table);
    let mut others = others.map(|known| known.table).filter(|&other| other != Table::Rule);
    if let (Some(other), None) = (others.next(), others.next()) {
        return Some(format!("{key} belongs in {}", other.name()));
    }
    Some(match nearest(key, table.keys().map(|known| known.name)) {
        Some(known) => format!("write {known}"),
        None => {
            let names: Vec<_> = table.keys().map(|known| known.name).collect();
            format!("the keys of {} are {}", table.name(), names.join(", "))
        }
    })
}

/// The known key that differs in the fewest letters, if they are few.
pub(super) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (key.chars().count() / 3).max(1);
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

    #[test]
    fn near_keys_are_suggested() {
        for (table, key, expected) in [
            (NETWORK, "domain", "write domains"),
            (NETWORK, "network_acces", "write network_access"),
            (TOP, "netwrok", "write network"),
            (TOP, "domains", "domains belongs in [network]"),
            (NETWORK, "timeout", "timeout belongs in [network.dns]"),
            (RULE, "method", "write methods"),
            (
                NETWORK,
                "allowed_domains",
                "`egress policy import FILE` converts the settings of other tools",
            ),
        ] {
            assert_eq!(unknown(table, key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(unknown(NETWORK, "dns"), None);
        assert!(unknown(RULE, "zzz").unwrap().contains("action, ports"));
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
