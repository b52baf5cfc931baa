//! The matcher as a person would check it by hand: every rule in turn, the text of names, the bits
//! of addresses. Slow, and without anything of the engine but its parsed values.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egress_common::Reason;
use egress_user::policy::{
    Action, Answer, Host, HttpRequest, Mode, Name, Pattern, Payload, PortSet, Request, Rule,
    RuleOptions, Settings, Transport, is_public,
};
use ipnet::IpNet;

/// NAT64, IPv4-compatible and translated addresses: what they have before an IPv4 address.
pub const CARRIERS: [[u16; 6]; 3] = [[0x64, 0xff9b, 0, 0, 0, 0], [0; 6], [0, 0, 0, 0, 0xffff, 0]];

/// Rows 0 to 8 and 11 of the order of a decision: addresses to dial, or the reason of the refusal.
pub fn decide(
    settings: &Settings,
    rules: &[Rule],
    request: &Request,
    answer: &Answer,
) -> Result<Vec<IpAddr>, Reason> {
    if !settings.network_access || !settings.enabled {
        return Err(Reason::NetworkDisabled);
    }
    let local = settings.allow_local_binding;
    let allows = match &request.host {
        Host::Name(name) => {
            if denies_name(rules, name) {
                return Err(Reason::Denied);
            }
            let exact = |rule: &&Rule| rule.pattern == Pattern::Exact(name.clone());
            if is_localhost(name) && !local && !allowed(rules).any(|rule| exact(&rule)) {
                return Err(Reason::NotAllowedLocal);
            }
            most_specific(rules, &request.host)
        }
        Host::Address(address) => {
            if denies_address(rules, *address) {
                return Err(Reason::Denied);
            }
            let most_specific = most_specific(rules, &request.host);
            let exception = most_specific.iter().any(|rule| rule.pattern.is_address());
            if !local && !is_public(*address) && !exception {
                return Err(Reason::NotAllowedLocal);
            }
            most_specific
        }
    };
    if allows.is_empty() {
        return Err(Reason::NotAllowed);
    }
    // Lines of one pattern add up: one of them has to let the target pass, by itself.
    let (mode, mut refused) = (settings.mode, Vec::new());
    for rule in &allows {
        refused.extend(passes(rule, mode, request).err());
    }
    if refused.len() == allows.len() {
        // The line that comes nearest gives the reason.
        let nearest = [Reason::PathNotAllowed, Reason::MethodNotAllowed];
        let others = |reason: &&Reason| **reason != Reason::PortNotAllowed;
        let reason = nearest.iter().find(|reason| refused.contains(reason));
        let reason = reason.or_else(|| refused.iter().find(others));
        return Err(reason.copied().unwrap_or(Reason::PortNotAllowed));
    }
    let name = match &request.host {
        Host::Name(name) => name,
        Host::Address(address) => return Ok(vec![address.to_canonical()]),
    };
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let (chain, addresses) = match answer {
        _ if is_localhost(name) => (&[][..], &loopback[..]),
        Answer::Found { chain, addresses } => (&chain[..], &addresses[..]),
        Answer::NxDomain | Answer::ServFail | Answer::Timeout => (&[][..], &[][..]),
    };
    if addresses.is_empty() {
        return Err(Reason::DnsFailed);
    }
    if chain.iter().any(|name| denies_name(rules, name))
        || addresses.iter().any(|&address| denies_address(rules, address))
    {
        return Err(Reason::Denied);
    }
    if !local && !is_localhost(name) && !addresses.iter().all(|&address| is_public(address)) {
        // One line has to accept all of it, and let the target pass.
        let accepts = |rule: &&&Rule| addresses.iter().all(|&address| accepts(rule, address));
        if !allows.iter().filter(accepts).any(|rule| passes(rule, mode, request).is_ok()) {
            return Err(Reason::NotAllowedLocal);
        }
    }
    Ok(addresses.iter().map(IpAddr::to_canonical).collect())
}

/// Whether the rule accepts the address in an answer of its names.
fn accepts(rule: &Rule, address: IpAddr) -> bool {
    let address = address.to_canonical();
    let carried = carried(address).map(IpAddr::V4);
    let near =
        ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "::/127", "fe80::/10"];
    let near = near.iter().filter_map(|text| text.parse::<IpNet>().ok()).any(|block| {
        [Some(address), carried].into_iter().flatten().any(|one| block.contains(&one))
    });
    is_public(address)
        || rule.options.resolves_to.iter().any(|block| {
            starts_with(address, block.addr(), block.prefix_len())
                && (!near || block.prefix_len() == block.max_prefix_len())
        })
}

/// Whether the pattern of a rule holds for the host itself.
pub fn matches(pattern: &Pattern, host: &Host) -> bool {
    match (pattern, host) {
        (Pattern::Any, _) => true,
        (Pattern::Exact(base), Host::Name(name)) => name == base,
        (Pattern::Below(base), Host::Name(name)) => is_below(name, base),
        (Pattern::AtOrBelow(base), Host::Name(name)) => name == base || is_below(name, base),
        (Pattern::Address(one), Host::Address(address)) => {
            one.to_canonical() == address.to_canonical()
        }
        (Pattern::Block(block), Host::Address(address)) => {
            starts_with(address.to_canonical(), block.addr(), block.prefix_len())
        }
        (Pattern::Address(_) | Pattern::Block(_), Host::Name(_))
        | (Pattern::Exact(_) | Pattern::Below(_) | Pattern::AtOrBelow(_), Host::Address(_)) => {
            false
        }
    }
}

/// Rows 1 for a name.
pub fn denies_name(rules: &[Rule], name: &Name) -> bool {
    let host = Host::Name(name.clone());
    denied(rules).any(|rule| matches(&rule.pattern, &host))
}

/// Row 1 for an address: itself, the IPv4 address in it, and what Linux connects it to.
pub fn denies_address(rules: &[Rule], address: IpAddr) -> bool {
    let address = address.to_canonical();
    let mut judged = vec![address];
    if address == IpAddr::from(Ipv4Addr::UNSPECIFIED) {
        judged.push(Ipv4Addr::LOCALHOST.into());
    }
    if address == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        judged.push(Ipv6Addr::LOCALHOST.into());
    }
    judged.extend(judged.clone().into_iter().filter_map(carried).map(IpAddr::V4));
    let judged: Vec<Host> = judged.into_iter().map(Host::Address).collect();
    denied(rules).any(|rule| judged.iter().any(|host| matches(&rule.pattern, host)))
}

/// The allow rules of the one pattern that supplies the options.
pub fn most_specific<'r>(rules: &'r [Rule], host: &Host) -> Vec<&'r Rule> {
    let matching = allowed(rules).filter(|rule| matches(&rule.pattern, host));
    let mut found: Vec<&Rule> = Vec::new();
    for rule in matching {
        let this = rank(&rule.pattern);
        match found.first().map(|rule| rank(&rule.pattern)) {
            Some(best) if this < best => {}
            Some(best) if this == best => found.push(rule),
            Some(_) | None => found = vec![rule],
        }
    }
    found
}

/// Rows 4, 5 and 11: whether the rule, by itself, lets a target pass that it matches.
pub fn passes(rule: &Rule, mode: Mode, request: &Request) -> Result<(), Reason> {
    let Request { port, transport, payload, .. } = request;
    let RuleOptions { methods, paths, .. } = &rule.options;
    if !opens(rule, *port, *transport) {
        return Err(Reason::PortNotAllowed);
    }
    let reads_requests = mode == Mode::Limited || methods.is_some() || paths.is_some();
    match (transport, payload) {
        (Transport::Udp, _) if *port == 443 => Err(Reason::ProtocolNotAllowed),
        _ if !reads_requests => Ok(()),
        (Transport::Udp, _) | (_, Payload::Opaque) => Err(Reason::ProtocolNotAllowed),
        (_, Payload::Tls | Payload::TlsWithEch) => Err(Reason::InspectionRequired),
        (_, Payload::Unknown) => match port {
            443 | 8443 => Err(Reason::InspectionRequired),
            80 | 8080 => Ok(()),
            _ => Err(Reason::ProtocolNotAllowed),
        },
        (_, Payload::Http(HttpRequest { method, path })) => {
            let limited = mode == Mode::Limited;
            if limited && !["GET", "HEAD", "OPTIONS"].contains(&&**method)
                || methods.as_ref().is_some_and(|methods| !methods.contains(method))
            {
                return Err(Reason::MethodNotAllowed);
            }
            match paths {
                Some(paths) if !paths.iter().any(|prefix| covers(prefix, path)) => {
                    Err(Reason::PathNotAllowed)
                }
                Some(_) | None => Ok(()),
            }
        }
    }
}

/// For the paths of a [`super::scenario`], among which these two signs mark the ambiguous ones.
fn covers(prefix: &str, path: &str) -> bool {
    let below = if prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") };
    !path.contains("..") && !path.contains('%') && (path == prefix || path.starts_with(&below))
}

/// Whether the rule opens the port.
fn opens(rule: &Rule, port: u16, transport: Transport) -> bool {
    let transports = match &rule.options.transport {
        Some(written) => written.contains(&transport),
        None => transport == Transport::Tcp || rule.pattern.is_address(),
    };
    let ports = match &rule.options.ports {
        PortSet::Only(ports) => ports.iter().any(|range| range.contains(port)),
        PortSet::All => true,
    };
    port != 0 && transports && ports
}

/// Exact over longer suffix over shorter, `*.` over `**.`, both over `*`; the longest prefix.
fn rank(pattern: &Pattern) -> (u8, usize, u8) {
    let labels = |name: &Name| name.as_str().split('.').count();
    match pattern {
        Pattern::Any => (0, 0, 0),
        Pattern::AtOrBelow(base) => (1, labels(base), 0),
        Pattern::Below(base) => (1, labels(base), 1),
        Pattern::Exact(_) => (2, 0, 0),
        Pattern::Block(block) => (1, usize::from(block.prefix_len()), 0),
        Pattern::Address(_) => (2, 0, 0),
    }
}

fn allowed(rules: &[Rule]) -> impl Iterator<Item = &Rule> {
    rules.iter().filter(|rule| rule.action == Action::Allow)
}

fn denied(rules: &[Rule]) -> impl Iterator<Item = &Rule> {
    rules.iter().filter(|rule| rule.action == Action::Deny)
}

fn is_localhost(name: &Name) -> bool {
    name.as_str() == "localhost"
}

fn is_below(name: &Name, base: &Name) -> bool {
    name.as_str().ends_with(&format!(".{base}"))
}

/// Whether the first bits of the two are the same.
fn starts_with(address: IpAddr, block: IpAddr, length: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => format!("4{:032b}", v4.to_bits()),
        IpAddr::V6(v6) => format!("6{:0128b}", v6.to_bits()),
    };
    bits(address).starts_with(&bits(block)[..=usize::from(length)])
}

fn carried(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [head @ .., high, low] = address.segments();
    let bits = u32::from(high) << 16 | u32::from(low);
    CARRIERS.contains(&head).then(|| Ipv4Addr::from_bits(bits))
}
