//! Targets as a person writes them, and what a policy says to one.
//!
//! The forms are those of `egress check`; [`judge`] is the one place where tools ask the engine.
mod answers;

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

pub use answers::{AnswerError, Answers};
use egress_common::Reason;

use crate::policy::{
    Decision, Host, HostError, HttpRequest, Lookup, Origin, Payload, Policy, Refusal, Remedy,
    Request, Route, RouteReason, Rule, Transport, UnixAddress, UnixRule,
};

/// What is asked about.
#[derive(Clone, Debug)]
pub enum Target {
    /// A host and a port.
    Network(NetworkTarget),
    /// `unix:/run/a.sock`, `unix:@name`.
    Unix(UnixAddress),
}

/// A host and a port. A host that is none is a refusal, not an error of the text.
#[derive(Clone, Debug)]
pub struct NetworkTarget {
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

impl Target {
    /// How a connection to it says whom it is for, in the words of the policy language: `literal`
    /// is an address, `pin` a name that was looked up to the address that is dialled, `sni` and
    /// `http-host` what TLS and HTTP say besides. None for unix sockets and for hosts that are none.
    pub fn evidence(&self) -> Option<&'static str> {
        let Self::Network(NetworkTarget { host: Ok(host), payload, .. }) = self else {
            return None;
        };
        Some(match (host, payload) {
            (Host::Address(_), _) => "literal",
            (Host::Name(_), Payload::Tls | Payload::TlsWithEch) => "sni",
            (Host::Name(_), Payload::Http(_)) => "http-host",
            (Host::Name(_), Payload::Unknown | Payload::Opaque) => "pin",
        })
    }
}

/// A text that is no target, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetError(pub String);

/// What a policy says to a target.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Why it is refused; none when it is allowed.
    pub reason: Option<Reason>,
    /// The line that decides, where one does.
    pub line: Option<Line>,
    /// What would change a refusal, where something would.
    pub remedy: Option<Remedy>,
    /// Where it may be dialled; none when it is refused, or no host.
    pub addresses: Vec<IpAddr>,
    /// The way of its bytes and why, where it is an allowed TCP target.
    pub route: Option<(Route, RouteReason)>,
}

/// The line of a policy that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Of `[network.domains]` or `[network.addresses]`, or a flag.
    Rule(Arc<Rule>),
    /// Of `[network.unix_sockets]`.
    Unix(UnixRule),
}

/// What a policy says to a target.
pub fn judge(policy: &Policy, target: &Target, lookup: &mut dyn Lookup) -> Verdict {
    let target = match target {
        Target::Network(target) => target,
        Target::Unix(address) => {
            return match policy.unix(address) {
                Ok(rule) => Verdict::allow(rule.cloned().map(Line::Unix)),
                Err(refusal) => {
                    let denies = |rule: &&UnixRule| {
                        refusal.reason == Reason::Denied && rule.address == *address
                    };
                    let line = policy.unix_rules().iter().find(denies).cloned().map(Line::Unix);
                    Verdict { line, ..refusal.into() }
                }
            };
        }
    };
    let host = match &target.host {
        Ok(host) => host.clone(),
        Err(error) => {
            let remedy = Some(Remedy::WriteHost(error.clone()));
            let reason = Some(Reason::InvalidHost);
            return Verdict { reason, line: None, remedy, addresses: Vec::new(), route: None };
        }
    };
    let NetworkTarget { port, transport, ref payload, .. } = *target;
    let request = Request { host, port, transport, payload: payload.clone() };
    match policy.decide(&request, lookup) {
        Decision::Allow { grant, addresses } => {
            // Of several lines of one pattern, the one that lets it pass.
            let line = grant.judge_payload(policy.settings(), port, transport, payload);
            let line = Line::Rule(line.unwrap_or(grant.rule()).clone());
            let tcp = transport == Transport::Tcp;
            let route = tcp.then(|| policy.route(&request, &grant, &addresses));
            Verdict { addresses, route, ..Verdict::allow(Some(line)) }
        }
        Decision::Refuse(refusal) => refusal.into(),
    }
}

impl Verdict {
    fn allow(line: Option<Line>) -> Self {
        Self { reason: None, line, remedy: None, addresses: Vec::new(), route: None }
    }

    /// Whether the target is allowed.
    pub fn is_allow(&self) -> bool {
        self.reason.is_none()
    }
}

impl From<Refusal> for Verdict {
    fn from(Refusal { reason, rule, remedy }: Refusal) -> Self {
        let line = rule.map(Line::Rule);
        Self { reason: Some(reason), line, remedy, addresses: Vec::new(), route: None }
    }
}

/// `allow by a.test (p.toml:2)`, `deny (not_allowed) by no rule`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            None => f.write_str("allow")?,
            Some(reason) => write!(f, "deny ({})", reason.name())?,
        }
        match &self.line {
            Some(line) => write!(f, " by {line}"),
            None => f.write_str(" by no rule"),
        }
    }
}

impl Line {
    /// The pattern or address, as the user wrote it.
    pub fn text(&self) -> &str {
        match self {
            Line::Rule(rule) => &rule.text,
            Line::Unix(rule) => &rule.text,
        }
    }

    /// Where it stands.
    pub fn origin(&self) -> &Origin {
        match self {
            Line::Rule(rule) => &rule.origin,
            Line::Unix(rule) => &rule.origin,
        }
    }
}

/// `example.com (policy.toml:4)`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Rule(rule) => rule.fmt(f),
            Line::Unix(rule) => rule.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if let Some(address) = text.strip_prefix("unix:") {
            return match UnixAddress::parse(address) {
                Ok(address) => Ok(Self::Unix(address)),
                Err(error) => Err(TargetError(error.to_string())),
            };
        }
        NetworkTarget::read(text).map(Self::Network)
    }
}

impl NetworkTarget {
    fn read(text: &str) -> Result<Self, TargetError> {
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
                "{text:?}: write host:port, tcp://, udp://, http://, https:// or unix:/path"
            ))),
        }
    }

    fn of_authority(
        text: &str,
        transport: Transport,
        default_port: Option<u16>,
    ) -> Result<Self, TargetError> {
        let target = |host, text: &str, port| {
            let host_text = text.to_owned();
            Self { host, host_text, port, transport, payload: Payload::Unknown }
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
