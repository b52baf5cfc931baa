//! Allows: what the real program would match, and nothing else.
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Dialect, set, split_port};
use crate::{
    import::{page::Page, rules::Rule},
    policy::{Action, Pattern},
};

/// Allows what the text opens there; what opens nothing there is left out and told.
pub(in crate::import) fn allow(
    page: &mut Page<'_>,
    profile: &str,
    text: &str,
    dialect: Dialect,
    place: &str,
) {
    let read = match url(text) {
        Some(read) => read,
        None => match dialect {
            Dialect::Codex => codex(text),
            _ => runtime(text),
        }
        .map(|(pattern, port)| Allow { pattern, port, note: None }),
    };
    let Allow { pattern, port, note } = match read {
        Ok(allow) => allow,
        Err(why) => return page.leave_out(place, format!("{text:?}: {why}")),
    };
    match note {
        Some(note) => page.change(place, format!("{text:?}: {note}")),
        None if port.is_some() && dialect == Dialect::Codex => {
            let why = "the port is dropped there, so that every port opens; here this one alone";
            page.change(place, format!("{text:?}: {why}"));
        }
        None => {}
    }
    let rule = Rule::new(Action::Allow, port, pattern.is_address(), place);
    set(page, profile, &pattern, rule);
}

struct Allow {
    pattern: Pattern,
    port: Option<u16>,
    note: Option<&'static str>,
}

/// `https://host`, `http://host:8080/`: neither tool takes such, and what is meant is plain. None
/// where the text is no URL.
fn url(text: &str) -> Option<Result<Allow, String>> {
    let (scheme, rest) = text.trim().split_once("://")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return Some(Err(format!("opens nothing there; {scheme}:// has no rule here"))),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '@']) {
        let why = "opens nothing there; a path or a password is no part of a rule for TLS";
        return Some(Err(why.to_owned()));
    }
    Some(codex(authority).and_then(|(pattern, port)| match pattern {
        Pattern::Exact(_) | Pattern::Address(_) => Ok(Allow {
            pattern,
            port: Some(port.unwrap_or(default_port)),
            note: Some("opens nothing there; here the host, at the port of the scheme"),
        }),
        _ => Err("opens nothing there; a URL has no wildcards".to_owned()),
    }))
}

/// What Codex matches: globs over the name, of which ours say `*.`, `**.` and `*`.
fn codex(text: &str) -> Result<(Pattern, Option<u16>), String> {
    let text = text.trim();
    if let Ok(block) = text.parse::<IpNet>() {
        return Err(format!(
            "a block opens nothing there; write \"{}\" = \"allow\" in [network.addresses] if it is \
             meant",
            block.trunc()
        ));
    }
    plain(text)?;
    if let Some(base) = text.strip_prefix('.') {
        return Err(dotted(base));
    }
    let (host, port) = split_port(text);
    let pattern = parse(host.trim_end_matches('.'))?;
    // There a text is compared, whatever address a resolver would read in it.
    if let Some(address) = address(&pattern)
        && bare(host).parse::<IpAddr>().ok() != Some(address)
    {
        return Err(other_spelling(address));
    }
    Ok((pattern, port))
}

/// What sandbox-runtime matches: texts that its schema takes.
fn runtime(text: &str) -> Result<(Pattern, Option<u16>), String> {
    plain(text)?;
    if text.trim() != text {
        return Err("the blanks around it match nothing there".to_owned());
    }
    if let Some(base) = text.strip_prefix('.') {
        return Err(dotted(base));
    }
    if text.matches(':').count() > 1 && !text.starts_with('[') {
        return Err("refused there: IPv6 is written in brackets".to_owned());
    }
    let (host, port) = split_port(text);
    if port.is_some() && text.rsplit_once(':').is_some_and(|(_, port)| port.starts_with('0')) {
        return Err("refused there: a port has no zeros before it".to_owned());
    }
    if host.contains('*') {
        let base = host.strip_prefix("*.").unwrap_or_default();
        if !base.contains('.') || base.contains('*') {
            return Err("refused there: \"*.\" stands before two labels at least".to_owned());
        }
    }
    if !host.starts_with('[')
        && (host.ends_with('.') || !(host.contains('.') || host == "localhost"))
    {
        return Err("refused there: it has no dot, or one at its end".to_owned());
    }
    let pattern = parse(host)?;
    if let Some(address) = address(&pattern) {
        let literal = bare(host).parse::<IpAddr>().ok().map(|literal| literal.to_canonical());
        if literal != Some(address) {
            return Err(other_spelling(address));
        }
    }
    Ok((pattern, port))
}

pub(super) fn parse(host: &str) -> Result<Pattern, String> {
    Pattern::parse_domain(host, Action::Allow)
        .map_err(|error| format!("{}; {}", error.message, error.suggestion))
}

pub(super) fn address(pattern: &Pattern) -> Option<IpAddr> {
    match pattern {
        Pattern::Address(address) => Some(*address),
        _ => None,
    }
}

/// Without brackets.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Both compare bytes: an international name is its A-labels, and a zone is one interface.
pub(super) fn plain(text: &str) -> Result<(), String> {
    match text.chars().find(|c| !c.is_ascii() || *c == '%') {
        Some('%') => Err("a zone is not part of a rule here, which would open them all".to_owned()),
        Some(_) => {
            Err("opens nothing there; write its form of ASCII (xn--) if it is meant".to_owned())
        }
        None => Ok(()),
    }
}

pub(super) fn dotted(base: &str) -> String {
    format!("a dot at the start matches nothing there; write \"*.{base}\" if names below are meant")
}

pub(super) fn other_spelling(address: IpAddr) -> String {
    format!("this spelling of {address} opens nothing there; write that address if it is meant")
}
