//! Lists of hosts: one or more on a line, `#` before comments. With a port behind any of them it is
//! harden-runner's list of endpoints, where 443 is the port of those without.
use std::collections::BTreeSet;

use super::{
    Source, failed,
    page::Page,
    patterns::{self, Dialect},
};
use crate::{
    config::ConfigError,
    policy::{Action, PortSet},
};

/// A host of a list, and its line.
struct Item<'a> {
    text: &'a str,
    line: usize,
}

fn items(text: &str) -> impl Iterator<Item = Item<'_>> {
    text.lines().enumerate().flat_map(|(at, line)| {
        let line_of = at + 1;
        without_comment(line)
            .split(|c: char| c.is_ascii_whitespace() || c == ',')
            .filter(|text| !text.is_empty())
            .map(move |text| Item { text, line: line_of })
    })
}

/// A comment begins a line, or stands behind a blank.
fn without_comment(line: &str) -> &str {
    let is_comment = |&(at, _): &(usize, &str)| {
        at == 0 || line.get(..at).is_some_and(|before| before.ends_with([' ', '\t']))
    };
    line.match_indices('#').find(is_comment).map_or(line, |(at, _)| line.get(..at).unwrap_or(line))
}

/// Whether every line is a list's.
pub(super) fn is_list(text: &str) -> bool {
    let is_item = |item: Item<'_>| {
        let host = |c: char| c.is_alphanumeric() || ".-_*:/[]%".contains(c);
        item.text.chars().all(host) && item.text.contains(['.', ':']) && !item.text.ends_with(':')
    };
    items(text).next().is_some() && items(text).all(is_item)
}

/// Reads a list; what it means by its names it does not say, so that `action` is who imports.
pub(super) fn read(
    source: Source<'_>,
    action: Action,
    page: &mut Page<'_>,
) -> Result<(), ConfigError> {
    page.section("");
    refuse_hosts_file(source)?;
    if action == Action::Deny {
        for item in items(source.text) {
            patterns::deny(page, "", item.text, Dialect::List, &place(source, &item));
        }
        return Ok(());
    }
    page.note(
        "A list does not say whether it allows or denies: it is taken as allows. With --deny-list \
         it is one of denies.",
    );
    let has_port = |item: Item<'_>| {
        let (_, port) = patterns::split_port_text(item.text);
        port.is_some_and(is_port)
    };
    if items(source.text).filter(|item| !item.text.contains("://")).any(has_port) {
        page.note("Hosts with ports: read as harden-runner's endpoints, of port 443 without one.");
        let items = items(source.text).map(|item| (item.text, place(source, &item)));
        endpoints(page, "", items);
        return Ok(());
    }
    for item in items(source.text) {
        let place = place(source, &item);
        match item.text.contains("://") {
            true => patterns::allow(page, "", item.text, Dialect::List, &place),
            false => {
                patterns::allow_at(page, "", item.text, Dialect::List, &PortSet::All, &place);
            }
        }
    }
    Ok(())
}

/// Allows of harden-runner: `host:port`, or `host` for port 443.
pub(super) fn endpoints<'i>(
    page: &mut Page<'_>,
    profile: &str,
    items: impl Iterator<Item = (&'i str, String)>,
) {
    let mut wildcards = BTreeSet::new();
    for (text, place) in items {
        if text.contains("://") {
            patterns::allow(page, profile, text, Dialect::HardenRunner, &place);
            continue;
        }
        let (host, port) = patterns::split_port_text(text);
        let Some(port) = port.map_or(Some(443), port_number) else {
            page.leave_out(&place, format!("{text:?}: what stands behind the colon is no port"));
            continue;
        };
        if host.contains('*') && !wildcards.insert(host) {
            let why = format!("{text:?}: of a wildcard only the first port counts there");
            page.leave_out(&place, why);
            continue;
        }
        let ports = PortSet::only([port]);
        patterns::allow_at(page, profile, host, Dialect::HardenRunner, &ports, &place);
    }
}

/// The number of a port from 1 to 65535.
pub(super) fn port_number(text: &str) -> Option<u16> {
    is_port(text).then(|| text.parse().ok()).flatten()
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// A file of `/etc/hosts` form closes what it names, or gives it an address: neither is an allow.
fn refuse_hosts_file(source: Source<'_>) -> Result<(), ConfigError> {
    for (at, line) in source.text.lines().enumerate() {
        let mut words = without_comment(line).split_ascii_whitespace();
        let (first, second) = (words.next(), words.next());
        if let (Some(first), Some(second)) = (first, second)
            && first.parse::<std::net::IpAddr>().is_ok()
            && second.parse::<std::net::IpAddr>().is_err()
        {
            let message = "an address before a name: a hosts file, and no list of what is allowed";
            let suggestion = "give the names alone, with --deny-list if they are to be denied";
            return Err(failed(source.name, at + 1, message, suggestion));
        }
    }
    Ok(())
}

fn place(source: Source<'_>, item: &Item<'_>) -> String {
    format!("{}:{}", source.name, item.line)
}
