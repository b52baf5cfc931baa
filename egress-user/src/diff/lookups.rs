//! What a lookup gave: the one part of a verdict that does not depend on the name asked.
use std::net::IpAddr;

use super::{
    Both, Hosts, PortsChanged, Scope,
    hosts::{self, HostClass, Probe},
    ranges, scope,
};
use crate::{
    policy::{Answer, Host, Policy, PortSet, is_public},
    target::{Answers, NetworkTarget, Target, Verdict, judge},
};

/// Every lookup gives these addresses.
pub(super) fn always(addresses: &[IpAddr]) -> Answers {
    let mut answers = Answers::default();
    answers.set_others(Answer::Found { chain: Vec::new(), addresses: addresses.to_vec() });
    answers
}

/// An address that both policies accept from a lookup; without a common one, one of each.
pub(super) fn good_answers(both: Both<'_>) -> Vec<IpAddr> {
    let candidates: Vec<IpAddr> = addresses(both)
        .into_iter()
        .map(|(_, address)| address)
        .filter(|address| is_public(*address))
        .collect();
    let accepts = |policy: &Policy, address: &IpAddr| policy.denied_address(*address).is_none();
    let common = candidates
        .iter()
        .rev()
        .find(|address| both.each().into_iter().all(|policy| accepts(policy, address)));
    match common {
        Some(address) => vec![*address],
        None => both
            .each()
            .into_iter()
            .filter_map(|policy| candidates.iter().find(|address| accepts(policy, address)))
            .chain(candidates.first())
            .copied()
            .collect(),
    }
}

/// Changes for allowed names by what their lookup gives: judged for one name that both allow. A
/// name that only one of them allows has changed already.
pub(super) fn changes(both: Both<'_>, good: &[IpAddr]) -> Vec<(Hosts, Scope)> {
    let names = hosts::names(both);
    // What one name may resolve to is no matter of the others.
    let (own, others): (Vec<_>, Vec<_>) =
        names.iter().partition(|class| has_addresses_of_its_own(both, class));
    let asked = others.iter().find_map(|class| allowed_by_both(both, class, good));
    let mut changes: Vec<_> =
        own.iter().flat_map(|class| changes_of_its_own(both, class, good)).collect();
    let is_own = asked.is_none();
    let asked = asked.or_else(|| own.iter().find_map(|class| allowed_by_both(both, class, good)));
    let (Some(asked), Some(&good)) = (asked, good.first()) else { return changes };
    let judged = |answer: &Answer| judged(both, &asked, answer);
    for (hosts, address) in addresses(both) {
        if is_own && !is_public(address) {
            continue;
        }
        let verdicts = judged(&Answer::Found { chain: Vec::new(), addresses: vec![address] });
        changes.push((Hosts::ResolvingTo(Box::new(hosts)), of_lookup(&asked, verdicts)));
    }
    for class in &names {
        let Probe::Host(Host::Name(alias)) = &class.probe else { continue };
        let chain = vec![alias.clone()];
        let verdicts = judged(&Answer::Found { chain, addresses: vec![good] });
        changes
            .push((Hosts::WithAlias(Box::new(class.hosts.clone())), of_lookup(&asked, verdicts)));
    }
    changes.retain(|(_, scope)| scope.differs());
    changes
}

/// Whether a rule of either policy says of these names what they may resolve to.
fn has_addresses_of_its_own(both: Both<'_>, class: &HostClass) -> bool {
    let Probe::Host(Host::Name(name)) = &class.probe else { return false };
    both.each().into_iter().any(|policy| {
        let rules = policy.name(name).map(|grant| grant.rules().to_vec()).unwrap_or_default();
        rules.iter().any(|rule| !rule.options.resolves_to.is_empty())
    })
}

/// Changes for such names, by the addresses that are not public.
fn changes_of_its_own(both: Both<'_>, class: &HostClass, good: &[IpAddr]) -> Vec<(Hosts, Scope)> {
    let Some(asked) = allowed_by_both(both, class, good) else { return Vec::new() };
    let local = addresses(both).into_iter().filter(|(_, address)| !is_public(*address));
    let change = |(hosts, address): (Hosts, IpAddr)| {
        let answer = Answer::Found { chain: Vec::new(), addresses: vec![address] };
        let verdicts = judged(both, &asked, &answer);
        let hosts = Hosts::NamesResolvingTo(Box::new(class.hosts.clone()), Box::new(hosts));
        (hosts, of_lookup(&asked, verdicts))
    };
    local.map(change).filter(|(_, scope)| scope.differs()).collect()
}

fn judged(both: Both<'_>, asked: &NetworkTarget, answer: &Answer) -> [Verdict; 2] {
    both.each().map(|policy| {
        let mut answers = Answers::default();
        answers.set_others(answer.clone());
        judge(policy, &Target::Network(asked.clone()), &mut answers)
    })
}

/// Some port of the name that both policies allow. `localhost` is never looked up.
fn allowed_by_both(both: Both<'_>, class: &HostClass, good: &[IpAddr]) -> Option<NetworkTarget> {
    let Probe::Host(Host::Name(name)) = &class.probe else { return None };
    if name.is_localhost() {
        return None;
    }
    let answer = *good.first()?;
    let allowed = |target: &NetworkTarget| {
        let target = Target::Network(target.clone());
        both.each()
            .into_iter()
            .all(|policy| judge(policy, &target, &mut always(&[answer])).is_allow())
    };
    scope::targets(both, &Host::Name(name.clone())).into_iter().find(allowed)
}

fn addresses(both: Both<'_>) -> Vec<(Hosts, IpAddr)> {
    let address = |class: HostClass| match class.probe {
        Probe::Host(Host::Address(address)) => Some((class.hosts, address)),
        Probe::Host(Host::Name(_)) | Probe::Unix(_) => None,
    };
    ranges::classes(both).into_iter().filter_map(address).collect()
}

fn of_lookup(asked: &NetworkTarget, [before, after]: [Verdict; 2]) -> Scope {
    let host = asked.host.as_ref().map(ToString::to_string).unwrap_or_default();
    Scope {
        transport: None,
        ports: PortsChanged::AllBut(PortSet::only([])),
        payloads: Vec::new(),
        example: format!("{host}:{}", asked.port),
        before,
        after,
    }
}
