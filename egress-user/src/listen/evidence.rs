//! What vouches for a connection, and whether what it says of itself agrees. No I/O.
//!
//! A connection to a pinned address is known by the names that were looked up to it; it must then
//! name one of them (TLS SNI, HTTP Host). A connection to an address that a rule allows by itself,
//! or to a public address under `*`, carries no name: only denies apply to what it names.

use std::net::{IpAddr, SocketAddr};

use egress_common::Reason;

use crate::{
    audit::Refused,
    dns::{PinTable, Pinned},
    policy::{Grant, Host, Name, Policy, PortSet, Refusal, Rule, Transport},
    sniff::{Hello, RequestHead},
};

/// Ports where TLS or HTTP is expected: anything else there needs `protocol = "any"`.
const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// What vouches for a connection to an original destination.
#[derive(Debug)]
pub(super) struct Evidence {
    to: SocketAddr,
    /// An address rule or `*`.
    literal: Option<Grant>,
    /// Live pins of the address whose rule opens the port.
    names: Vec<Pinned>,
}

impl Evidence {
    /// Gathers it, or says why nothing vouches for the connection.
    pub(super) fn gather(
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
        let open = |grant: &Grant| grant.opens(to.port(), Transport::Tcp);
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
                ),
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
    pub(super) fn target(&self) -> SocketAddr {
        self.to
    }

    /// Names whose other pins may be dialled when the asked address does not answer.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().map(|pin| &pin.name)
    }

    /// Whether whatever passes at `asked` without naming anybody passes here too: the same port of
    /// another address.
    pub(super) fn opens_as(&self, asked: &Self) -> bool {
        (self.literal.is_some() || asked.literal.is_none())
            && (self.any_protocol() || !asked.any_protocol() || !self.is_web())
    }

    /// Judges a TLS hello; gives the name that it is for, where there is evidence of one.
    pub(super) fn judge_hello(
        &self,
        policy: &Policy,
        hello: &Hello,
    ) -> Result<Option<Name>, Refused> {
        let Some(text) = &hello.server_name else {
            if hello.ech {
                return Err(plain(format!("tls {}", self.to), Reason::EchRefused));
            }
            let what = format!("tls without a server name to {}", self.to);
            return self.judge_unnamed(what, Reason::SniMismatch);
        };
        let what = format!("tls {text} at {}", self.to);
        if hello.ech {
            return Err(plain(what, Reason::EchRefused));
        }
        match Host::parse(text) {
            Ok(host) => self.judge_host(policy, &host, what, Reason::SniMismatch),
            Err(_) => Err(plain(what, Reason::InvalidHost)),
        }
    }

    /// Judges one request by its Host. CONNECT is for proxies: to an origin it would open a tunnel
    /// whose target nobody judged.
    pub(super) fn judge_request(
        &self,
        policy: &Policy,
        head: &RequestHead,
    ) -> Result<Option<Name>, Refused> {
        if head.is_connect() {
            let what = format!("http CONNECT to tcp {}", self.to);
            return Err(plain(what, Reason::ProtocolNotAllowed));
        }
        let Some(text) = head.host.as_deref() else {
            let what = format!("http without a host to {}", self.to);
            return self.judge_unnamed(what, Reason::HostMismatch);
        };
        let what = format!("http {text} at {}", self.to);
        match Host::parse_with_port(text) {
            Ok((host, _)) => self.judge_host(policy, &host, what, Reason::HostMismatch),
            Err(_) => Err(plain(what, Reason::InvalidHost)),
        }
    }

    /// Judges a payload that is neither TLS nor HTTP.
    pub(super) fn judge_opaque(&self) -> Result<Option<Name>, Refused> {
        let what = format!("neither TLS nor HTTP to tcp {}", self.to);
        if !self.is_web() || self.any_protocol() {
            return Ok(None);
        }
        let (reason, fix) = (Reason::ProtocolNotAllowed, self.any_protocol_fix());
        Err(Refused { what, reason, rule: None, fix })
    }

    fn judge_host(
        &self,
        policy: &Policy,
        host: &Host,
        what: String,
        mismatch: Reason,
    ) -> Result<Option<Name>, Refused> {
        let name = match host {
            Host::Name(name) => name,
            Host::Address(address) => return self.judge_literal(policy, *address, what, mismatch),
        };
        if let Some(refusal) = policy.denied_name(name) {
            return Err(told(what, &refusal));
        }
        if self.names.iter().any(|pin| pin.name == *name) {
            return Ok(Some(name.clone()));
        }
        if self.literal.is_some() {
            return Ok(None);
        }
        // Allowed by a rule, but looked up to other addresses: no line would help.
        let fix = policy.name(name).err().and_then(|refusal| refusal.fix);
        Err(Refused { what, reason: mismatch, rule: None, fix })
    }

    /// A host that is an address is evidence only for itself.
    fn judge_literal(
        &self,
        policy: &Policy,
        address: IpAddr,
        what: String,
        mismatch: Reason,
    ) -> Result<Option<Name>, Refused> {
        match policy.address(address) {
            Err(refusal) if refusal.reason == Reason::Denied => Err(told(what, &refusal)),
            _ if self.literal.is_some() => Ok(None),
            // Only a rule for the address that was dialled would help.
            Err(refusal) if address == self.to.ip() => {
                Err(Refused { what, reason: mismatch, rule: None, fix: refusal.fix })
            }
            _ => Err(plain(what, mismatch)),
        }
    }

    /// TLS or HTTP that names nobody: on ports of other protocols the pin suffices.
    fn judge_unnamed(&self, what: String, mismatch: Reason) -> Result<Option<Name>, Refused> {
        if self.literal.is_some() || self.any_protocol() || !self.is_web() {
            Ok(None)
        } else {
            Err(Refused { what, reason: mismatch, rule: None, fix: self.any_protocol_fix() })
        }
    }

    /// Whether TLS or HTTP is expected on the port.
    pub(super) fn is_web(&self) -> bool {
        WEB_PORTS.contains(&self.to.port())
    }

    /// The option, and the rule that has to have it: a second rule for the host would not add it.
    fn any_protocol_fix(&self) -> Option<String> {
        let grant = self.names.first().map(|pin| &pin.grant).or(self.literal.as_ref())?;
        let Rule { text, pattern, origin, options, .. } = &**grant.rule();
        let option = "protocol = \"any\"";
        if origin.line.is_some() {
            return Some(format!("add {option} to \"{text}\" ({origin})"));
        }
        let table = if pattern.is_address() { "addresses" } else { "domains" };
        let ports = match &options.ports {
            PortSet::Only(ports) => format!("ports = {ports:?}, "),
            PortSet::All => String::new(),
        };
        Some(format!(
            "instead of {origin} {text}, in [network.{table}]: \"{pattern}\" = {{ action = \"allow\", \
             {ports}{option} }}"
        ))
    }

    fn any_protocol(&self) -> bool {
        let grants = self.literal.iter().chain(self.names.iter().map(|pin| &pin.grant));
        let port = self.to.port();
        grants.into_iter().any(|grant| grant.any_protocol(port))
    }
}

/// A refusal that no rule decided.
pub(super) fn plain(what: String, reason: Reason) -> Refused {
    Refused { what, reason, rule: None, fix: None }
}

fn told(what: String, refusal: &Refusal) -> Refused {
    Refused {
        what,
        reason: refusal.reason,
        rule: refusal.rule.as_ref().map(ToString::to_string),
        fix: refusal.fix.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Flags, assemble},
        dns::{NEVER_NS, PinSink},
    };

    struct Anywhere;

    impl PinSink for Anywhere {
        fn pin(&self, _: IpAddr, _: u64, _: egress_common::pin::Ports) -> std::io::Result<()> {
            Ok(())
        }
        fn unpin(&self, _: IpAddr) {}
    }

    const FIRST: &str = "93.184.216.34";
    const SECOND: &str = "93.184.216.35";

    /// Evidence at two addresses, port 443; `free.test` is on the first, `bound.test` on both.
    fn at_both(text: &str) -> [Evidence; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        std::fs::write(&path, text).unwrap();
        let policy = assemble(&[path], &Flags::default()).unwrap().policy;
        let mut pins = PinTable::default();
        for (name, addresses) in [("free.test", &[FIRST][..]), ("bound.test", &[FIRST, SECOND])] {
            let name = Name::parse(name).unwrap();
            let wanted: Vec<_> = addresses.iter().map(|a| (a.parse().unwrap(), NEVER_NS)).collect();
            let Ok(grant) = policy.name(&name) else { continue };
            pins.pin(&Anywhere, &name, &grant, &wanted, 0).unwrap();
        }
        [FIRST, SECOND].map(|address| {
            let to = SocketAddr::new(address.parse().unwrap(), 443);
            Evidence::gather(&policy, &pins, to, 0).unwrap()
        })
    }

    #[test]
    fn what_names_nobody_goes_only_where_as_much_is_open() {
        for (text, same) in [
            ("[network.domains]\n\"bound.test\" = \"allow\"\n", true),
            // Opaque payloads for the one name are none for the other.
            (
                "[network.domains]\n\"bound.test\" = \"allow\"\n\"free.test\" = { action = \"allow\", protocol = \"any\" }\n",
                false,
            ),
            // Any host at the first address, which a rule opens, but not at the second.
            (
                "[network.domains]\n\"bound.test\" = \"allow\"\n[network.addresses]\n\"93.184.216.34\" = \"allow\"\n",
                false,
            ),
            ("[network.domains]\n\"*\" = \"allow\"\n", true),
        ] {
            let [first, second] = at_both(text);
            assert_eq!(second.opens_as(&first), same, "{text}");
            assert!(first.opens_as(&second), "{text}");
        }
    }

    #[test]
    fn a_second_rule_is_not_advised_where_it_would_not_help() {
        let [first, _] = at_both("[network.domains]\n\"bound.test\" = \"allow\"\n");
        let refused = first.judge_opaque().unwrap_err();
        let fix = refused.fix.unwrap();
        assert!(fix.starts_with("add protocol = \"any\" to \"bound.test\" ("), "{fix}");
    }
}
