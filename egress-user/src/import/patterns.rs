//! Patterns of other tools.
//!
//! Each tool reads patterns in its own way, and what matches nothing there opens nothing here: the
//! ways are those of the real programs, Codex 0.171.0 and sandbox-runtime 0.0.83, and of the other
//! tools those of their public sources.
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{page::Page, rules::Rule};
use crate::policy::{Action, Pattern};

mod allow;
mod others;

pub(super) use allow::allow;
pub(super) use others::{allow_at, denied, meet, split_port_text};

/// Whose patterns they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Globs over the whole name; ports are dropped; blanks, capitals and trailing dots do not
    /// matter.
    Codex,
    /// Names, `*.` before at least two labels, a port; what is written otherwise matches nothing.
    Runtime,
    /// A list of hosts: names, addresses, blocks, `*.` (below), `.` and `**.` (with the name itself).
    List,
    /// harden-runner: names, and one `*` at the start, which reaches every depth.
    HardenRunner,
    /// squid's `dstdomain`: names; a dot at the start is the name and all below it.
    Squid,
    /// smokescreen: names, `*.` before a name; what is not public is refused whatever a list says.
    Smokescreen,
    /// Cilium's `matchName`: one name.
    CiliumName,
    /// Cilium's `matchPattern`: `*` is within one label, `**.` at the start whole labels, `*` alone
    /// every name.
    CiliumPattern,
    /// A script's names, which it resolves.
    Script,
}

fn table(pattern: &Pattern) -> &'static str {
    if pattern.is_address() { "addresses" } else { "domains" }
}

fn set(page: &mut Page<'_>, profile: &str, pattern: &Pattern, rule: Rule) {
    page.rule(profile, table(pattern), &pattern.to_string(), rule);
}

/// Denies what the text says, or more.
pub(super) fn deny(page: &mut Page<'_>, profile: &str, text: &str, dialect: Dialect, place: &str) {
    let plain = host_of(text);
    let (host, port) = match split_port(plain) {
        // A range of ports, or another text that is none.
        (_, None) if plain.matches(':').count() == 1 => {
            let host = plain.split(':').next().unwrap_or_default();
            page.change(place, format!("the deny {text:?}: every port of {host:?} is denied"));
            (host, None)
        }
        split => split,
    };
    if plain != text.trim() {
        page.change(place, format!("the deny {text:?}: every port and path of {host:?} is denied"));
    } else if let Some(port) = port.filter(|_| dialect != Dialect::Codex) {
        if host == "*" {
            page.closed_ports.insert(port, place.to_owned());
            return;
        }
        page.change(
            place,
            format!("the deny {text:?}: a deny has no ports here, so that every port is denied"),
        );
    }
    match (dialect, host) {
        // Codex does not start with it, and whoever wrote it meant: nothing else.
        (Dialect::Codex, "*" | "[*]") => {
            page.section(profile).denies_all.push(place.to_owned());
            return;
        }
        (_, "*") => {
            page.change(place, "the deny of \"*\" closes everything, there too");
            return page.deny_all(profile, place);
        }
        _ => {}
    }
    let add = |page: &mut Page<'_>, pattern: &Pattern| {
        set(page, profile, pattern, Rule::new(Action::Deny, None, false, place));
    };
    let more = |page: &mut Page<'_>, pattern: &Pattern, why: &str| {
        page.change(place, format!("the deny {text:?} {why}: \"{pattern}\" is denied"));
        set(page, profile, pattern, Rule::new(Action::Deny, None, false, place));
    };
    let trimmed = host.trim_end_matches('.');
    if let Ok(pattern) = Pattern::parse_domain(trimmed, Action::Deny) {
        return add(page, &pattern);
    }
    if let Ok(block) = without_zone(host).parse::<IpNet>() {
        return add(page, &Pattern::block(block));
    }
    if let Ok(address) = without_zone(host.trim_matches(['[', ']'])).parse::<IpAddr>() {
        return add(page, &Pattern::block(address.into()));
    }
    if let Some(base) = trimmed.strip_prefix('.')
        && let Ok(pattern) = Pattern::parse_domain(&format!("**.{base}"), Action::Deny)
    {
        if matches!(dialect, Dialect::List | Dialect::Squid) {
            return add(page, &pattern);
        }
        return more(page, &pattern, "begins with a dot");
    }
    if let Some(block) = address_glob(trimmed) {
        return more(
            page,
            &Pattern::block(block.into()),
            "has wildcards in an address; names that begin so are not meant",
        );
    }
    match below_wildcards(trimmed) {
        Some(pattern) => more(page, &pattern, "has a wildcard where ours have none"),
        // Nothing less than everything covers it.
        None => {
            page.change(
                place,
                format!(
                    "the deny {text:?} is not one that can be said; all network is closed, until \
                     you write what is meant and remove network_access"
                ),
            );
            page.deny_all(profile, place);
        }
    }
}

/// The host of a URL, or of a host with a path; blocks stay what they are.
fn host_of(text: &str) -> &str {
    let text = text.trim();
    let is_block = text.rsplit_once('/').is_some_and(|(_, prefix)| {
        !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit())
    });
    let rest = match text.split_once("://") {
        Some((_, rest)) => rest,
        None if is_block => return text,
        None => text,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match text.contains("://") || text.contains('/') {
        true => authority.rsplit_once('@').map_or(authority, |(_, host)| host),
        // A question mark is a wildcard as well.
        false => text,
    }
}

/// A host and its port. Of an address of IPv6 without brackets no part is a port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let split = text
        .rsplit_once(':')
        .filter(|(host, _)| host.starts_with('[') && host.ends_with(']') || !host.contains(':'));
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|&port: &u16| digits && port != 0)
    };
    match split.and_then(|(host, text)| Some((host, port(text)?))) {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

fn without_zone(text: &str) -> &str {
    text.split_once('%').map_or(text, |(address, _)| address)
}

/// The block of the whole bytes that a glob over an address begins with: `192.168.*.*`.
fn address_glob(text: &str) -> Option<Ipv4Net> {
    let is_glob = |c: char| c.is_ascii_digit() || ".*?".contains(c);
    if !text.chars().all(is_glob) || !text.contains(['*', '?']) {
        return None;
    }
    let labels: Vec<&str> = text.split('.').collect();
    let known: Vec<u8> = labels.iter().map_while(|label| label.parse().ok()).collect();
    if known.is_empty() || known.len() > 3 || labels.len() > 4 {
        return None;
    }
    let mut bytes = [0; 4];
    bytes.iter_mut().zip(&known).for_each(|(byte, known)| *byte = *known);
    let prefix = u8::try_from(8 * known.len()).ok()?;
    Ipv4Net::new(Ipv4Addr::from(bytes), prefix).ok()
}

/// Everything below what stands behind the wildcards.
fn below_wildcards(text: &str) -> Option<Pattern> {
    let is_glob = |label: &&str| label.contains(['*', '?', '[', ']', '{', '}']);
    let labels: Vec<&str> = text.split('.').collect();
    let behind = labels.iter().rposition(is_glob)? + 1;
    let rest = labels.get(behind..).unwrap_or_default().join(".");
    // A glob reaches over dots, and so into what stands before it.
    match Pattern::parse_domain(&format!("**.{rest}"), Action::Deny) {
        Ok(pattern) if !text.contains(['{', '\\']) => Some(pattern),
        _ => None,
    }
}
