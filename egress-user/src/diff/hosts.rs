//! The kinds of hosts that two policies tell apart.
use std::{collections::BTreeSet, fmt, net::IpAddr};

use ipnet::IpNet;

use super::{Both, ranges};
use crate::policy::{Host, Name, Pattern, UnixAddress};

/// A kind of hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hosts {
    /// This name.
    Name(Name),
    /// The names below this one that stand below no longer name of the policies.
    Below(Name),
    /// The names that no pattern of the policies but `*` is about.
    OtherNames,
    /// The addresses from the first to the last.
    Range(IpAddr, IpAddr),
    /// Public addresses that no rule of the policies but `*` is about.
    OtherPublic,
    /// Addresses that are not public and that no rule of the policies is about.
    OtherLocal,
    /// A unix socket.
    Unix(UnixAddress),
    /// Unix sockets that no rule of the policies is about.
    OtherUnix,
    /// Any allowed name, when a lookup of it gives an address of these.
    ResolvingTo(Box<Hosts>),
    /// These names, when a lookup of them gives an address of those.
    NamesResolvingTo(Box<Hosts>, Box<Hosts>),
    /// Any allowed name, when its CNAME chain has a name of these.
    WithAlias(Box<Hosts>),
}

/// A kind of hosts with the one that is judged for all.
#[derive(Clone, Debug)]
pub(super) struct HostClass {
    pub(super) hosts: Hosts,
    pub(super) probe: Probe,
}

/// One host.
#[derive(Clone, Debug)]
pub(super) enum Probe {
    Host(Host),
    Unix(UnixAddress),
}

/// Every kind.
pub(super) fn classes(both: Both<'_>) -> Vec<HostClass> {
    let mut classes = names(both);
    classes.extend(ranges::classes(both));
    classes.extend(unix(both));
    classes
}

/// The kinds of names.
pub(super) fn names(both: Both<'_>) -> Vec<HostClass> {
    let bases: BTreeSet<&Name> = both
        .each()
        .into_iter()
        .flat_map(|policy| policy.rules())
        .filter_map(|rule| match &rule.pattern {
            Pattern::Exact(name) | Pattern::Below(name) | Pattern::AtOrBelow(name) => Some(name),
            Pattern::Any | Pattern::Address(_) | Pattern::Block(_) => None,
        })
        .collect();
    let class = |hosts, name| HostClass { hosts, probe: Probe::Host(Host::Name(name)) };
    let mut classes = Vec::new();
    // Names before those below them: the first of a difference is its example.
    let mut ordered: Vec<&Name> = bases.iter().copied().collect();
    ordered.sort_by_cached_key(|name| name.as_str().rsplit('.').collect::<Vec<_>>());
    for base in ordered {
        classes.push(class(Hosts::Name(base.clone()), base.clone()));
        // Where no name fits below, there is nothing to judge.
        classes.extend(
            fresh(&bases, |label| format!("{label}.{base}"))
                .map(|probe| class(Hosts::Below(base.clone()), probe)),
        );
    }
    if let Ok(localhost) = Name::parse("localhost")
        && !bases.contains(&localhost)
    {
        classes.push(class(Hosts::Name(localhost.clone()), localhost));
    }
    let tops: BTreeSet<&str> =
        bases.iter().filter_map(|name| name.as_str().rsplit('.').next()).collect();
    let other = labels().find(|label| !tops.contains(label.as_str()));
    let other = other.and_then(|label| Name::parse(&format!("other.{label}")).ok());
    classes.extend(other.map(|probe| class(Hosts::OtherNames, probe)));
    classes
}

/// The kinds of unix sockets.
fn unix(both: Both<'_>) -> Vec<HostClass> {
    let rules = both.each().into_iter().flat_map(|policy| policy.unix_rules());
    let mut addresses: Vec<UnixAddress> = Vec::new();
    for rule in rules {
        if !addresses.contains(&rule.address) {
            addresses.push(rule.address.clone());
        }
    }
    let other = labels().find_map(|label| {
        let address = UnixAddress::parse(&format!("@{label}")).ok()?;
        (!addresses.contains(&address)).then_some(address)
    });
    let class = |hosts, address| HostClass { hosts, probe: Probe::Unix(address) };
    let written = addresses.into_iter().map(|address| class(Hosts::Unix(address.clone()), address));
    written.chain(other.map(|address| class(Hosts::OtherUnix, address))).collect()
}

/// A name of this form that is not in the set.
fn fresh(bases: &BTreeSet<&Name>, form: impl Fn(&str) -> String) -> Option<Name> {
    labels()
        .take(bases.len() + 1)
        .find_map(|label| Name::parse(&form(&label)).ok().filter(|name| !bases.contains(name)))
        // Long names leave room for short labels alone.
        .or_else(|| {
            let short = ('a'..='z').chain('0'..='9').map(|letter| form(&letter.to_string()));
            short.filter_map(|text| Name::parse(&text).ok()).find(|name| !bases.contains(name))
        })
}

/// `any`, `any2`, `any3`, ...
fn labels() -> impl Iterator<Item = String> {
    std::iter::once("any".to_owned()).chain((2_u32..).map(|number| format!("any{number}")))
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hosts::Name(name) => name.fmt(f),
            Hosts::Below(name) => write!(f, "*.{name}"),
            Hosts::OtherNames => f.write_str("every other name"),
            Hosts::Range(first, last) if first == last => first.fmt(f),
            Hosts::Range(first, last) => match block(*first, *last) {
                Some(block) => block.fmt(f),
                None => write!(f, "{first} to {last}"),
            },
            Hosts::OtherPublic => f.write_str("every other public address"),
            Hosts::OtherLocal => f.write_str("every other local, private or metadata address"),
            Hosts::Unix(address) => write!(f, "unix:{address}"),
            Hosts::OtherUnix => f.write_str("every other unix socket"),
            Hosts::ResolvingTo(hosts) => write!(f, "allowed names that resolve to {hosts}"),
            Hosts::NamesResolvingTo(names, hosts) => write!(f, "{names} resolving to {hosts}"),
            Hosts::WithAlias(hosts) => write!(f, "allowed names with {hosts} in their CNAME chain"),
        }
    }
}

impl Hosts {
    /// The addresses or names of a lookup; others are themselves.
    pub(super) fn inner(&self) -> &Self {
        match self {
            Hosts::ResolvingTo(hosts)
            | Hosts::NamesResolvingTo(_, hosts)
            | Hosts::WithAlias(hosts) => hosts,
            hosts => hosts,
        }
    }
}

/// The one block that is the range, where one is.
fn block(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let (bits, different) = match (first, last) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (32, u128::from(a.to_bits() ^ b.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(b)) => (128, a.to_bits() ^ b.to_bits()),
        _ => return None,
    };
    let free = u8::try_from(128 - different.leading_zeros()).ok()?;
    let block = IpNet::new(first, bits - free).ok()?;
    (block.network() == first && block.broadcast() == last).then_some(block)
}
