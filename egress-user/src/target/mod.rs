//! Targets as a person writes them, and what a policy says to one.
//!
//! The forms are those of `egress check`; [`judge`] is the one place where tools ask the engine.
mod answers;

use std::str::FromStr;

pub use answers::{AnswerError, Answers};
use egress_common::Reason;

use crate::policy::{
    Decision, Host, HostError, HttpRequest, Lookup, Payload, Policy, Refusal, Request, Transport,
};

/// What is asked about. A host that is none is a refusal, not an error of the text.
#[derive(Clone, Debug)]
pub struct Target {
    /// Parsed.
    pub host: Result<Host, HostError>,
    /// As written.
    pub host_text: String,
    /// 0 to 65535; 0 is always refused.
    pub port: u16,
    /// TCP, unless the text begins with `udp://`.
    pub transport: Transport,
    /// A request for `http://`, TLS for `https://`, otherwise unknown.
    pub payload: Payload,
}

/// A text that is no target, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(pub String);

/// What a policy says to a target.
pub fn judge(policy: &Policy, target: &Target, lookup: &mut dyn Lookup) -> Decision {
    match &target.host {
        Ok(host) => {
            let Target { port, transport, ref payload, .. } = *target;
            let request = Request { host: host.clone(), port, transport, payload: payload.clone() };
            policy.decide(&request, lookup)
        }
        Err(error) => Decision::Refuse(Refusal {
            reason: Reason::InvalidHost,
            rule: None,
            fix: Some(format!("write a name or an address: {error}")),
        }),
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.starts_with("unix:") {
            return Err(TargetError(format!("{text:?}: unix sockets are not judged here yet")));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self::of_authority(text, Transport::Tcp, None);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Self::of_authority(rest, Transport::Tcp, None),
            "udp" => Self::of_authority(rest, Transport::Udp, None),
            "http" => {
                let target = Self::of_authority(authority(rest), Transport::Tcp, Some(80))?;
                Ok(Self { payload: Payload::Http(request(rest)), ..target })
            }
            "https" => {
                let target = Self::of_authority(authority(rest), Transport::Tcp, Some(443))?;
                Ok(Self { payload: Payload::Tls, ..target })
            }
            _ => Err(TargetError(format!(
                "{text:?}: write host:port, tcp://, udp://, http:// or https://"
            ))),
        }
    }
}

impl Target {
    fn of_authority(
        text: &str,
        transport: Transport,
        default_port: Option<u16>,
    ) -> Result<Self, TargetError> {
        let target = |host, host_text: &str, port| Self {
            host,
            host_text: host_text.to_owned(),
            port,
            transport,
            payload: Payload::Unknown,
        };
        // An address is one as a whole: `::1:443` has no port.
        match (Host::parse(text), default_port) {
            (whole @ Ok(_), Some(port)) => return Ok(target(whole, text, port)),
            (Ok(Host::Address(address)), None) if address.is_ipv6() => {
                return Err(TargetError(format!("{text:?} has no port; write [{address}]:443")));
            }
            (Ok(host), None) => {
                return Err(TargetError(format!("{text:?} has no port; write {host}:443")));
            }
            (Err(_), _) => {}
        }
        let with_port = text
            .rsplit_once(':')
            .filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        match (with_port, default_port) {
            (Some((host, port)), _) => {
                let port = port
                    .parse()
                    .map_err(|_| TargetError(format!("{port} is no port of 0 to 65535")))?;
                Ok(target(Host::parse(host), host, port))
            }
            (None, Some(port)) => Ok(target(Host::parse(text), text, port)),
            (None, None) => Err(TargetError(format!(
                "{text:?} is no target; write host:port or [address]:port"
            ))),
        }
    }
}

/// What stands before the path of a URL, and before a method after it.
fn authority(rest: &str) -> &str {
    rest.split(|c: char| "/?#".contains(c) || c.is_ascii_whitespace()).next().unwrap_or_default()
}

/// The request of a URL without its scheme: GET, unless a method follows after a space.
fn request(rest: &str) -> HttpRequest {
    let (url, method) = match rest.rsplit_once(|c: char| c.is_ascii_whitespace()) {
        Some((url, method)) => (url.trim_end(), method),
        None => (rest, "GET"),
    };
    let url = url.split('#').next().unwrap_or_default();
    let path = url.get(authority(url).len()..).unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    HttpRequest { method: method.into(), path: path.into() }
}

#[cfg(test)]
mod tests;
