//! Values of single keys.
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use egress_common::abi::DNS_PORT;
use ipnet::IpNet;
use toml::de::DeValue;

use super::{DnsServer, RecordType, presets, values::Value};
use crate::policy::{Action, Host, Name, Pattern, PatternError, PortRange, Transport, is_all_near};

mod url;

pub(super) use url::{proxy_url, socks_url, upstream_url};

/// Longest time of any key: a year. Longer ones are slips, and would overflow a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// RFC 7858.
const TLS_PORT: u16 = 853;
/// RFC 8484.
const HTTPS_PORT: u16 = 443;

fn error<T>(message: impl Into<String>, suggestion: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError::new(message, suggestion))
}

/// What a message calls the value's type.
fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Integer(value) => value.to_string(),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            format!("a value of type {}", value.type_str())
        }
    }
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, PatternError> {
    match value.as_bool() {
        Some(value) => Ok(value),
        None => error(format!("{} is not a boolean", kind(value)), "write true or false"),
    }
}

pub(super) fn action(value: &DeValue<'_>) -> Result<Action, PatternError> {
    match value.as_str() {
        Some("allow") => Ok(Action::Allow),
        Some("deny") => Ok(Action::Deny),
        _ => error(format!("{} is not an action", kind(value)), "write \"allow\" or \"deny\""),
    }
}

/// A port, or a text with a range of them.
pub(super) fn ports(value: &DeValue<'_>) -> Result<PortRange, PatternError> {
    const SUGGESTION: &str = "write a port of 1 to 65535, or a range such as \"8000-8010\"";
    if value.as_integer().is_some() {
        return match integer(value) {
            Some(0) => error("port 0 cannot be connected to", "write a port of 1 to 65535"),
            port => port
                .and_then(PortRange::one)
                .map_or_else(|| error(format!("{} is not a port", kind(value)), SUGGESTION), Ok),
        };
    }
    let text = value.as_str().unwrap_or_default();
    match PortRange::parse(text) {
        Some(one) if !text.contains('-') => {
            error(format!("\"{text}\" is not a port"), format!("write {}", one.first()))
        }
        Some(range) => Ok(range),
        None => error(format!("{} is not a port", kind(value)), as_range(text, SUGGESTION)),
    }
}

/// What was meant by a text that is nearly a range, or a list.
fn as_range(text: &str, otherwise: &str) -> String {
    let ends = text.split_once(['-', ':', '\u{2013}']);
    let ends = ends.and_then(|(first, last)| {
        let end = |text: &str| PortRange::parse(text.trim()).filter(|end| end.is_one());
        Some((end(first)?.first(), end(last)?.first()))
    });
    match ends {
        Some((first, last)) => format!("write \"{}-{}\"", first.min(last), first.max(last)),
        None if text.contains(',') => "write each port, as in [8000, 8001]".to_owned(),
        None => otherwise.to_owned(),
    }
}

fn integer(value: &DeValue<'_>) -> Option<u16> {
    let integer = value.as_integer()?;
    u16::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A number that is not 0.
pub(super) fn number(value: &DeValue<'_>, key: &str) -> Result<u16, PatternError> {
    match integer(value) {
        Some(number @ 1..) => Ok(number),
        Some(0) | None => {
            error(format!("{key} cannot be {}", kind(value)), "write a number of 1 to 65535")
        }
    }
}

pub(super) fn transport(value: &DeValue<'_>) -> Result<Transport, PatternError> {
    match value.as_str() {
        Some("tcp") => Ok(Transport::Tcp),
        Some("udp") => Ok(Transport::Udp),
        _ => error(format!("{} is not a transport", kind(value)), "write \"tcp\" or \"udp\""),
    }
}

/// The word for payloads of any protocol.
pub(super) fn any_protocol(value: &DeValue<'_>) -> Result<&'static str, PatternError> {
    match value.as_str() {
        Some("any") => Ok("any"),
        _ => error(
            format!("{} is not a protocol", kind(value)),
            "write \"any\", or leave it out for TLS and HTTP on their ports",
        ),
    }
}

/// A number and its unit: `"500ms"`, `"2s"`, `"5m"`, `"1h"`.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, PatternError> {
    let suggestion = match value.as_integer() {
        Some(number) => format!("write \"{number}s\""),
        None => "write a number with ms, s, m or h, such as \"2s\"".to_owned(),
    };
    let read = |text: &str| {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number: u64 = digits.parse().ok()?;
        Some(match text.strip_prefix(digits)? {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(60 * 60)?),
            _ => return None,
        })
    };
    match value.as_str().and_then(read) {
        Some(time) if time > LONGEST => error("this is more than a year", suggestion),
        Some(time) => Ok(time),
        None => error(format!("{} is not a time", kind(value)), suggestion),
    }
}

/// One word of a few.
pub(super) fn word(
    value: &DeValue<'_>,
    key: &str,
    words: &[&'static str],
) -> Result<Value, PatternError> {
    let text = value.as_str();
    match words.iter().find(|word| Some(**word) == text) {
        Some(word) => Ok(Value::Word(word)),
        None => {
            let list: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
            error(
                format!("{key} cannot be {}", kind(value)),
                format!("write {}", list.join(" or ")),
            )
        }
    }
}

/// A text of which the key asks nothing.
pub(super) fn text(value: &DeValue<'_>, key: &str) -> Result<Value, PatternError> {
    match value.as_str() {
        Some(text) => Ok(Value::Text(text.to_owned())),
        None => error(format!("{key} cannot be {}", kind(value)), "write a text in quotes"),
    }
}

/// The name of a preset.
pub(super) fn preset(value: &DeValue<'_>) -> Result<&'static str, PatternError> {
    match value.as_str() {
        Some(name) => presets::find(name).map(|preset| preset.name).ok_or_else(|| {
            PatternError::new(
                format!("there is no preset {name:?}"),
                format!("write one of {}", presets::names()),
            )
        }),
        None => error("a preset is a text", "write \"common-dependencies\""),
    }
}

/// The action of a unix socket; other tools also know "none".
pub(super) fn unix_action(value: &DeValue<'_>) -> Result<Action, PatternError> {
    if value.as_str() == Some("none") {
        return error("\"none\" is not an action", "leave the line out, or write \"deny\"");
    }
    action(value)
}

/// An HTTP method (RFC 9110 section 9.1).
pub(super) fn method(value: &DeValue<'_>) -> Result<String, PatternError> {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT"];
    let suggestion = "write a method such as \"GET\"";
    let Some(text) = value.as_str() else {
        return error(format!("{} is not a method", kind(value)), suggestion);
    };
    let upper = text.to_ascii_uppercase();
    if upper != text && KNOWN.contains(&upper.as_str()) {
        return error("methods are case-sensitive", format!("write \"{upper}\""));
    }
    if upper == "CONNECT" {
        return error("CONNECT asks a proxy for a tunnel, which no rule opens", "remove it");
    }
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if text.is_empty() || !text.bytes().all(is_token) {
        return error(format!("{text:?} is not a method"), suggestion);
    }
    Ok(text.into())
}

/// A prefix of paths, in the one spelling that every server reads alike.
pub(super) fn path_prefix(value: &DeValue<'_>) -> Result<String, PatternError> {
    let Some(text) = value.as_str() else {
        return error(format!("{} is not a path", kind(value)), "write a prefix such as \"/api/\"");
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        return error(format!("a path has no host: \"{scheme}://\""), format!("write {path:?}"));
    }
    if !text.starts_with('/') {
        return error(
            format!("the path {text:?} does not begin with /"),
            format!("write \"/{text}\""),
        );
    }
    if text.contains(['*', '?', '#']) {
        let plain = text.split(['*', '?', '#']).next().unwrap_or_default();
        let message = "a path is a prefix: it has no wildcard, query or fragment";
        return error(message, format!("write {plain:?}"));
    }
    if text.contains(['%', '\\', ';']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "a path has no escapes, backslashes, parameters or spaces: servers read these \
                       differently";
        return error(message, "write a prefix of plain segments, such as \"/api/v1\"");
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) || text.contains("//") {
        return error("a path has no empty, `.` or `..` segments", "write the path that is meant");
    }
    Ok(text.into())
}

/// The number of a type of DNS records, by its name (RFC 3597 for those without).
pub(super) fn record_type(value: &DeValue<'_>) -> Result<RecordType, PatternError> {
    let suggestion = "write a type such as \"TXT\", \"MX\", \"SRV\", or \"TYPE257\"";
    let Some(text) = value.as_str() else {
        return error(format!("{} is not a type of records", kind(value)), suggestion);
    };
    let by_number = text.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
    let number = match by_number {
        Some(number) => Some(number),
        None => text.parse::<hickory_proto::rr::RecordType>().ok().map(u16::from),
    };
    match number {
        None | Some(0) => error(format!("{text:?} is not a type of records"), suggestion),
        Some(1 | 28 | 64 | 65 | 12) => {
            error(format!("{text} is answered without being listed"), "remove it")
        }
        Some(41 | 128..=255) => {
            error(format!("{text} is no type of records but a question"), suggestion)
        }
        Some(number) => Ok(RecordType(number)),
    }
}

/// A block that a name may resolve to, an address being one of its own; in its canonical form.
pub(super) fn answer_block(value: &DeValue<'_>) -> Result<IpNet, PatternError> {
    let suggestion = "write an address or a block in quotes, such as \"10.20.0.0/16\"";
    let Some(text) = value.as_str() else {
        return error(format!("{} is not an address", kind(value)), suggestion);
    };
    let block = match Pattern::parse_address(text)? {
        Pattern::Address(address) => IpNet::from(address.to_canonical()),
        Pattern::Block(block) => block,
        _ => return error(format!("{text:?} is not an address"), suggestion),
    };
    if block.prefix_len() < block.max_prefix_len() && is_all_near(block) {
        return error(
            format!("{block} holds loopback, link-local or metadata addresses"),
            format!("write each that is meant by itself, such as \"{}\"", block.addr()),
        );
    }
    Ok(block)
}

/// A host that is dialled directly, as such lists are written.
pub(super) fn no_proxy(value: &DeValue<'_>) -> Result<String, PatternError> {
    match value.as_str().map(str::trim) {
        // Without the text: a URL may hold a password.
        Some(text) if text.contains("://") => {
            error("a URL is no host", "write its host alone, such as \".corp.example\"")
        }
        Some(text) if !text.is_empty() && !text.contains([',', ' ']) => Ok(text.to_owned()),
        _ => error(
            format!("{} is no host", kind(value)),
            "write one name, `.suffix`, address or block in each text",
        ),
    }
}

/// The name of a profile.
pub(super) fn profile(value: &DeValue<'_>) -> Result<String, PatternError> {
    match value.as_str() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => error(format!("{} is no profile", kind(value)), "write the name of a profile"),
    }
}

/// The path of cgroups below the root.
pub(super) fn cgroup(value: &DeValue<'_>) -> Result<String, PatternError> {
    let suggestion = "write a path such as \"/system.slice/docker-*.scope\"";
    match value.as_str() {
        Some(path) if path.starts_with("/sys/fs/cgroup") => {
            error("a cgroup is named from the cgroup root on", suggestion)
        }
        Some(path)
            if path.starts_with('/')
                && !path.split('/').any(|part| matches!(part, "." | ".."))
                && !path.contains('\0') =>
        {
            Ok(path.to_owned())
        }
        _ => error(format!("{} is no cgroup", kind(value)), suggestion),
    }
}

pub(super) fn dns_server(value: &DeValue<'_>) -> Result<DnsServer, PatternError> {
    let suggestion = "write \"system\", \"9.9.9.9\", \"9.9.9.9:53\", \"tls://9.9.9.9#dns.quad9.net\" or \
                      \"https://9.9.9.9/dns-query#dns.quad9.net\"";
    let Some(text) = value.as_str() else {
        return error(format!("{} is not a DNS server", kind(value)), suggestion);
    };
    let wrong = || PatternError::new(format!("{text:?} is not a DNS server"), suggestion);
    if text == "system" {
        return Ok(DnsServer::System);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return server_address(text, DNS_PORT).map(DnsServer::Address).ok_or_else(wrong);
    };
    let (rest, name) = match rest.split_once('#') {
        Some((rest, name)) => (rest, Some(Name::parse(name).map_err(|_| wrong())?)),
        None => (rest, None),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if let Ok(Host::Name(host)) = Host::parse_with_port(authority).map(|(host, _)| host) {
        return error(
            format!("the name {host} cannot be looked up before there is a DNS server"),
            format!("write its address, with the name behind: \"{scheme}://9.9.9.9#{host}\""),
        );
    }
    match (scheme, path) {
        ("udp" | "tcp", "") => error(
            format!("DNS servers are asked by UDP and TCP; {scheme}:// is not needed"),
            format!("write \"{authority}\""),
        ),
        ("tls", "") => {
            let address = server_address(authority, TLS_PORT).ok_or_else(wrong)?;
            Ok(DnsServer::Tls { address, name })
        }
        ("https", path) => {
            let address = server_address(authority, HTTPS_PORT).ok_or_else(wrong)?;
            let path = if path.is_empty() { "/dns-query" } else { path };
            Ok(DnsServer::Https { address, name, path: path.into() })
        }
        ("quic" | "h3", _) => error(format!("DNS by {scheme}:// is not built"), suggestion),
        _ => Err(wrong()),
    }
}

fn server_address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port),
        Err(_) => text.parse().ok()?,
    };
    (address.port() != 0).then_some(address)
}
