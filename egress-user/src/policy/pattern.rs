//! Patterns: what a rule is about.
use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

use super::{Action, Host, Name, class};

mod cover;

/// A pattern of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `example.com`: this name.
    Exact(Name),
    /// `*.example.com`: every name below this one, at any depth.
    Below(Name),
    /// `**.example.com`: this name and every name below it.
    AtOrBelow(Name),
    /// `*`: every public host.
    Any,
    /// One canonical address.
    Address(IpAddr),
    /// A block of addresses; v4-mapped blocks are IPv4.
    Block(IpNet),
}

impl Pattern {
    /// A key of `[network.domains]`.
    pub fn parse_domain(text: &str, action: Action) -> Result<Self, PatternError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.is_empty() {
            return Err(PatternError::new(
                "an empty pattern matches nothing",
                "write a host name such as \"example.com\"",
            ));
        }
        // No host has a star, and to find that out from the tables would take long.
        if !text.contains('*') {
            match Host::parse(text) {
                Ok(Host::Address(address)) => return Ok(Pattern::Address(address)),
                Ok(Host::Name(name)) => return Ok(Pattern::Exact(name)),
                Err(_) => {}
            }
        }
        if text.contains('*') && text.bytes().all(|b| b"*.".contains(&b)) {
            return parse_global(text, action);
        }
        if let Some(error) = foreign_part(text) {
            return Err(error);
        }
        if let Some(base) = text.strip_prefix("**.") {
            return parse_base(text, base).map(Pattern::AtOrBelow);
        }
        if let Some(base) = text.strip_prefix("*.") {
            return parse_base(text, base).map(Pattern::Below);
        }
        if text.contains('*') {
            return Err(misplaced_wildcard(text));
        }
        // As cookies and other tools write it.
        if let Some(Ok(name)) = text.strip_prefix('.').map(Name::parse) {
            return Err(PatternError::new(
                format!("{text:?} begins with a dot"),
                format!(
                    "write \"**.{name}\" for {name} and all below it, or \"*.{name}\" without itself"
                ),
            ));
        }
        Name::parse(text).map(Pattern::Exact).map_err(|error| {
            PatternError::new(error.0, "write a host name such as \"example.com\"")
        })
    }

    /// A key of `[network.addresses]`.
    pub fn parse_address(text: &str) -> Result<Self, PatternError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        match Host::parse(text) {
            Ok(Host::Address(address)) => return Ok(Pattern::Address(address)),
            Ok(Host::Name(name)) => {
                return Err(PatternError::new(
                    format!("{text:?} is a name, not an address"),
                    format!("write \"{name}\" in [network.domains]"),
                ));
            }
            Err(_) => {}
        }
        let example = "write an address or a block such as \"192.0.2.10\" or \"10.20.0.0/16\"";
        let block: IpNet = text.parse().map_err(|_| {
            PatternError::new(format!("{text:?} is neither an address nor a block"), example)
        })?;
        if block.trunc() != block {
            return Err(PatternError::new(
                format!("the block {block} has bits set after its prefix"),
                format!("write \"{}\", or \"{}\" for the one address", block.trunc(), block.addr()),
            ));
        }
        Ok(Self::block(block))
    }

    /// The pattern of a block: a whole address is that address, and a v4-mapped block is IPv4.
    pub fn block(block: IpNet) -> Self {
        let block = match block.trunc() {
            IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
                Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(block, IpNet::V4),
                None => IpNet::V6(v6),
            },
            block => block,
        };
        if block.prefix_len() == block.max_prefix_len() {
            Pattern::Address(block.addr())
        } else {
            Pattern::Block(block)
        }
    }

    /// Whether the pattern is an address or a block.
    pub fn is_address(&self) -> bool {
        self.as_block().is_some()
    }

    /// Whether it is a block of public addresses with others among them, such as `0.0.0.0/0`.
    pub fn is_mixed_block(&self) -> bool {
        self.as_block().is_some_and(class::is_mixed)
    }

    /// The block of an address pattern, one address being the smallest block.
    pub(super) fn as_block(&self) -> Option<IpNet> {
        match self {
            Pattern::Address(address) => Some(IpNet::from(*address)),
            Pattern::Block(block) => Some(*block),
            Pattern::Exact(_) | Pattern::Below(_) | Pattern::AtOrBelow(_) | Pattern::Any => None,
        }
    }
}

/// The normal spelling.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(name) => name.fmt(f),
            Pattern::Below(name) => write!(f, "*.{name}"),
            Pattern::AtOrBelow(name) => write!(f, "**.{name}"),
            Pattern::Any => f.write_str("*"),
            Pattern::Address(address) => address.fmt(f),
            Pattern::Block(block) => block.fmt(f),
        }
    }
}

/// Why a pattern is refused at load, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {suggestion}")]
pub struct PatternError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: String,
}

impl PatternError {
    pub(crate) fn new(message: impl Into<String>, suggestion: impl Into<String>) -> Self {
        // Both quote what others wrote, and end on a terminal.
        let printable = |text: String| text.replace(char::is_control, "\u{fffd}");
        Self { message: printable(message.into()), suggestion: printable(suggestion.into()) }
    }
}

/// Patterns of stars and dots alone.
fn parse_global(text: &str, action: Action) -> Result<Pattern, PatternError> {
    match (text, action) {
        ("*", Action::Allow) => Ok(Pattern::Any),
        (_, Action::Deny) => Err(PatternError::new(
            format!("{text:?} cannot be denied"),
            "leave the line out: what no rule allows is refused already",
        )),
        (_, Action::Allow) => Err(PatternError::new(
            format!("{text:?} is not a pattern"),
            "write \"*\" for every public host, or \"**.example.com\"",
        )),
    }
}

/// A scheme, path, port, block or glob inside of a domain pattern.
fn foreign_part(text: &str) -> Option<PatternError> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return Some(PatternError::new(
            format!("a domain pattern has no scheme: {:?}", format!("{scheme}://")),
            match authority.rsplit_once(':') {
                Some((host, port)) => with_port(host, port),
                None => format!("write \"{authority}\""),
            },
        ));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Some(if text.parse::<IpNet>().is_ok() {
            PatternError::new(
                format!("{text:?} is a block of addresses, not a domain"),
                format!("write \"{text}\" in [network.addresses]"),
            )
        } else {
            let path = text.get(host.len()..).unwrap_or_default();
            PatternError::new(
                "a domain pattern has no path",
                format!("write \"{host}\" = {{ action = \"allow\", paths = [{path:?}] }}"),
            )
        });
    }
    if text.contains(['?', '{', '}']) || (text.contains(['[', ']']) && !text.contains(':')) {
        return Some(PatternError::new(
            "`?`, `{}` and `[]` are not part of a pattern",
            "write one line for each name, or \"**.example.com\" for all below a name",
        ));
    }
    text.rsplit_once(':').map(|(host, port)| {
        PatternError::new("a domain pattern has no port", with_port(host, port))
    })
}

fn with_port(host: &str, port: &str) -> String {
    let port = port.parse().unwrap_or(443_u16);
    format!("write \"{host}\" = {{ action = \"allow\", ports = [{port}] }}")
}

fn parse_base(text: &str, base: &str) -> Result<Name, PatternError> {
    if base.contains('*') {
        return Err(misplaced_wildcard(text));
    }
    match Host::parse(base) {
        Ok(Host::Name(name)) => Ok(name),
        Ok(Host::Address(address)) => Err(PatternError::new(
            format!("{text:?}: nothing is below the address {address}"),
            "write a block such as \"192.0.2.0/24\" in [network.addresses]",
        )),
        Err(error) => Err(PatternError::new(error.0, "write a pattern such as \"*.example.com\"")),
    }
}

fn misplaced_wildcard(text: &str) -> PatternError {
    let rest = text.trim_start_matches('*').trim_start_matches('.');
    let suggestion = match Name::parse(rest) {
        // `*example.com` is mostly meant as one of these two.
        Ok(name) => format!("write \"*.{name}\", or \"**.{name}\" for {name} as well"),
        Err(_) => "write one line for each name, or a pattern such as \"*.example.com\"".to_owned(),
    };
    PatternError::new(
        format!("{text:?}: `*` stands only for whole labels, at the start"),
        suggestion,
    )
}

#[cfg(test)]
mod tests;
