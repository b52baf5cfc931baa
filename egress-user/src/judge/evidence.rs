//! What vouches for a connection, and whether what it says of itself agrees. No I/O.
//!
//! A connection to a pinned address is known by the names that were looked up to it; it must then
//! name one of them (TLS SNI, HTTP Host). A connection to an address that a rule allows by itself,
//! or to a public address under `*`, carries no name: only denies apply to what it names.

use std::net::{IpAddr, SocketAddr};

use egress_common::Reason;

use crate::{
    pins::{PinTable, Pinned},
    policy::{
        Host, HttpRequest, MatchedRules, Mode, Name, Payload, Policy, PortSet, Refusal, Rule,
        Transport,
    },
    record::Refused,
    sniff::{Hello, RequestHead},
    text::Printable,
};

/// Ports where TLS or HTTP is expected: anything else there needs `protocol = "any"`.
const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Ports of Redis, its Sentinel, and memcached, whose text commands look like HTTP/0.9.
const COMMAND_PORTS: [u16; 3] = [6379, 26379, 11211];

/// What vouches for a connection to an original destination.
#[derive(Debug)]
pub(crate) struct Evidence {
    to: SocketAddr,
    /// An address rule or `*`.
    literal: Option<MatchedRules>,
    /// Live pins of the address whose rule opens the port.
    names: Vec<Pinned>,
}

impl Evidence {
    /// Gathers it, or says why nothing vouches for the connection.
    pub(crate) fn gather(
        policy: &Policy,
        pins: &PinTable,
        to: SocketAddr,
        now_ns: u64,
    ) -> Result<Self, Refused> {
        let refused = |refusal: Refusal| told(format!("tcp {to}"), &refusal);
        let pinned = pins.names_of(to.ip(), now_ns);
        let literal = match policy.address(to.ip()) {
            Ok(grant) => Ok(grant),
            // A deny on the address wins over every pin.
            Err(refusal) if refusal.reason == Reason::Denied => return Err(refused(refusal)),
            Err(refusal) => Err(refusal),
        };
        let open = |grant: &MatchedRules| grant.opens(to.port(), Transport::Tcp);
        let names: Vec<_> = pinned.iter().filter(|pin| open(&pin.grant)).cloned().collect();
        let by_address = literal.as_ref().ok().filter(|grant| open(grant)).cloned();
        if by_address.is_some() || !names.is_empty() {
            return Ok(Self { to, literal: by_address, names });
        }
        // A rule matches, but not this port; or nothing does.
        let closed = pinned.first().map(|pin| &pin.grant).or(literal.as_ref().ok());
        if let Some(grant) = closed {
            return Err(refused(policy.port_refusal(grant, to.port(), Transport::Tcp)));
        }
        if let Some(name) = pins.expired(to.ip(), now_ns) {
            return Err(Refused {
                what: format!(
                    "tcp {to} (expired pin of {}; look the name up again)",
                    name.as_str()
                )
                .into(),
                reason: Reason::NotPinned,
                rule: None,
                fix: None,
            });
        }
        match literal {
            Err(refusal) => Err(refused(refusal)),
            Ok(_) => Err(plain(format!("tcp {to}"), Reason::NotAllowed)),
        }
    }

    /// The original destination.
    pub(crate) fn target(&self) -> SocketAddr {
        self.to
    }

    /// Names whose other pins may be dialled when the asked address does not answer.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().map(|pin| &pin.name)
    }

    /// Whether whatever passes at `asked` without naming anybody passes here too: the same port of
    /// another address.
    pub(crate) fn opens_as(&self, asked: &Self) -> bool {
        (self.literal.is_some() || asked.literal.is_none())
            && (self.any_protocol() || !asked.any_protocol() || !self.is_web())
    }

    /// Whether everything that is judged by this is judged alike by the other, whatever it says: the same
    /// lines vouch for it. Where they stand does not matter.
    pub(crate) fn vouches_as(&self, other: &Self) -> bool {
        let named = |of: &Self, pin: &Pinned| {
            of.names.iter().any(|other| other.name == pin.name && other.grant.opens_as(&pin.grant))
        };
        let literal = match (&self.literal, &other.literal) {
            (Some(one), Some(other)) => one.opens_as(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        literal
            && self.names.len() == other.names.len()
            && self.names.iter().all(|pin| named(other, pin))
    }

    /// Whether the address itself is allowed, or all public ones: then names that no pin knows pass.
    pub(crate) fn is_literal(&self) -> bool {
        self.literal.is_some()
    }

    /// Judges a TLS hello; gives the name that it is for, where there is evidence of one.
    pub(crate) fn judge_hello(
        &self,
        policy: &Policy,
        hello: &Hello,
    ) -> Result<Option<Name>, Refused> {
        let refuse_ech = hello.ech && !policy.settings().allow_ech;
        let Some(text) = &hello.server_name else {
            if refuse_ech {
                return Err(ech(format!("tls {}", self.to)));
            }
            let what = format!("tls without a server name to {}", self.to);
            self.judge_unnamed(&what, Reason::SniMismatch)?;
            return self.judge_payload(policy, None, what, &Payload::Tls);
        };
        let what = format!("tls {text} at {}", self.to);
        if refuse_ech {
            return Err(ech(what));
        }
        let Ok(host) = Host::parse(text) else { return Err(plain(what, Reason::InvalidHost)) };
        let name = self.judge_host(policy, &host, &what, Reason::SniMismatch)?;
        self.judge_payload(policy, Some((host, name)), what, &Payload::Tls)
    }

    /// Judges one request by its Host. CONNECT is for proxies: to an origin it would open a tunnel
    /// whose target nobody judged.
    pub(crate) fn judge_request(
        &self,
        policy: &Policy,
        head: &RequestHead,
    ) -> Result<Option<Name>, Refused> {
        if head.is_connect() {
            let what = format!("http CONNECT to tcp {}", self.to);
            return Err(plain(what, Reason::ProtocolNotAllowed));
        }
        let method = head.method.as_str();
        // Another protocol would follow, in which nothing can be judged.
        let payload = if keeps_upgrade(head) && self.reads_requests(policy) {
            Payload::Opaque
        } else {
            Payload::Http(HttpRequest { method: method.into(), path: head.path.as_str().into() })
        };
        let Some(text) = head.host.as_deref() else {
            let what = format!("http {method} without a host to {}", self.to);
            self.judge_unnamed(&what, Reason::HostMismatch)?;
            return self.judge_payload(policy, None, what, &payload);
        };
        let what = format!("http {text} at {}", self.to);
        let Ok((host, _)) = Host::parse_with_port(text) else {
            return Err(plain(what, Reason::InvalidHost));
        };
        let name = self.judge_host(policy, &host, &what, Reason::HostMismatch)?;
        let what = format!("http {method} {text}{} at {}", shortened(&head.path), self.to);
        self.judge_payload(policy, Some((host, name)), what, &payload)
    }

    /// Judges a payload that is neither TLS nor HTTP.
    pub(crate) fn judge_opaque(&self, policy: &Policy) -> Result<Option<Name>, Refused> {
        let what = format!("neither TLS nor HTTP to tcp {}", self.to);
        if !self.is_web() || self.any_protocol() {
            return self.judge_payload(policy, None, what, &Payload::Opaque);
        }
        let (reason, fix) = (Reason::ProtocolNotAllowed, self.any_protocol_fix());
        Err(Refused { what: what.into(), reason, rule: None, fix })
    }

    /// Judges a client of HTTP/2 without TLS before its requests, each of which is judged then:
    /// limited mode reads none of them.
    pub(crate) fn judge_http2(&self, policy: &Policy) -> Result<(), Refused> {
        if policy.settings().mode != Mode::Limited {
            return Ok(());
        }
        let what = format!("HTTP/2 without TLS to tcp {}", self.to);
        self.judge_payload(policy, None, what, &Payload::Opaque).map(drop)
    }

    /// Whether [`Self::judge_opaque`] lets such a payload pass.
    pub(crate) fn passes_opaque(&self, policy: &Policy) -> bool {
        (!self.is_web() || self.any_protocol())
            && self.judge_payload(policy, None, String::new(), &Payload::Opaque).is_ok()
    }

    /// Whether lines like `get KEY` are commands on the port, and not requests without a version.
    pub(crate) fn reads_commands(&self) -> bool {
        COMMAND_PORTS.contains(&self.to.port())
    }

    /// A refusal of what would take more memory than the sandbox has for it.
    pub(crate) fn limited(&self, what: &str, why: &str) -> Refused {
        plain(format!("{what} to tcp {} ({why})", self.to), Reason::RateLimited)
    }

    /// Whether some name, or the address, of this connection has a rule that asks for more than a
    /// name: methods, paths, or limited mode.
    pub(crate) fn reads_requests(&self, policy: &Policy) -> bool {
        let reads = |grant: &MatchedRules| policy.reads_requests(grant, self.to.port());
        self.literal.iter().any(reads) || self.names.iter().any(|pin| reads(&pin.grant))
    }

    /// Rows 5 and 11. What names a host is judged by that host's most specific rule, also where an
    /// address rule or `*` would let everything pass; what names nobody, by every rule that it may
    /// be for.
    fn judge_payload(
        &self,
        policy: &Policy,
        named: Option<(Host, Option<Name>)>,
        what: String,
        payload: &Payload,
    ) -> Result<Option<Name>, Refused> {
        let port = self.to.port();
        let judge =
            |grant: &MatchedRules| policy.judge_payload(grant, port, Transport::Tcp, payload);
        let (host, name) = named.unzip();
        let pinned = name.flatten();
        let judged = match (&pinned, host) {
            (Some(name), _) => {
                let pin = self.names.iter().find(|pin| pin.name == *name);
                pin.map_or(Ok(()), |pin| judge(&pin.grant))
            }
            (None, host) => {
                let own = match host {
                    Some(Host::Name(name)) => policy.name(&name).ok(),
                    Some(Host::Address(_)) | None => None,
                };
                // A rule of the name that does not open this port has no say on what passes here.
                let own = own.filter(|grant| grant.opens(port, Transport::Tcp));
                match (own, &self.literal) {
                    (Some(own), _) => judge(&own),
                    (None, Some(literal)) => judge(literal),
                    (None, None) => self.names.iter().try_for_each(|pin| judge(&pin.grant)),
                }
            }
        };
        judged.map(|()| pinned).map_err(|refusal| told(what, &refusal))
    }

    fn judge_host(
        &self,
        policy: &Policy,
        host: &Host,
        what: &str,
        mismatch: Reason,
    ) -> Result<Option<Name>, Refused> {
        let name = match host {
            Host::Name(name) => name,
            Host::Address(address) => return self.judge_literal(policy, *address, what, mismatch),
        };
        if let Some(refusal) = policy.denied_name(name) {
            return Err(told(what.to_owned(), &refusal));
        }
        if self.names.iter().any(|pin| pin.name == *name) {
            return Ok(Some(name.clone()));
        }
        if self.literal.is_some() {
            return Ok(None);
        }
        // Allowed by a rule, but looked up to other addresses: no line would help.
        let fix = policy.name(name).err().and_then(|refusal| refusal.fix).map(Into::into);
        Err(Refused { what: what.into(), reason: mismatch, rule: None, fix })
    }

    /// A host that is an address is evidence only for itself.
    fn judge_literal(
        &self,
        policy: &Policy,
        address: IpAddr,
        what: &str,
        mismatch: Reason,
    ) -> Result<Option<Name>, Refused> {
        match policy.address(address) {
            Err(refusal) if refusal.reason == Reason::Denied => {
                Err(told(what.to_owned(), &refusal))
            }
            _ if self.literal.is_some() => Ok(None),
            // Only a rule for the address that was dialled would help.
            Err(refusal) if address == self.to.ip() => {
                let fix = refusal.fix.map(Into::into);
                Err(Refused { what: what.into(), reason: mismatch, rule: None, fix })
            }
            _ => Err(plain(what.to_owned(), mismatch)),
        }
    }

    /// TLS or HTTP that names nobody: on ports of other protocols the pin suffices.
    fn judge_unnamed(&self, what: &str, mismatch: Reason) -> Result<(), Refused> {
        if self.literal.is_some() || self.any_protocol() || !self.is_web() {
            return Ok(());
        }
        let (what, fix) = (what.into(), self.any_protocol_fix());
        Err(Refused { what, reason: mismatch, rule: None, fix })
    }

    /// Whether TLS or HTTP is expected on the port.
    pub(crate) fn is_web(&self) -> bool {
        WEB_PORTS.contains(&self.to.port())
    }

    /// The option, and the rule that has to have it: a second rule for the host would not add it.
    fn any_protocol_fix(&self) -> Option<Printable> {
        let grant = self.names.first().map(|pin| &pin.grant).or(self.literal.as_ref())?;
        let Rule { text, pattern, origin, options, .. } = &**grant.rule();
        let option = "protocol = \"any\"";
        if origin.line.is_some() {
            return Some(format!("add {option} to \"{text}\" ({origin})").into());
        }
        let table = if pattern.is_address() { "addresses" } else { "domains" };
        let ports = match &options.ports {
            PortSet::Only(ports) => format!("ports = {ports:?}, "),
            PortSet::All => String::new(),
        };
        let fix = format!(
            "instead of {origin} {text}, in [network.{table}]: \"{pattern}\" = {{ action = \"allow\", \
             {ports}{option} }}"
        );
        Some(fix.into())
    }

    fn any_protocol(&self) -> bool {
        let grants = self.literal.iter().chain(self.names.iter().map(|pin| &pin.grant));
        let port = self.to.port();
        grants.into_iter().any(|grant| grant.any_protocol(port))
    }
}

/// A refusal that no rule decided.
pub(crate) fn plain(what: String, reason: Reason) -> Refused {
    Refused { what: what.into(), reason, rule: None, fix: None }
}

/// A hello that hides its name.
fn ech(what: String) -> Refused {
    let fix =
        Some("ech = \"allow\" in [network] (the outer name is then all that is checked)".into());
    Refused { fix, ..plain(what, Reason::EchRefused) }
}

/// A path as the summary shows it: queries may hold what is nobody's business, and paths anything.
fn shortened(path: &str) -> String {
    const SHOWN: usize = 60;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match path.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", path.get(..at).unwrap_or_default()),
        None => path.to_owned(),
    }
}

fn told(what: String, refusal: &Refusal) -> Refused {
    Refused {
        what: what.into(),
        reason: refusal.reason,
        rule: refusal.rule.as_ref().map(|rule| rule.to_string().into()),
        fix: refusal.fix.clone().map(Into::into),
    }
}

/// h2c would carry later requests that nobody judges, TLS (RFC 2817) a server name, and behind the
/// first request an answer cannot be told from another's: there the offer is withdrawn, and the
/// server answers in HTTP/1.
pub(crate) fn keeps_upgrade(head: &RequestHead) -> bool {
    head.is_first
        && head.upgrade.as_deref().is_some_and(|offer| {
            !offer.split(',').any(|protocol| {
                let name = protocol.trim().split('/').next().unwrap_or_default();
                ["h2c", "h2", "tls"].iter().any(|never| name.eq_ignore_ascii_case(never))
            })
        })
}

#[cfg(test)]
mod tests;
