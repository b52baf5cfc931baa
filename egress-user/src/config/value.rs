//! Values of single keys.
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use toml::de::DeValue;

use super::DnsServer;
use crate::policy::{Action, PatternError, Transport};

/// Longest time of any key: a year. Longer ones are slips, and would overflow a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// The port of DNS, where a server is written without.
const DNS_PORT: u16 = 53;

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

pub(super) fn port(value: &DeValue<'_>) -> Result<u16, PatternError> {
    let port = value
        .as_integer()
        .and_then(|integer| u16::from_str_radix(integer.as_str(), integer.radix()).ok());
    match port {
        Some(0) => error("port 0 cannot be connected to", "write a port of 1 to 65535"),
        Some(port) => Ok(port),
        None => error(format!("{} is not a port", kind(value)), "write a port of 1 to 65535"),
    }
}

pub(super) fn transport(value: &DeValue<'_>) -> Result<Transport, PatternError> {
    match value.as_str() {
        Some("tcp") => Ok(Transport::Tcp),
        Some("udp") => Ok(Transport::Udp),
        _ => error(format!("{} is not a transport", kind(value)), "write \"tcp\" or \"udp\""),
    }
}

/// Whether payloads of any protocol pass.
pub(super) fn any_protocol(value: &DeValue<'_>) -> Result<bool, PatternError> {
    match value.as_str() {
        Some("any") => Ok(true),
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

pub(super) fn dns_server(value: &DeValue<'_>) -> Result<DnsServer, PatternError> {
    let suggestion = "write \"system\", an address such as \"9.9.9.9\", or \"9.9.9.9:53\"";
    let Some(text) = value.as_str() else {
        return error(format!("{} is not a DNS server", kind(value)), suggestion);
    };
    if text == "system" {
        return Ok(DnsServer::System);
    }
    if let Some((scheme @ ("tls" | "https" | "quic" | "h3"), _)) = text.split_once("://") {
        return error(format!("DNS servers by {scheme}:// are not built yet"), suggestion);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, DNS_PORT)),
        Err(_) => text.parse().ok(),
    };
    match address {
        Some(address) if address.port() != 0 => Ok(DnsServer::Address(address)),
        _ => error(format!("{text:?} is not a DNS server"), suggestion),
    }
}
