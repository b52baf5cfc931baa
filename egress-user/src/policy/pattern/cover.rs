//! Whether one rule allows nothing that another does not.
use ipnet::IpNet;

use super::Pattern;
use crate::policy::{Ech, Mode, Name, PortSet, Rule, TLS_PORTS, Transport, class};

impl Pattern {
    /// Whether whatever `other` matches is matched by this one.
    ///
    /// `*` covers every pattern for public hosts; nothing but `*` covers `*`, and nothing but
    /// `localhost` covers `localhost`, which wildcards never open.
    pub fn covers(&self, other: &Pattern) -> bool {
        match (self, other) {
            (Pattern::Exact(name), Pattern::Exact(other)) => name == other,
            (_, Pattern::Exact(name)) if name.is_localhost() => false,
            (Pattern::Any, Pattern::Exact(_)) => true,
            (Pattern::Any, Pattern::Below(_) | Pattern::AtOrBelow(_) | Pattern::Any) => true,
            (Pattern::Any, Pattern::Address(address)) => class::is_public(*address),
            (Pattern::Any, Pattern::Block(block)) => class::is_all_public(*block),
            (Pattern::Below(name), Pattern::Exact(other) | Pattern::AtOrBelow(other)) => {
                is_below(other, name)
            }
            (Pattern::Below(name), Pattern::Below(other)) => other == name || is_below(other, name),
            (
                Pattern::AtOrBelow(name),
                Pattern::Exact(other) | Pattern::Below(other) | Pattern::AtOrBelow(other),
            ) => other == name || is_below(other, name),
            (Pattern::Address(address), Pattern::Address(other)) => address == other,
            (Pattern::Block(block), Pattern::Address(other)) => block.contains(other),
            (Pattern::Block(block), Pattern::Block(other)) => block.contains(other),
            _ => false,
        }
    }
}

/// Whether whatever answers this block of `resolves_to` accepts, one of ours does. What counts only where it
/// is written by itself, as own addresses do, which look public, has to be among ours by itself.
fn covers_answers(ours: &[IpNet], block: IpNet) -> bool {
    let is_single = block.prefix_len() == block.max_prefix_len();
    let alone = is_single && (class::is_near(block.addr()) || class::is_public(block.addr()));
    ours.iter().any(|own| if alone { *own == block } else { own.contains(&block) })
}

fn is_below(name: &Name, of: &Name) -> bool {
    name.suffixes().skip(1).any(|suffix| suffix == of.as_str())
}

impl Rule {
    /// Whether everything that `other` opens is opened by this rule; both are allows.
    pub fn covers(&self, other: &Rule) -> bool {
        let within =
            |ours: &Option<Box<[Box<str>]>>, theirs: &Option<Box<[Box<str>]>>| match (ours, theirs)
            {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(ours), Some(theirs)) => theirs.iter().all(|word| ours.contains(word)),
            };
        let (ours, theirs) = (&self.options, &other.options);
        let transports = [Transport::Tcp, Transport::Udp]
            .into_iter()
            .all(|one| self.permits_transport(one) || !other.permits_transport(one));
        self.pattern.covers(&other.pattern)
            && ours.ports.covers(&theirs.ports)
            && transports
            && (ours.any_protocol || !theirs.any_protocol)
            // What says nothing takes the word of `[network]`, which bounds have of their own.
            && (ours.ech != Some(Ech::Refuse) || theirs.ech == Some(Ech::Refuse))
            && theirs.resolves_to.iter().all(|block| covers_answers(&ours.resolves_to, *block))
            && within(&ours.methods, &theirs.methods)
            // Prefixes may be longer than those that cover them.
            && match (&ours.paths, &theirs.paths) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(ours), Some(theirs)) => {
                    theirs.iter().all(|path| crate::policy::path::is_covered(ours, path))
                }
            }
    }

    /// Whether it lets nothing pass, as requests have to be read and TLS is all that its ports carry.
    pub fn is_unreadable(&self, mode: Mode) -> bool {
        let ports = PortSet::only(TLS_PORTS);
        self.reads_requests(mode) && ports.covers(&self.options.ports)
    }
}

#[cfg(test)]
mod tests;
