//! Allows of tools whose lists have their ports apart.
use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Dialect,
    allow::{address, bare, dotted, other_spelling, parse, plain},
    set, table,
};
use crate::{
    import::{page::Page, rules::Rule},
    policy::{Action, Pattern, PortSet, is_public},
};

/// Allows what the text opens there at these ports; what opens nothing there is left out and told.
/// Gives the pattern, where there is one.
pub(in crate::import) fn allow_at(
    page: &mut Page<'_>,
    profile: &str,
    text: &str,
    dialect: Dialect,
    ports: &PortSet,
    place: &str,
) -> Option<Pattern> {
    let pattern = match pattern(text, dialect) {
        Ok(pattern) => pattern,
        Err(why) => {
            page.leave_out(place, format!("{text:?}: {why}"));
            return None;
        }
    };
    let rule = Rule::allow(ports.clone(), table(&pattern) == "addresses", place);
    set(page, profile, &pattern, rule);
    Some(pattern)
}

fn pattern(text: &str, dialect: Dialect) -> Result<Pattern, String> {
    if dialect == Dialect::List
        && let Ok(block) = text.parse::<IpNet>()
    {
        return Ok(Pattern::block(block));
    }
    plain(text)?;
    let pattern = match dialect {
        Dialect::List | Dialect::Squid => dotted_name(text, dialect),
        Dialect::HardenRunner => harden_runner(text),
        Dialect::Smokescreen => smokescreen(text),
        Dialect::CiliumName => cilium_name(text),
        Dialect::CiliumPattern => cilium_pattern(text),
        Dialect::Script => script_name(text),
        Dialect::Codex | Dialect::Runtime => parse(text),
    }?;
    // There a text is compared, whatever address a resolver would read in it.
    if let Some(address) = address(&pattern) {
        if bare(text).parse::<IpAddr>().ok().map(|literal| literal.to_canonical()) != Some(address)
        {
            return Err(other_spelling(address));
        }
        if dialect == Dialect::Smokescreen && !is_public(address) {
            return Err("not public, which is refused there whatever a list says".to_owned());
        }
    }
    Ok(pattern)
}

/// `.x` is x and all below it.
fn dotted_name(text: &str, dialect: Dialect) -> Result<Pattern, String> {
    if let Some(base) = text.strip_prefix('.') {
        return parse(&format!("**.{base}"));
    }
    if dialect == Dialect::Squid && text.contains('*') {
        let base = text.trim_start_matches(['*', '.']);
        return Err(format!(
            "a star matches nothing in squid's lists; write \"**.{base}\" if that name and those \
             below are meant"
        ));
    }
    parse(text.trim_end_matches('.'))
}

/// One `*`, before which nothing stands, is any text.
fn harden_runner(text: &str) -> Result<Pattern, String> {
    if let Some(base) = text.strip_prefix('.') {
        return Err(dotted(base));
    }
    let pattern = parse(text.trim_end_matches('.'))?;
    match &pattern {
        Pattern::AtOrBelow(name) => {
            Err(format!("write \"*.{name}\": two stars are not known there"))
        }
        Pattern::Exact(name) | Pattern::Below(name)
            if name.as_str() == "internal" || name.as_str().ends_with(".internal") =>
        {
            Err("names below \"internal\" are refused there".to_owned())
        }
        Pattern::Address(_) => Err("an address is looked up as a name there, and opens nothing; \
                                    write it in [network.addresses] if it is meant"
            .to_owned()),
        _ => Ok(pattern),
    }
}

fn smokescreen(text: &str) -> Result<Pattern, String> {
    let pattern = parse(text)?;
    match &pattern {
        Pattern::AtOrBelow(_) | Pattern::Any => {
            Err("smokescreen does not start with it; it takes names, and \"*.\" before one"
                .to_owned())
        }
        Pattern::Exact(name) if name.is_localhost() => {
            Err("not public, which is refused there whatever a list says".to_owned())
        }
        _ => Ok(pattern),
    }
}

/// A name that a resolver is asked for.
fn script_name(text: &str) -> Result<Pattern, String> {
    if text.contains(['$', '`']) {
        return Err("what it stands for is known when the script runs; name the host".to_owned());
    }
    match parse(text.trim_end_matches('.'))? {
        pattern @ Pattern::Exact(_) => Ok(pattern),
        Pattern::Address(address) => Err(format!(
            "an address; write \"{address}\" in [network.addresses] if it is to be reached"
        )),
        _ => Err("a resolver knows no wildcards, so that it opens nothing there".to_owned()),
    }
}

fn cilium_name(text: &str) -> Result<Pattern, String> {
    if text.contains('*') {
        return Err("a matchName has no wildcards there, and the policy is refused".to_owned());
    }
    cilium_pattern(text)
}

fn cilium_pattern(text: &str) -> Result<Pattern, String> {
    let text = text.trim_end_matches('.');
    let Some(first) = text.find('*') else {
        let pattern = parse(text)?;
        return match pattern {
            Pattern::Exact(_) => Ok(pattern),
            _ => Err("an address is no name there, and opens nothing; toCIDR is for addresses"
                .to_owned()),
        };
    };
    if text.bytes().all(|byte| byte == b'*') {
        return parse("*");
    }
    let base = text.trim_start_matches('*');
    match (first, base.strip_prefix('.')) {
        // Two stars or more before a dot are whole labels, since 1.19.
        (0, Some(base)) if !base.contains('*') && text.starts_with("**") => {
            parse(&format!("*.{base}"))
        }
        (0, Some(base)) if !base.contains('*') => Err(format!(
            "a star stays within one label there; write \"*.{base}\" = \"allow\" if names at every \
             depth below {base} may be reached, or name the hosts"
        )),
        _ => Err("a star within a name has no form here; name the hosts that are meant".to_owned()),
    }
}

/// A host and the text behind its last colon, where it may be a port.
pub(in crate::import) fn split_port_text(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.contains(':') || (host.starts_with('[') && host.ends_with(']')) =>
        {
            (host, Some(port))
        }
        _ => (text, None),
    }
}

/// Whether one of them matches something that the other matches.
pub(in crate::import) fn meet(one: &Pattern, other: &Pattern) -> bool {
    one.covers(other) || other.covers(one)
}

/// The pattern of a deny, for comparing.
pub(in crate::import) fn denied(text: &str) -> Option<Pattern> {
    let text = text.trim_end_matches('.');
    let text = match text.strip_prefix('.') {
        Some(base) => format!("**.{base}"),
        None => text.to_owned(),
    };
    Pattern::parse_domain(&text, Action::Deny).ok()
}
