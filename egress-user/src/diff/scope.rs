//! What of one host changes: ports, transports, payloads.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use super::{
    Both,
    hosts::{HostClass, Probe},
    lookups,
};
use crate::{
    policy::{
        Host, HttpRequest, LIMITED_METHODS, MatchedRules, Payload, Policy, PortRange, PortSet,
        Rule, Transport, WEB_PORTS,
    },
    target::{NetworkTarget, Target, Verdict, judge},
};

/// The words of a payload that is not known. It is judged as TLS or as neither, by its port.
const BY_PORT: &str = "judged by the port alone";

/// What changes of a host, and how.
#[derive(Clone, Debug)]
pub struct Scope {
    /// TCP or UDP; none for what has no port.
    pub transport: Option<Transport>,
    /// Ports.
    pub ports: PortsChanged,
    /// Payloads, in words; none = whatever is sent.
    pub payloads: Vec<String>,
    /// One of the targets.
    pub example: String,
    /// What was said.
    pub before: Verdict,
    /// What is said now.
    pub after: Verdict,
}

/// Ports that change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortsChanged {
    /// These.
    Only(PortSet),
    /// Every port, these left out.
    AllBut(PortSet),
}

/// One probe.
struct Cell {
    target: NetworkTarget,
    /// The payload; none where nothing depends on it.
    words: Option<String>,
    example: String,
    before: Verdict,
    after: Verdict,
}

/// What changes of the host, each with all the ports that change so.
pub(super) fn changes(both: Both<'_>, class: &HostClass, good: &[IpAddr]) -> Vec<Scope> {
    let host = match &class.probe {
        Probe::Host(host) => host,
        Probe::Unix(address) => {
            let target = Target::Unix(address.clone());
            let [before, after] =
                both.each().map(|policy| judge(policy, &target, &mut lookups::always(&[])));
            let scope = Scope {
                transport: None,
                ports: PortsChanged::AllBut(PortSet::only([])),
                payloads: Vec::new(),
                example: format!("unix:{address}"),
                before,
                after,
            };
            return Some(scope).filter(Scope::differs).into_iter().collect();
        }
    };
    let probes = Probes::of(both, host);
    let mut cells = Vec::new();
    // There is one answer but for the rare pair of policies without a common good one.
    for &answer in good {
        for (target, words) in probes.targets(host) {
            let [before, after] = both.each().map(|policy| verdict(policy, &target, answer));
            cells.push(Cell { example: text(&target, host), target, words, before, after });
        }
    }
    scopes(cells, &probes)
}

/// What is probed of one host.
struct Probes {
    /// One port of each range in which all are alike: its first, and its last.
    ports: BTreeMap<u16, u16>,
    /// For every other port.
    other: u16,
    /// With their words; one without words where nothing depends on them.
    payloads: Vec<(Payload, Option<String>)>,
}

impl Probes {
    fn of(both: Both<'_>, host: &Host) -> Self {
        let grants: Vec<MatchedRules> =
            both.each().into_iter().filter_map(|policy| grant(policy, host)).collect();
        let rules: Vec<&Rule> =
            grants.iter().flat_map(|grant| grant.rules()).map(|rule| &**rule).collect();
        let (ports, other) = ports(&rules);
        Self { ports, other, payloads: payloads(both, &rules) }
    }

    /// Payloads in few words; none for whatever is sent.
    fn condensed(&self, payloads: &[String]) -> Vec<String> {
        let all = |known: Vec<&String>| {
            known.into_iter().all(|words| words == BY_PORT || payloads.contains(words))
        };
        if all(self.payloads.iter().filter_map(|(_, words)| words.as_ref()).collect()) {
            return Vec::new();
        }
        let mut condensed: Vec<String> = Vec::new();
        for (payload, words) in &self.payloads {
            let Some(words) = words.as_ref().filter(|words| payloads.contains(words)) else {
                continue;
            };
            let Payload::Http(HttpRequest { method, .. }) = payload else {
                condensed.push(words.clone());
                continue;
            };
            let own = |payload: &Payload| matches!(payload, Payload::Http(request) if request.method == *method);
            let own = self.payloads.iter().filter(|(payload, _)| own(payload));
            let words = match all(own.filter_map(|(_, words)| words.as_ref()).collect()) {
                // On every path.
                true => words.split(" on ").next().unwrap_or(words).to_owned(),
                false => words.clone(),
            };
            if !condensed.contains(&words) {
                condensed.push(words);
            }
        }
        condensed
    }

    fn targets(&self, host: &Host) -> Vec<(NetworkTarget, Option<String>)> {
        let mut targets = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            for &port in self.ports.keys().chain([&self.other]) {
                for (payload, words) in &self.payloads {
                    // Nothing of UDP is read.
                    if transport == Transport::Tcp || *payload == Payload::Unknown {
                        let (host, payload) = (Ok(host.clone()), payload.clone());
                        let target = NetworkTarget {
                            host,
                            host_text: String::new(),
                            port,
                            transport,
                            payload,
                        };
                        let words = words.clone().filter(|_| transport == Transport::Tcp);
                        targets.push((target, words));
                    }
                }
            }
        }
        targets
    }
}

/// Every target of the host that policies may tell apart.
pub(super) fn targets(both: Both<'_>, host: &Host) -> Vec<NetworkTarget> {
    Probes::of(both, host).targets(host).into_iter().map(|(target, _)| target).collect()
}

/// The verdict of a policy; the engine leaves `protocol` to whoever sees the bytes.
fn verdict(policy: &Policy, target: &NetworkTarget, answer: IpAddr) -> Verdict {
    let mut lookup = lookups::always(&[answer]);
    let verdict = judge(policy, &Target::Network(target.clone()), &mut lookup);
    let opaque = target.payload == Payload::Opaque && WEB_PORTS.contains(&target.port);
    let any = || {
        let host = target.host.as_ref().ok()?;
        Some(grant(policy, host)?.any_protocol(target.port))
    };
    match verdict.is_allow() && opaque && any() == Some(false) {
        true => Verdict { reason: Some(egress_common::Reason::ProtocolNotAllowed), ..verdict },
        false => verdict,
    }
}

/// As `egress check` reads it.
fn text(target: &NetworkTarget, host: &Host) -> String {
    let host = match host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        host => host.to_string(),
    };
    let port = target.port;
    match (&target.payload, target.transport) {
        (_, Transport::Udp) => format!("udp://{host}:{port}"),
        (Payload::Http(HttpRequest { method, path }), _) => {
            format!("http://{host}:{port}{path} {method}")
        }
        (Payload::Tls | Payload::TlsWithEch, _) => format!("https://{host}:{port}"),
        (Payload::Unknown | Payload::Opaque, _) => format!("{host}:{port}"),
    }
}

/// Cells that change alike, put together.
fn scopes(cells: Vec<Cell>, probes: &Probes) -> Vec<Scope> {
    // (scope without ports and payload, ports, payload)
    let mut found: Vec<(String, Scope, BTreeSet<u16>, Option<String>)> = Vec::new();
    for Cell { target, words, example, before, after } in cells {
        if before.is_allow() == after.is_allow() {
            continue;
        }
        let NetworkTarget { port, transport, .. } = target;
        let key = format!("{transport:?} {words:?} {before} {after}");
        if let Some((.., ports, _)) = found.iter_mut().find(|(known, ..)| *known == key) {
            ports.insert(port);
            continue;
        }
        let ports = PortsChanged::Only(PortSet::only([]));
        let transport = Some(transport);
        let scope = Scope { transport, ports, payloads: Vec::new(), example, before, after };
        found.push((key, scope, BTreeSet::from([port]), words));
    }
    let told = found.clone();
    for (_, scope, ports, payload) in &mut found {
        if payload.as_deref() == Some(BY_PORT) {
            // What the payloads tell already.
            let others = told.iter().filter(|(_, other, _, payload)| {
                payload.as_deref() != Some(BY_PORT)
                    && other.transport == scope.transport
                    && other.after.is_allow() == scope.after.is_allow()
            });
            others.for_each(|(_, _, known, _)| ports.retain(|port| !known.contains(port)));
        }
    }
    found.retain(|(_, _, ports, _)| !ports.is_empty());
    let mut scopes: Vec<Scope> = Vec::new();
    for (_, mut scope, ports, payload) in found {
        let is_other = ports.contains(&probes.other);
        let told = probes.ports.iter().filter(|(first, _)| ports.contains(first) != is_other);
        let told = PortSet::of(told.filter_map(|(first, last)| PortRange::new(*first, *last)));
        scope.ports = if is_other { PortsChanged::AllBut(told) } else { PortsChanged::Only(told) };
        match scopes.iter_mut().find(|known| known.is_alike(&scope)) {
            Some(known) => known.payloads.extend(payload),
            None => {
                scope.payloads.extend(payload);
                scopes.push(scope);
            }
        }
    }
    for scope in &mut scopes {
        scope.payloads = probes.condensed(&scope.payloads);
    }
    scopes
}

/// The ranges to probe by their first ports, and a port for all others.
fn ports(rules: &[&Rule]) -> (BTreeMap<u16, u16>, u16) {
    let web = PortSet::only(WEB_PORTS);
    let written: Vec<&PortSet> = rules
        .iter()
        .map(|rule| &rule.options.ports)
        .filter(|ports| **ports != PortSet::All)
        .collect();
    let known = written.iter().fold(web.clone(), |all, ports| all.union(ports));
    let parts = known.parts(written.into_iter().chain([&web]));
    // Where every port is written, there is no other to judge: any will do.
    let other = known.others().ranges().last().map_or(1, |range| range.last());
    (parts.iter().map(|part| (part.first(), part.last())).collect(), other)
}

/// The payloads to probe, with their words; one without words where nothing depends on them.
fn payloads(both: Both<'_>, rules: &[&Rule]) -> Vec<(Payload, Option<String>)> {
    let reads = both
        .each()
        .into_iter()
        .any(|policy| rules.iter().any(|rule| rule.reads_requests(policy.settings().mode)));
    let any = |rule: &&Rule| rule.options.any_protocol;
    let differs = rules.iter().any(any) && !rules.iter().all(any);
    if !reads && !differs {
        return vec![(Payload::Unknown, None)];
    }
    let word = |payload, words: &str| (payload, Some(words.to_owned()));
    let mut payloads = vec![
        word(Payload::Unknown, BY_PORT),
        word(Payload::Tls, "TLS"),
        word(Payload::Opaque, "neither TLS nor HTTP"),
    ];
    let paths = paths(rules);
    for (method, method_words) in methods(rules) {
        for (path, path_words) in &paths {
            let request = HttpRequest { method: method.clone(), path: path.as_str().into() };
            let words = match path_words {
                Some(path) => format!("{method_words} on {path}"),
                None => method_words.clone(),
            };
            payloads.push((Payload::Http(request), Some(words)));
        }
    }
    payloads
}

fn methods(rules: &[&Rule]) -> Vec<(Box<str>, String)> {
    let mut known: BTreeSet<&str> = BTreeSet::from(LIMITED_METHODS);
    known.extend(
        rules.iter().filter_map(|rule| rule.options.methods.as_ref()).flatten().map(|m| &**m),
    );
    let other = ["POST", "PUT", "PATCH", "DELETE"].into_iter().map(str::to_owned);
    let other = other.chain((1_u32..).map(|number| format!("METHOD-{number}")));
    let other = other.skip_while(|method| known.contains(method.as_str())).take(1);
    let named = known.iter().map(|&method| (method.into(), method.to_owned()));
    named.chain(other.map(|method| (method.into(), "every other method".to_owned()))).collect()
}

/// Each prefix, the paths below it, and the paths that no prefix covers, among them those that
/// servers read in two ways.
fn paths(rules: &[&Rule]) -> Vec<(String, Option<String>)> {
    let prefixes: BTreeSet<&str> = rules
        .iter()
        .filter_map(|rule| rule.options.paths.as_ref())
        .flatten()
        .map(|p| &**p)
        .collect();
    if prefixes.is_empty() {
        return vec![("/".to_owned(), None)];
    }
    let fresh = |base: &str| {
        let names = std::iter::once("any".to_owned()).chain((2_u32..).map(|n| format!("any{n}")));
        let slash = if base.ends_with('/') { "" } else { "/" };
        let mut paths = names.map(|name| format!("{base}{slash}{name}"));
        paths.find(|path| !prefixes.iter().any(|prefix| prefix.starts_with(path.as_str())))
    };
    let mut paths = Vec::new();
    for &prefix in &prefixes {
        paths.push((prefix.to_owned(), Some(prefix.to_owned())));
        let below = format!("{}/...", prefix.trim_end_matches('/'));
        paths.extend(fresh(prefix).map(|path| (path, Some(below))));
    }
    paths.extend(fresh("/").map(|path| (path, Some("every other path".to_owned()))));
    paths.push(("/%2e%2e/".to_owned(), Some("paths that can be read in two ways".to_owned())));
    paths
}

fn grant(policy: &Policy, host: &Host) -> Option<MatchedRules> {
    match host {
        Host::Name(name) => policy.name(name).ok(),
        Host::Address(address) => policy.address(*address).ok(),
    }
}

impl Scope {
    pub(super) fn differs(&self) -> bool {
        self.before.is_allow() != self.after.is_allow()
    }

    /// Whether the two differ in their payload alone.
    fn is_alike(&self, other: &Self) -> bool {
        self.transport == other.transport && self.ports == other.ports && self.changes_as(other)
    }

    fn changes_as(&self, other: &Self) -> bool {
        let verdicts = |scope: &Self| (scope.before.to_string(), scope.after.to_string());
        verdicts(self) == verdicts(other)
    }

    /// All but the example.
    pub(super) fn key(&self) -> String {
        format!("{self} {} {}", self.before, self.after)
    }
}

fn is_one(ports: &PortSet) -> bool {
    matches!(ports.ranges(), [range] if range.is_one())
}

/// `every port but 443`, `port 22 over UDP`, `ports 80, 8080: GET /a`; empty for what has no port.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(transport) = self.transport else { return Ok(()) };
        match &self.ports {
            PortsChanged::AllBut(but) if but.is_empty() => f.write_str("every port")?,
            PortsChanged::AllBut(but) => write!(f, "every port but {but}")?,
            PortsChanged::Only(ports) if is_one(ports) => write!(f, "port {ports}")?,
            PortsChanged::Only(ports) => write!(f, "ports {ports}")?,
        }
        if transport == Transport::Udp {
            f.write_str(" over UDP")?;
        }
        if !self.payloads.is_empty() {
            write!(f, ": {}", self.payloads.join("; "))?;
        }
        Ok(())
    }
}
