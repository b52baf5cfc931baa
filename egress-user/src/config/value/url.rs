//! URLs of listeners, and of a proxy to leave by.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::de::DeValue;

use super::{error, kind};
use crate::{
    config::{ListenUrl, UpstreamUrl},
    policy::{Host, PatternError},
};

/// Where the explicit HTTP listener listens.
pub(in crate::config) fn proxy_url(value: &DeValue<'_>) -> Result<ListenUrl, PatternError> {
    listen(value, &["http"], 3128, "http://127.0.0.1:3128")
}

/// Where the explicit SOCKS5 listener listens.
pub(in crate::config) fn socks_url(value: &DeValue<'_>) -> Result<ListenUrl, PatternError> {
    listen(value, &["socks5h", "socks5"], 8081, "socks5h://127.0.0.1:8081")
}

fn listen(
    value: &DeValue<'_>,
    schemes: &[&str],
    default_port: u16,
    example: &str,
) -> Result<ListenUrl, PatternError> {
    let suggestion = format!("write \"{example}\"; port 0 is any free port");
    let Some(text) = value.as_str() else {
        return error(format!("{} is no address to listen at", kind(value)), suggestion);
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return error(format!("{text:?} has no scheme"), suggestion);
    };
    if !schemes.contains(&scheme) {
        return error(format!("{scheme}:// is not the scheme of this listener"), suggestion);
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['@', '/', '?', '#']) {
        let message = "an address to listen at has no password, path or query";
        return error(message, suggestion);
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The whole first: `[::1]` has no port.
        Some((host, port)) if !authority.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, Some(default_port)),
    };
    let address = match Host::parse(host) {
        Ok(Host::Address(address)) => Some(address),
        Ok(Host::Name(name)) if name.is_localhost() => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Ok(Host::Name(_)) | Err(_) => None,
    };
    match address.zip(port) {
        Some((address, port)) => {
            Ok(ListenUrl { text: text.to_owned(), address: SocketAddr::new(address, port) })
        }
        None => error(format!("{text:?} is no address to listen at"), suggestion),
    }
}

/// A proxy to leave by. What is wrong is said without the text: it may hold a password.
pub(in crate::config) fn upstream_url(value: &DeValue<'_>) -> Result<UpstreamUrl, PatternError> {
    let suggestion =
        "write \"http://proxy.example:3128\", or with https://, socks5:// or socks5h://";
    let Some(text) = value.as_str() else {
        return error("this is no URL of a proxy", suggestion);
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return error("the URL has no scheme", suggestion);
    };
    if !["http", "https", "socks5", "socks5h"].contains(&scheme) {
        return error("this is no scheme of a proxy that can be used", suggestion);
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    // The last @: a password may hold others.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.contains(['/', '?', '#']) {
        return error("the URL of a proxy has no path or query", suggestion);
    }
    match Host::parse_with_port(host) {
        Ok((_, Some(0))) | Err(_) => error("the URL names no host and port", suggestion),
        Ok(_) => Ok(UpstreamUrl { text: text.to_owned() }),
    }
}
