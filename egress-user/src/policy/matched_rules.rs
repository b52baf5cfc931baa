//! The lines of a policy that match something most closely, and what they open.
use std::sync::Arc;

use egress_common::Reason;

use super::{
    HTTP_PORTS, Mode, OPAQUE_PORTS, Payload, PortRange, PortSet, Route, Rule, Settings, TLS_PORTS,
    Transport,
};

/// The lines of one pattern, the most specific that matched, all allows or all denies. Cheap to clone. Where they
/// allow, values of it are called `grant`: that is what pins keep.
///
/// Several allow lines of one pattern (of two files, or of a file and a flag) add up exactly: what
/// passes is what one of them, by itself, lets pass.
#[derive(Clone, Debug)]
pub struct MatchedRules(Lines);

#[derive(Clone, Debug)]
enum Lines {
    One([Arc<Rule>; 1]),
    Several(Arc<Several>),
}

/// Two or more.
#[derive(Clone, Debug)]
struct Several {
    rules: Vec<Arc<Rule>>,
    first: Arc<Rule>,
}

impl From<Arc<Rule>> for MatchedRules {
    fn from(rule: Arc<Rule>) -> Self {
        Self(Lines::One([rule]))
    }
}

impl MatchedRules {
    /// The lines; never none.
    pub fn rules(&self) -> &[Arc<Rule>] {
        match &self.0 {
            Lines::One(rule) => rule,
            Lines::Several(several) => &several.rules,
        }
    }

    /// Whether these lines and the others open the same, wherever they are written.
    pub fn opens_as(&self, other: &Self) -> bool {
        let (one, other) = (self.rules(), other.rules());
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.says_as(other))
    }

    /// The first line.
    pub fn rule(&self) -> &Arc<Rule> {
        match &self.0 {
            Lines::One([rule]) => rule,
            Lines::Several(several) => &several.first,
        }
    }

    /// With one line more.
    pub(super) fn and(&self, rule: Arc<Rule>) -> Self {
        let first = self.rule().clone();
        let rules = self.rules().iter().cloned().chain([rule]).collect();
        Self(Lines::Several(Arc::new(Several { rules, first })))
    }

    /// Row 4: whether a line opens the port (never 0) and transport.
    pub fn opens(&self, port: u16, transport: Transport) -> bool {
        self.opening(port, transport).next().is_some()
    }

    /// Whether payloads that are neither TLS nor HTTP pass on this port where one of these is
    /// expected.
    pub fn any_protocol(&self, port: u16) -> bool {
        self.opening(port, Transport::Tcp).any(|rule| rule.options.any_protocol)
    }

    /// Whether requests have to be read before they may pass, as no line lets everything pass.
    pub fn reads_requests(&self, mode: Mode, port: u16) -> bool {
        self.opening(port, Transport::Tcp).all(|rule| rule.reads_requests(mode))
    }

    /// Rows 5 and 11 for a port and transport that are open: the line that lets the payload pass.
    ///
    /// # Errors
    /// The reason, and the line that comes nearest: one that refuses the path has accepted the
    /// method.
    pub fn judge_payload(
        &self,
        settings: &Settings,
        port: u16,
        transport: Transport,
        payload: &Payload,
    ) -> Result<&Arc<Rule>, (Reason, &Arc<Rule>)> {
        let mut nearest = (Reason::PortNotAllowed, self.rule());
        for rule in self.opening(port, transport) {
            match rule.judge_payload(settings, port, transport, payload) {
                Ok(()) => return Ok(rule),
                Err(reason) if reason > nearest.0 => nearest = (reason, rule),
                Err(_) => {}
            }
        }
        Err(nearest)
    }

    /// The TCP ports that the lines open together.
    pub fn tcp_ports(&self) -> PortSet {
        let [first, others @ ..] = self.rules() else { return PortSet::only([]) };
        others.iter().fold(first.tcp_ports(), |all, rule| all.union(&rule.tcp_ports()))
    }

    /// The TCP ports of a name that its connections may reach without the proxy, the kernel judging
    /// their first payload: 443 and 8443, what lines with `via = "kernel"` list, and [`OPAQUE_PORTS`], in this
    /// order, unless a line asks for more than a name. A port may be there twice.
    ///
    /// In limited mode there are none, which is not asked here.
    pub fn direct_ports(&self) -> Vec<PortRange> {
        let listed = self.rules().iter().filter(|rule| {
            rule.options.via == Some(Route::Kernel) && rule.options.ports != PortSet::All
        });
        // Each way holds for all ports of a part.
        let (http, tls) = (PortSet::only(HTTP_PORTS), PortSet::only(TLS_PORTS));
        let opaque = PortSet::only(OPAQUE_PORTS.map(|opaque| opaque.port));
        let own = || self.rules().iter().map(|rule| &rule.options.ports);
        let parts = |set: &PortSet| set.parts(own().chain([&http, &tls, &opaque]));
        let listed = listed.flat_map(|rule| parts(&rule.options.ports));
        let candidates = parts(&tls).into_iter().chain(listed).chain(parts(&opaque));
        let is_direct = |part: &PortRange| {
            let port = part.first();
            self.opens(port, Transport::Tcp) && self.route(Mode::Full, port).0 == Route::Kernel
        };
        candidates.filter(is_direct).collect()
    }

    /// The lines for which `accepts` holds; none where it holds for no line.
    pub(super) fn only(&self, accepts: impl Fn(&Rule) -> bool) -> Option<Self> {
        let mut rules = self.rules().iter().filter(|rule| accepts(rule)).cloned();
        let first = Self::from(rules.next()?);
        Some(rules.fold(first, |grant, rule| grant.and(rule)))
    }

    pub(super) fn opening(
        &self,
        port: u16,
        transport: Transport,
    ) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules().iter().filter(move |rule| rule.opens(port, transport))
    }
}
