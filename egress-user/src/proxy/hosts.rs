//! Refusals of addresses that the machine's hosts file gives a name: the program was told the name.

use std::net::IpAddr;

use egress_common::Reason;

use crate::{
    dns::HostsFile,
    policy::{Name, Policy, Refusal},
    record::{Event, Grounds, Verdict},
};

/// The refusal of the name in the place of that of its address, which would be advised to be opened by itself.
pub(super) fn by_hosts_file(
    hosts: &HostsFile,
    policy: &Policy,
    address: IpAddr,
    event: Box<Event>,
) -> Box<Event> {
    let is_unnamed = event.grounds.names.is_empty() && event.grounds.expired.is_none();
    let reasons = [Reason::NotAllowed, Reason::NotAllowedLocal];
    if !is_unnamed || !event.reason().is_some_and(|reason| reasons.contains(&reason)) {
        return event;
    }
    if address.is_unspecified() && !hosts.names_of(address).is_empty() {
        // The file blocks its names, and nobody means to open that.
        return Box::new(Event { remedy: None, ..*event });
    }
    let refused = |name: &Name| refusal(hosts, policy, name).map(|refusal| (name.clone(), refusal));
    let names = hosts.names_of(address);
    let is_allowed = |name: &&Name| policy.name(name).is_ok();
    let found = names.iter().filter(is_allowed).find_map(refused).or_else(|| {
        // The machine's own name stands there for loopback, which programs reach without it.
        names.first().filter(|_| !address.is_loopback()).and_then(refused)
    });
    let Some((name, Refusal { reason, rule, remedy })) = found else { return event };
    let grounds = Grounds { in_hosts: Some(name), ..event.grounds };
    Box::new(Event { verdict: Verdict::Refuse(reason), rule, remedy, grounds, ..*event })
}

fn refusal(hosts: &HostsFile, policy: &Policy, name: &Name) -> Option<Refusal> {
    match policy.name(name) {
        Ok(grant) => policy.judge_lookup(name, &grant, &hosts.answer(name)?).err(),
        Err(refusal) => Some(refusal),
    }
}
