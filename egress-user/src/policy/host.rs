//! Hosts: one normaliser for every spelling.
//!
//! Everything that a person, a program or a policy file calls a host comes through here once, and
//! leaves as a [`Name`] or a canonical address. Two spellings that some resolver reads as one host
//! must not leave as two values, else a deny of the one would not stop the other.
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use idna::AsciiDenyList;

/// Longest text that is looked at, in bytes. A name has 253 bytes at most; mapped away characters
/// (soft hyphens) may make the text longer, but not without end: normalising costs time.
const TEXT_LIMIT_BYTES: usize = 1024;
/// Most bytes of a name in text form, without the root's dot.
pub const NAME_LIMIT_BYTES: usize = 253;
/// Most bytes of a label.
pub const LABEL_LIMIT_BYTES: usize = 63;

/// A normalised DNS name: A-labels, lower case, no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Parses any text spelling; addresses are an error here.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match Host::parse(text)? {
            Host::Name(name) => Ok(name),
            Host::Address(address) => {
                Err(HostError(format!("{text:?} is the address {address}, not a name")))
            }
        }
    }

    /// The name that these labels of a DNS message make. Nothing is mapped: a byte that no host
    /// name has (a dot inside of a label among them) makes the name invalid.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, HostError> {
        let mut text = String::new();
        for label in labels {
            if !text.is_empty() {
                text.push('.');
            }
            if !label.iter().all(|&byte| is_name_byte(byte)) {
                return Err(HostError("a label has a byte that no host name has".to_owned()));
            }
            text.extend(label.iter().map(|&byte| char::from(byte)));
            if label.is_empty() || text.len() > NAME_LIMIT_BYTES {
                return Err(HostError("an empty label, or too many bytes".to_owned()));
            }
        }
        Self::parse(&text)
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `localhost`, which is never looked up.
    pub fn is_localhost(&self) -> bool {
        &*self.0 == "localhost"
    }

    /// The name itself, then each of its parents: `a.b.c`, `b.c`, `c`.
    pub(super) fn suffixes(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |suffix| {
            suffix.split_once('.').map(|(_, parent)| parent)
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name or a canonical address (v4-mapped addresses are IPv4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name.
    Name(Name),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Parses a host without a port.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        Self::parse_trimmed(text.trim_matches(|c: char| c.is_ascii_whitespace()))
    }

    /// Parses `host`, `host:port`, `[v6]:port` (a Host header, a CONNECT target).
    pub fn parse_with_port(text: &str) -> Result<(Self, Option<u16>), HostError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        // The whole first: `2606:4700::443` is an address, and 443 is not its port.
        if let Some(address) = parse_bracketed(text).or_else(|| parse_address(text)) {
            return Ok((Host::Address(address), None));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Ok((Self::parse_trimmed(text)?, None));
        };
        Ok((Self::parse_trimmed(host)?, Some(parse_port(port)?)))
    }

    /// Spaces are trimmed from the whole only: `example.com :443` is not a host with a port.
    fn parse_trimmed(text: &str) -> Result<Self, HostError> {
        if text.len() > TEXT_LIMIT_BYTES {
            return Err(HostError(format!("a host of {} bytes is too long", text.len())));
        }
        if text.starts_with('[') || text.ends_with(']') {
            return match parse_bracketed(text) {
                Some(address) => Ok(Host::Address(address)),
                None => Err(HostError(format!("{text:?}: only an address may stand in brackets"))),
            };
        }
        if let Some(address) = parse_address(text) {
            return Ok(Host::Address(address));
        }
        let name = normalise_name(text)?;
        // Again, as mapping may have made an address of it: full-width digits, a trailing dot.
        if let Some(address) = parse_address(&name) {
            return Ok(Host::Address(address));
        }
        if name.rsplit('.').next().is_some_and(is_numeric_label) {
            return Err(HostError(format!("{text:?} ends in a number but is no IPv4 address")));
        }
        Ok(Host::Name(Name(name.into())))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => name.fmt(f),
            Host::Address(address) => address.fmt(f),
        }
    }
}

/// Why a text is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

fn parse_bracketed(text: &str) -> Option<IpAddr> {
    parse_address(text.strip_prefix('[')?.strip_suffix(']')?)
}

/// Digits alone: `str::parse` would take a sign as well.
fn parse_port(text: &str) -> Result<u16, HostError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err(HostError(format!("{text:?} is no port"))),
    }
}

/// Any spelling of an address that the platform's resolver takes, without brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        // The zone says which interface, never which class of address: it is dropped before the
        // address is judged, and so cannot change the verdict.
        let address = match text.split_once('%') {
            Some((address, zone)) if is_zone(zone) => address,
            Some(_) => return None,
            None => text,
        };
        return Some(IpAddr::V6(Ipv6Addr::from_str(address).ok()?).to_canonical());
    }
    parse_inet_aton(text).map(IpAddr::V4)
}

fn is_zone(zone: &str) -> bool {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
    (1..=LABEL_LIMIT_BYTES).contains(&zone.len()) && zone.bytes().all(byte)
}

/// The forms of inet_aton(3): one to four parts, each decimal, octal or hexadecimal, where the last
/// one fills the bytes that are left.
fn parse_inet_aton(text: &str) -> Option<Ipv4Addr> {
    let mut address: u32 = 0;
    let mut parts = text.split('.').peekable();
    for position in 0..4 {
        let part = parse_inet_aton_part(parts.next()?)?;
        if parts.peek().is_none() {
            let free_bits = 32 - 8 * position;
            if free_bits < 32 && part >> free_bits != 0 {
                return None;
            }
            return Some(Ipv4Addr::from(address | part));
        }
        let byte = u8::try_from(part).ok()?;
        // With four parts read and more to come the loop ends without an address.
        address |= u32::from(byte) << (24 - 8 * position);
    }
    None
}

fn parse_inet_aton_part(part: &str) -> Option<u32> {
    let (digits, radix) = match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&part[2..], 16),
        [b'0', _, ..] => (&part[1..], 8),
        _ => (part, 10),
    };
    // from_str_radix takes a sign; inet_aton does not.
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// Whether a resolver might try to read the label as a number.
fn is_numeric_label(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").unwrap_or("none");
    label.bytes().all(|b| b.is_ascii_digit()) || hexadecimal.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn normalise_name(text: &str) -> Result<String, HostError> {
    let plain = |label: &str| {
        label.bytes().all(is_name_byte)
            && !label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
    };
    // Labels of plain ASCII map to their lower case: the tables are for the rest.
    let mut name = if text.split('.').all(plain) {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::URL)
            .map_err(|_| HostError(format!("{text:?} is not a valid internationalised name")))?
            .into_owned()
    };
    if name.ends_with('.') {
        name.pop();
    }
    if name.len() > NAME_LIMIT_BYTES {
        return Err(HostError(format!("a name of {} bytes; 253 is the most", name.len())));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(HostError(format!("{text:?} has an empty label")));
        }
        if label.len() > LABEL_LIMIT_BYTES {
            return Err(HostError(format!("{text:?} has a label of more than 63 bytes")));
        }
        if !label.bytes().all(is_name_byte) {
            return Err(HostError(format!("{text:?} has a character that no host name has")));
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
