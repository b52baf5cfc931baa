//! Patterns of other tools.
use super::page::{Page, quoted};
use crate::policy::{Action, Host, Pattern, UnixAddress};

/// Carries a host pattern over.
pub(super) fn host(page: &mut Page, profile: &str, text: &str, action: Action, place: &str) {
    let plain = text.trim();
    let value = quoted(action.as_str());
    if let Ok(pattern) = Pattern::parse_domain(plain, action) {
        let table = if pattern.is_address() { "addresses" } else { "domains" };
        page.set(profile, table, &pattern.to_string(), value, place);
    } else if let Ok(pattern) = Pattern::parse_address(plain) {
        page.set(profile, "addresses", &pattern.to_string(), value, place);
    } else if let Some((pattern, port)) = with_port(plain, action) {
        // A deny has no ports here: it closes them all.
        let value = match action {
            Action::Allow => format!("{{ action = \"allow\", ports = [{port}] }}"),
            Action::Deny => value,
        };
        let table = if pattern.is_address() { "addresses" } else { "domains" };
        page.set(profile, table, &pattern.to_string(), value, place);
    } else if let Some(base) = plain.strip_prefix('.') {
        // Names below, for some with the name itself: the allow takes less, the deny more.
        let stars = if action == Action::Allow { "*." } else { "**." };
        host(page, profile, &format!("{stars}{base}"), action, place);
    } else if action == Action::Deny {
        deny_more(page, profile, plain, place);
    } else {
        let why = match Pattern::parse_domain(plain, action) {
            Err(error) => format!("{text:?}: {}", error.message),
            Ok(_) => format!("{text:?} is not a pattern"),
        };
        page.leave_out(place, why);
    }
}

fn with_port(text: &str, action: Action) -> Option<(Pattern, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    let pattern = match Host::parse(host) {
        Ok(Host::Address(address)) => Pattern::Address(address),
        _ => Pattern::parse_domain(host, action).ok()?,
    };
    Some((pattern, port))
}

/// A deny that cannot be said becomes one of everything below what stands behind its wildcards.
fn deny_more(page: &mut Page, profile: &str, text: &str, place: &str) {
    let is_glob = |label: &str| label.contains(['*', '?', '[', ']', '{', '}']);
    let labels: Vec<&str> = text.trim_end_matches('.').split('.').collect();
    let behind = labels.iter().rposition(|label| is_glob(label)).map_or(0, |at| at + 1);
    let rest = labels.get(behind..).unwrap_or_default().join(".");
    let wider = format!("**.{rest}");
    match Pattern::parse_domain(&wider, Action::Deny) {
        Ok(pattern) if behind > 0 => {
            let value = quoted(Action::Deny.as_str());
            page.set(profile, "domains", &pattern.to_string(), value, place);
            page.leave_out(
                place,
                format!(
                    "the deny {text:?} has a wildcard inside of a label; \"{wider}\" is denied"
                ),
            );
        }
        // Nothing less than everything covers it.
        _ => {
            page.set(profile, "", "network_access", "false".to_owned(), place);
            page.leave_out(
                place,
                format!(
                    "the deny {text:?} is not one that can be said; all network is closed, \
                         until you write what is meant and remove network_access"
                ),
            );
        }
    }
}

/// Carries a unix socket over; what is not allowed there is closed here without a line.
pub(super) fn socket(page: &mut Page, profile: &str, text: &str, place: &str) {
    match UnixAddress::parse(text) {
        Ok(address) => {
            let value = quoted(Action::Allow.as_str());
            page.set(profile, "unix_sockets", &address.to_string(), value, place);
        }
        Err(error) => {
            page.leave_out(place, format!("the unix socket {text:?}: {}", error.message));
        }
    }
}
