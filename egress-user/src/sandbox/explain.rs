//! Why a connection is refused. Where the machine's hosts file gives its address a name, the name is what is
//! refused: the program was told it.

use std::net::{IpAddr, SocketAddr};

use egress_common::Reason;

use super::SandboxState;
use crate::{
    clock::boottime_ns,
    dns::HostsFile,
    judge::Evidence,
    policy::{Name, Policy, Refusal},
    record::{Event, Grounds, Verdict},
};

impl SandboxState {
    /// Why a connection there is refused, in the words of the policy; none when it would not be.
    pub fn explain(&self, to: SocketAddr) -> Option<Box<Event>> {
        let policy = self.policy();
        let gathered = Evidence::gather(&policy, self.pins(), to, boottime_ns());
        gathered.err().map(|event| self.as_asked(to.ip(), event))
    }

    /// The refusal of a connection to this address, as the program knows where it went: by the name that the
    /// hosts file has of it, where it has one.
    pub(crate) fn as_asked(&self, to: IpAddr, refused: Box<Event>) -> Box<Event> {
        by_hosts_file(self.hosts(), &self.policy(), to, refused)
    }

    /// Why nothing may pass by a connection that was just made there: since it was judged, the address may
    /// have become the machine's own. The kernel tells of an address before it can be reached.
    pub(crate) fn became_own(&self, to: SocketAddr) -> Option<Box<Event>> {
        self.settle_own();
        if self.policy().closes_own(to.ip()) { self.explain(to) } else { None }
    }
}

/// The refusal of the name in the place of that of its address, which would be advised to be opened by itself.
fn by_hosts_file(
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
