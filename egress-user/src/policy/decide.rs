//! The decision: one order of checks for everyone who asks. Its rows are those of docs/policy.md.
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use egress_common::Reason;
use ipnet::IpNet;

use super::{
    Action, Host, MatchedRules, Name, Pattern, Payload, Refusal, Remedy, Rule, Settings, Transport,
    UnixAddress, UnixRule, index::Index, own::Known, search,
};

/// The policy of one sandbox. Immutable but for the machine's own addresses; shared behind an `Arc`.
#[derive(Clone, Debug)]
pub struct Policy {
    settings: Settings,
    index: Index,
    unix: Vec<UnixRule>,
    own: Known,
    search: search::Known,
    /// Addresses that `resolves_to` of some rule has by themselves.
    alone: Arc<HashSet<IpAddr>>,
}

/// What a lookup gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Union of A and AAAA with the names of the CNAME chain (without the question).
    Found {
        /// Names of the chain.
        chain: Vec<Name>,
        /// Addresses.
        addresses: Vec<IpAddr>,
    },
    /// The name does not exist.
    NxDomain,
    /// An error, or no server answered.
    ServFail,
    /// No answer in time.
    Timeout,
}

/// How a name is looked up, for [`Policy::decide`].
pub trait Lookup {
    /// Looks the name up, A and AAAA together. Called once at most.
    fn lookup(&mut self, name: &Name) -> Answer;
}

/// A target.
#[derive(Clone, Debug)]
pub struct Request {
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
    /// What is known of the bytes that it will carry.
    pub payload: Payload,
}

/// What was decided about a [`Request`].
#[derive(Clone, Debug)]
pub enum Decision {
    /// Allowed.
    Allow {
        /// By this grant.
        grant: MatchedRules,
        /// Addresses that it may be dialled at.
        addresses: Vec<IpAddr>,
    },
    /// Refused.
    Refuse(Refusal),
}

/// The addresses that `localhost` stands for; it is never looked up.
pub const LOCALHOST_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// QUIC: its names are not read yet, and programs fall back to TCP when it is refused.
const QUIC_PORT: u16 = 443;

impl Request {
    fn is_quic(&self) -> bool {
        self.transport == Transport::Udp && self.port == QUIC_PORT
    }
}

impl Policy {
    /// A policy of these rules. The order of rules does not matter.
    pub fn new(settings: Settings, rules: Vec<Rule>) -> Self {
        let blocks = rules.iter().flat_map(|rule| &rule.options.resolves_to);
        let alone = blocks.filter(|block| block.prefix_len() == block.max_prefix_len());
        let alone = Arc::new(alone.map(IpNet::addr).collect());
        let (own, search) = (Known::default(), search::Known::default());
        Self { settings, index: Index::new(rules), unix: Vec::new(), own, search, alone }
    }

    /// With these rules for unix sockets. Links in their paths are resolved, as a policy asks no
    /// file system.
    pub fn with_unix_rules(self, unix: Vec<UnixRule>) -> Self {
        Self { unix, ..self }
    }

    /// The rules for unix sockets.
    pub fn unix_rules(&self) -> &[UnixRule] {
        &self.unix
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether it says the same as the other of every target; false also where that is not seen at once.
    pub fn says_as(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.rules(), other.rules());
        self.settings.judges_as(&other.settings)
            && ours.by_ref().zip(theirs.by_ref()).all(|(one, other)| one.says_as(other))
            && self.rules().count() == other.rules().count()
    }

    /// Rows 0 to 8 for a whole target.
    pub fn decide(&self, request: &Request, lookup: &mut dyn Lookup) -> Decision {
        match self.judge(request, lookup) {
            Ok((grant, addresses)) => Decision::Allow { grant, addresses },
            // Whatever is allowed, these are not: what refuses first would only give way to the next.
            Err(refusal) if request.port == 0 || request.is_quic() => {
                Decision::Refuse(Refusal { remedy: None, ..refusal })
            }
            Err(refusal) => Decision::Refuse(refusal),
        }
    }

    /// Rows 1 and 3 for a name, any port: asked before any lookup. `localhost`: rows 1 and 2.
    pub fn name(&self, name: &Name) -> Result<MatchedRules, Refusal> {
        self.refuse_disabled()?;
        if let Some(refusal) = self.denied_name(name) {
            return Err(refusal);
        }
        let exception = || self.index.allows_exactly(name).is_some();
        if name.is_localhost() && !self.settings.allow_local_binding && !exception() {
            return Err(
                Refusal::new(Reason::NotAllowedLocal).with_remedy(Remedy::AllowName(name.clone()))
            );
        }
        match self.index.allows_name(name) {
            Some(grant) => Ok(grant.clone()),
            None => {
                Err(Refusal::new(Reason::NotAllowed).with_remedy(Remedy::AllowName(name.clone())))
            }
        }
    }

    /// Row 1 alone: for SNI, Host and CNAME names that need not be allowed.
    pub fn denied_name(&self, name: &Name) -> Option<Refusal> {
        self.index.denies_name(name).map(Refusal::denied)
    }

    /// Row 1 alone for an address, or the IPv4 address that it carries.
    pub fn denied_address(&self, address: IpAddr) -> Option<Refusal> {
        // Linux connects `0.0.0.0` and `::` to loopback: a deny of that is one of these.
        let reached = match address.to_canonical() {
            IpAddr::V4(address) if address.is_unspecified() => Some(LOCALHOST_ADDRESSES[0]),
            IpAddr::V6(address) if address.is_unspecified() => Some(LOCALHOST_ADDRESSES[1]),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        [Some(address.to_canonical()), reached]
            .into_iter()
            .flatten()
            .find_map(|address| self.index.denies_block(IpNet::from(address)))
            .map(Refusal::denied)
    }

    /// Rows 1 to 3 for an address that no name vouches for, any port.
    pub fn address(&self, address: IpAddr) -> Result<MatchedRules, Refusal> {
        self.refuse_disabled()?;
        let address = address.to_canonical();
        if let Some(refusal) = self.denied_address(address) {
            return Err(refusal);
        }
        // A rule that writes the address, or a block around it, is an exception for local ones.
        if let Some(grant) = self.index.allows_block(IpNet::from(address)) {
            return Ok(grant.clone());
        }
        match self.locality(address) {
            Some(_) if self.settings.allow_local_binding => {}
            Some(locality) => {
                let remedy = Remedy::AllowAddress { address, own: locality.interface() };
                return Err(Refusal::new(Reason::NotAllowedLocal).with_remedy(remedy));
            }
            None => {}
        }
        match self.index.allows_any() {
            Some(grant) => Ok(grant.clone()),
            None => Err(Refusal::new(Reason::NotAllowed)
                .with_remedy(Remedy::AllowAddress { address, own: None })),
        }
    }

    /// Row 4's refusal, with the rule that does not open the port.
    pub fn port_refusal(&self, grant: &MatchedRules, port: u16, transport: Transport) -> Refusal {
        // Of several lines, the one that lacks nothing but the port.
        let fits = |rule: &&Arc<Rule>| rule.permits_transport(transport);
        let rule = grant.rules().iter().find(fits).unwrap_or(grant.rule());
        let refusal = Refusal::by(Reason::PortNotAllowed, rule);
        if port == 0 {
            return refusal;
        }
        let rule = rule.clone();
        refusal.with_remedy(if rule.permits_transport(transport) {
            Remedy::AddPort { port, rule }
        } else {
            Remedy::AddTransport { transport, rule }
        })
    }

    /// Rows 5 and 11: whether what a connection carries may pass where row 4 let the connection
    /// pass. `tcp` port 443 without any knowledge of the payload is taken for TLS. Gives the
    /// line that lets it.
    pub fn judge_payload<'a>(
        &self,
        grant: &'a MatchedRules,
        port: u16,
        transport: Transport,
        payload: &Payload,
    ) -> Result<&'a Arc<Rule>, Refusal> {
        match grant.judge_payload(&self.settings, port, transport, payload) {
            Ok(rule) => Ok(rule),
            Err((Reason::PortNotAllowed, _)) => Err(self.port_refusal(grant, port, transport)),
            Err((reason, rule)) => {
                Err(Refusal::of_payload(reason, rule, self.settings.mode, payload))
            }
        }
    }

    /// Whether requests have to be read before they may pass.
    pub fn reads_requests(&self, grant: &MatchedRules, port: u16) -> bool {
        grant.reads_requests(self.settings.mode, port)
    }

    /// Whether a unix socket may be reached, by the socket that is meant, not by its
    /// spelling: links in the path are resolved. None: no rule, but all of them are open.
    pub fn unix(&self, address: &UnixAddress) -> Result<Option<&UnixRule>, Refusal> {
        self.refuse_disabled()?;
        let of = |action| {
            self.unix.iter().find(move |rule| rule.action == action && rule.address == *address)
        };
        if let Some(rule) = of(Action::Deny) {
            let remedy = Remedy::RemoveUnixDeny(Box::new(rule.clone()));
            return Err(Refusal::new(Reason::Denied).with_remedy(remedy));
        }
        match of(Action::Allow) {
            None if !self.settings.all_unix_sockets => {
                Err(Refusal::new(Reason::UnixSocketNotAllowed)
                    .with_remedy(Remedy::AllowUnixSocket(address.clone())))
            }
            rule => Ok(rule),
        }
    }

    /// Whether `*` is allowed (public addresses that nothing else names reach the proxy).
    pub fn allows_public(&self) -> bool {
        self.disabled().is_none() && self.index.allows_any().is_some()
    }

    /// A deny rule that leaves the pattern nothing to allow: the allow rule is dead.
    pub fn denies_all_of(&self, pattern: &Pattern) -> Option<&Arc<Rule>> {
        self.index.denies_all_of(pattern).map(MatchedRules::rule)
    }

    /// The most specific allow that covers all of the pattern ([`Pattern::covers`]), whatever is
    /// denied.
    pub fn covering(&self, pattern: &Pattern) -> Option<&MatchedRules> {
        self.index.allows_all_of(pattern)
    }

    /// The rules, in no order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.grants().flat_map(MatchedRules::rules)
    }

    /// The rules by action and pattern, in no order; each the highest layer first.
    pub fn grants(&self) -> impl Iterator<Item = &MatchedRules> {
        self.index.grants()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// The refusal of everything, where the settings give no network, or no filter.
    pub(super) fn disabled(&self) -> Option<Refusal> {
        let remedy = match (self.settings.network_access, self.settings.enabled) {
            (true, true) => return None,
            (false, _) => Remedy::NetworkAccess,
            (true, false) => Remedy::Enable,
        };
        Some(Refusal::new(Reason::NetworkDisabled).with_remedy(remedy))
    }

    /// Whether `resolves_to` of some rule has the address by itself.
    pub(super) fn has_alone(&self, address: IpAddr) -> bool {
        self.alone.contains(&address.to_canonical())
    }

    pub(super) fn known_search(&self) -> &search::Known {
        &self.search
    }

    pub(super) fn known_own(&self) -> &Known {
        &self.own
    }

    fn refuse_disabled(&self) -> Result<(), Refusal> {
        self.disabled().map_or(Ok(()), Err)
    }

    /// The order of checks.
    fn judge(
        &self,
        request: &Request,
        lookup: &mut dyn Lookup,
    ) -> Result<(MatchedRules, Vec<IpAddr>), Refusal> {
        let grant = match &request.host {
            Host::Name(name) => self.name(name)?,
            Host::Address(address) => self.address(*address)?,
        };
        if !grant.opens(request.port, request.transport) {
            return Err(self.port_refusal(&grant, request.port, request.transport));
        }
        if request.is_quic() {
            return Err(Refusal::by(Reason::ProtocolNotAllowed, grant.rule()));
        }
        self.judge_payload(&grant, request.port, request.transport, &request.payload)?;
        let name = match &request.host {
            Host::Name(name) => name,
            Host::Address(address) => return Ok((grant, vec![address.to_canonical()])),
        };
        let answer = if name.is_localhost() {
            Answer::Found { chain: Vec::new(), addresses: LOCALHOST_ADDRESSES.to_vec() }
        } else {
            lookup.lookup(name)
        };
        let (accepting, addresses) = self.judge_lookup(name, &grant, &answer)?;
        let passes = |grant: &MatchedRules| {
            let Request { port, transport, payload, .. } = request;
            grant.judge_payload(&self.settings, *port, *transport, payload).is_ok()
        };
        if !passes(&accepting) {
            // A line that accepts such an answer opens something else.
            let opening = grant.only(|rule| passes(&Arc::new(rule.clone()).into()));
            return Err(self.local_answer(name, opening.as_ref().unwrap_or(&grant), addresses));
        }
        Ok((accepting, addresses.iter().map(IpAddr::to_canonical).collect()))
    }
}

#[cfg(test)]
mod tests;
