//! What vouches for a connection, and whether what it says of itself agrees. No I/O.
//!
//! A connection to a pinned address is known by the names that were looked up to it; it must then
//! name one of them (TLS SNI, HTTP Host). A connection to an address that a rule allows by itself,
//! or to a public address under `*`, carries no name: only denies apply to what it names.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use egress_common::{Reason, first_line::COMMAND_PORTS};

use crate::{
    pins::{Pinned, Pins},
    policy::{
        Host, MatchedRules, Name, Payload, Policy, Refusal, Remedy, Rule, Transport, WEB_PORTS,
    },
    record::{Event, Grounds, MAX_NAMES, Seen, Subject},
};

/// What vouches for a connection to an original destination.
#[derive(Debug)]
pub(crate) struct Evidence {
    to: SocketAddr,
    /// An address rule or `*`.
    literal: Option<MatchedRules>,
    /// Live pins of the address whose rule opens the port.
    names: Vec<Pinned>,
}

/// A payload that may pass.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// The name that it is for, where there is evidence of one.
    pub(crate) name: Option<Name>,
    /// The rule that lets it pass.
    pub(crate) rule: Option<Arc<Rule>>,
}

/// Who a payload is for: what it names, and the pin of that, where there is one.
pub(super) type Named = (Host, Option<Name>);

impl Evidence {
    /// Gathers it, or says why nothing vouches for the connection.
    pub(crate) fn gather(
        policy: &Policy,
        pins: &Pins,
        to: SocketAddr,
        now_ns: u64,
    ) -> Result<Self, Box<Event>> {
        let pinned = pins.names_of(to.ip(), now_ns);
        let refused = |refusal: Refusal, expired: Option<Name>| {
            let names = pinned.iter().map(|pin| pin.name.clone()).take(MAX_NAMES).collect();
            let grounds = Grounds { names, expired, ..Grounds::default() };
            Box::new(Event::by_policy(Subject::tcp(to), refusal).on(grounds))
        };
        let literal = match policy.address(to.ip()) {
            Ok(grant) => Ok(grant),
            // A deny on the address wins over every pin.
            Err(refusal) if refusal.reason == Reason::Denied => return Err(refused(refusal, None)),
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
            return Err(refused(policy.port_refusal(grant, to.port(), Transport::Tcp), None));
        }
        if let Some(name) = pins.expired(to.ip(), now_ns) {
            return Err(refused(Refusal::new(Reason::NotPinned), Some(name)));
        }
        match literal {
            Err(refusal) => Err(refused(refusal, None)),
            Ok(_) => Err(refused(Refusal::new(Reason::NotAllowed), None)),
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

    /// The name that vouches for the connection, where nothing else does.
    pub(super) fn only_name(&self) -> Option<&Name> {
        match &*self.names {
            [pin] if self.literal.is_none() => Some(&pin.name),
            _ => None,
        }
    }

    /// Whether whatever passes at `asked` without naming anybody passes here too: the same port of
    /// another address.
    pub(crate) fn opens_as(&self, asked: &Self) -> bool {
        let has_ech_of_its_own = |of: &Self| {
            of.grants().flat_map(MatchedRules::rules).any(|rule| rule.options.ech.is_some())
        };
        (self.literal.is_some() || asked.literal.is_none())
            && (self.any_protocol() || !asked.any_protocol() || !self.is_web())
            && ![self, asked].into_iter().any(has_ech_of_its_own)
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

    /// A refusal of a payload by no rule of the policy.
    pub(crate) fn refused(&self, seen: Seen, reason: Reason) -> Box<Event> {
        self.refused_by(Subject::payload(self.to, seen), Refusal::new(reason))
    }

    /// What may pass, for whoever observes.
    pub(crate) fn admits(&self, subject: Subject, rule: Option<Arc<Rule>>) -> Event {
        Event::allowed(subject, rule).on(self.grounds())
    }

    pub(super) fn refused_by(&self, subject: Subject, refusal: Refusal) -> Box<Event> {
        Box::new(Event::by_policy(subject, refusal).on(self.grounds()))
    }

    /// Whether lines like `get KEY` are commands on the port, and not requests without a version.
    pub(crate) fn reads_commands(&self) -> bool {
        COMMAND_PORTS.contains(&self.to.port())
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
    pub(super) fn judge_payload(
        &self,
        policy: &Policy,
        named: Option<Named>,
        payload: &Payload,
    ) -> Result<Admitted, Refusal> {
        let port = self.to.port();
        let judge = |grant: &MatchedRules| {
            policy.judge_payload(grant, port, Transport::Tcp, payload).map(Arc::clone)
        };
        let (host, name) = named.unzip();
        let name = name.flatten();
        let rule = match (&name, host) {
            (Some(name), _) => {
                let pin = self.names.iter().find(|pin| pin.name == *name);
                pin.map(|pin| judge(&pin.grant)).transpose()?
            }
            (None, host) => {
                let own = match host {
                    Some(Host::Name(name)) => policy.name(&name).ok(),
                    Some(Host::Address(_)) | None => None,
                };
                // A rule of the name that does not open this port has no say on what passes here.
                let own = own.filter(|grant| grant.opens(port, Transport::Tcp));
                match (own, &self.literal) {
                    (Some(own), _) => Some(judge(&own)?),
                    (None, Some(literal)) => Some(judge(literal)?),
                    (None, None) => {
                        let mut rule = None;
                        for pin in &self.names {
                            rule = Some(judge(&pin.grant)?);
                        }
                        rule
                    }
                }
            }
        };
        Ok(Admitted { name, rule })
    }

    /// Whether the host that is claimed is one of those that vouch; gives its pin, where there is one.
    pub(super) fn judge_host(
        &self,
        policy: &Policy,
        host: &Host,
        mismatch: Reason,
    ) -> Result<Option<Name>, Refusal> {
        let name = match host {
            Host::Name(name) => name,
            Host::Address(address) => return self.judge_literal(policy, *address, mismatch),
        };
        if let Some(refusal) = policy.denied_name(name) {
            return Err(refusal);
        }
        if self.names.iter().any(|pin| pin.name == *name) {
            return Ok(Some(name.clone()));
        }
        // A search domain has completed it, which the program says nothing of.
        let is_short = |pin: &&Pinned| policy.short_forms(&pin.name).contains(name);
        if let Some(pin) = self.names.iter().find(is_short) {
            return Ok(Some(pin.name.clone()));
        }
        if self.literal.is_some() {
            return Ok(None);
        }
        Err(self.mismatched(policy, policy.name(name), mismatch))
    }

    /// A host that is an address is evidence only for itself.
    fn judge_literal(
        &self,
        policy: &Policy,
        address: IpAddr,
        mismatch: Reason,
    ) -> Result<Option<Name>, Refusal> {
        match policy.address(address) {
            Err(refusal) if refusal.reason == Reason::Denied => Err(refusal),
            _ if self.literal.is_some() => Ok(None),
            // Only a rule for the address that was dialled would help.
            judged if address == self.to.ip() => Err(self.mismatched(policy, judged, mismatch)),
            _ => Err(Refusal { remedy: self.address_remedy(policy), ..Refusal::new(mismatch) }),
        }
    }

    /// A claim that nothing vouches for, with what the policy lacks of the host. Where it lacks nothing, the host
    /// was looked up to other addresses or not at all: then an allow of the address alone lets it pass.
    fn mismatched(
        &self,
        policy: &Policy,
        judged: Result<MatchedRules, Refusal>,
        mismatch: Reason,
    ) -> Refusal {
        let port = self.to.port();
        let remedy = match judged {
            Ok(grant) if grant.opens(port, Transport::Tcp) => self.address_remedy(policy),
            Ok(grant) => policy.port_refusal(&grant, port, Transport::Tcp).remedy,
            Err(refusal) => refusal.remedy,
        };
        Refusal { remedy, ..Refusal::new(mismatch) }
    }

    /// What would open the address by itself, whoever is named there.
    fn address_remedy(&self, policy: &Policy) -> Option<Remedy> {
        match policy.address(self.to.ip()) {
            Ok(grant) => policy.port_refusal(&grant, self.to.port(), Transport::Tcp).remedy,
            Err(refusal) => refusal.remedy,
        }
    }

    /// TLS or HTTP that names nobody: on ports of other protocols the pin suffices.
    pub(super) fn judge_unnamed(&self, mismatch: Reason) -> Result<(), Refusal> {
        if self.literal.is_some() || self.any_protocol() || !self.is_web() {
            return Ok(());
        }
        Err(Refusal { remedy: self.any_protocol_remedy(), ..Refusal::new(mismatch) })
    }

    /// Whether TLS or HTTP is expected on the port.
    pub(crate) fn is_web(&self) -> bool {
        WEB_PORTS.contains(&self.to.port())
    }

    /// Of a rule that opens the port: a second one for the host would not add the option, and it is none of a
    /// rule that asks for methods or paths.
    pub(super) fn any_protocol_remedy(&self) -> Option<Remedy> {
        let port = self.to.port();
        let opens = |rule: &&Arc<Rule>| rule.opens(port, Transport::Tcp);
        let rule = self.grants().find_map(|grant| grant.rules().iter().find(opens))?.clone();
        let asks = rule.options.methods.is_some() || rule.options.paths.is_some();
        Some(if asks { Remedy::ReadNoRequests(rule) } else { Remedy::AnyProtocol(rule) })
    }

    pub(super) fn any_protocol(&self) -> bool {
        self.grants().any(|grant| grant.any_protocol(self.to.port()))
    }

    /// Of the names first, whose rules are the closer ones.
    fn grants(&self) -> impl Iterator<Item = &MatchedRules> {
        self.names.iter().map(|pin| &pin.grant).chain(&self.literal)
    }

    fn grounds(&self) -> Grounds {
        Grounds {
            names: self.names().take(MAX_NAMES).cloned().collect(),
            address: self.literal.as_ref().map(|grant| grant.rule().clone()),
            ..Grounds::default()
        }
    }
}

#[cfg(test)]
mod tests;
