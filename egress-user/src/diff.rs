//! Which targets two policies judge differently.
//!
//! Targets are without number, but a policy tells only few kinds of them apart. Each kind gets one
//! probe, which both policies judge, so that a kind without a difference has none anywhere:
//!
//! - *Names.* Let B be the names that stand in the patterns of both policies. Which patterns match a
//!   name depends on the longest suffix of the name that is in B, and on whether that suffix is the
//!   whole name: the shorter suffixes in B are those of that one. So the kinds are, for each b in B,
//!   b itself and the names below b under no longer one, and last the names under none.
//!   `localhost`, which is never looked up, is a kind of its own.
//! - *Addresses.* The edges of the blocks of both policies (with the forms of IPv6 that carry them)
//!   and of the table of public addresses cut the addresses into ranges, in each of which nothing
//!   changes. Outside of every block of a policy only being public counts.
//! - *Ports.* A verdict depends on the port by the port lists of the two rules that grant the host,
//!   and by the ports where a protocol is expected. Their edges cut the ports into ranges, in each of which
//!   nothing changes; one port of each is probed, and one that is in none.
//! - *Payloads.* They count only where a rule that grants the host has methods or paths, where
//!   `mode` is limited, or where `protocol` differs. The kinds of paths are those of names, by
//!   segments; of methods, those written, those of limited mode, and one other.
//! - *Lookups.* What a lookup gave is judged apart from the name that was asked. So one name that
//!   both policies allow is probed with each kind of address, and each kind of name, in its answer.
//!   All other names are probed with an address that no deny is about.
//! - *Unix sockets.* Each that is written, and one other.
//!
//! A refusal that only gets another reason is no difference.
mod hosts;
mod lookups;
mod ranges;
mod report;
mod scope;

pub use hosts::Hosts;
pub use report::Difference;
pub use scope::{PortsChanged, Scope};

use crate::policy::Policy;

/// Every kind of targets that one policy allows and the other refuses. Kinds that change alike, by
/// the same lines, are one difference.
pub fn compare(before: &Policy, after: &Policy) -> Vec<Difference> {
    let both = Both { before, after };
    let mut report = report::Report::default();
    let good = lookups::good_answers(both);
    for class in hosts::classes(both) {
        report.add(class.hosts.clone(), scope::changes(both, &class, &good));
    }
    for (hosts, scope) in lookups::changes(both, &good) {
        report.add(hosts, vec![scope]);
    }
    report.finish()
}

/// The two policies.
#[derive(Clone, Copy, Debug)]
struct Both<'a> {
    before: &'a Policy,
    after: &'a Policy,
}

impl<'a> Both<'a> {
    fn each(self) -> [&'a Policy; 2] {
        [self.before, self.after]
    }
}

#[cfg(test)]
mod tests;
