//! Another policy for a sandbox that lives: pins and connections are judged anew.

use std::{net::IpAddr, sync::Arc};

use super::{Judged, SandboxState};
use crate::{
    clock::boottime_ns,
    judge::Evidence,
    pins::{Lost, Pins},
    policy::{Answer, Mode, Policy},
    sniff::Hello,
};

/// What a new policy did to what lived.
pub(crate) struct Changed {
    /// How many connections by way of the proxy were ended.
    pub(crate) ended: usize,
    /// Rights of pins that are gone, or are others now.
    pub(crate) lost: Vec<Lost>,
}

impl SandboxState {
    /// From here on the policy holds: every lookup and every connection that begins is judged by it. Pins of
    /// names that it refuses end. Connections by way of the proxy live on where it says the same of them as
    /// the policy of before, or lets what they have shown pass; the others are ended by resets, those too
    /// that have shown nothing yet.
    ///
    /// The kernel side is the caller's: its rules, and the connections that go past the proxy. To be called
    /// under [`SandboxState::change`].
    pub(crate) fn set_policy(&self, policy: Policy) -> Changed {
        policy.set_own_addresses(self.policy().own_addresses().as_ref().clone());
        policy.set_search_domains(self.policy().search_domains().as_ref().clone());
        let policy = Arc::new(policy);
        let generation = self.policy.set(Arc::clone(&policy));
        let now_ns = boottime_ns();
        let pins = self.pins();
        let lost = pins.rejudge(
            |name, addresses| {
                let grant = policy.name(name).ok()?;
                let addresses = addresses.to_vec();
                let answer = Answer::Found { chain: Vec::new(), addresses };
                if name.is_localhost() {
                    return Some(grant);
                }
                policy.judge_lookup(name, &grant, &answer).ok().map(|(accepting, _)| accepting)
            },
            now_ns,
        );
        let ended = self.connections.rejudge(generation, |before, evidence, judged| {
            keeps(pins, before, &policy, evidence, judged, now_ns)
        });
        Changed { ended, lost }
    }

    /// Ends the pins of, and the connections by way of the proxy to, the addresses for which `which` holds.
    /// Gives how many connections. To be called under [`SandboxState::change`].
    pub(crate) fn revoke(&self, which: impl Fn(IpAddr) -> bool) -> usize {
        // The same policy, as a newer one: what pins vouched for before this, and is not in the list yet, is
        // judged again before it enters.
        let generation = self.policy.set(self.policy());
        self.pins().end(&which, boottime_ns());
        let is_kept = |evidence: &Evidence| !which(evidence.target().ip());
        self.connections.rejudge(generation, |_, evidence, _| is_kept(evidence))
    }
}

/// Whether a connection lives on that began under `before`.
fn keeps(
    pins: &Pins,
    before: &Policy,
    now: &Policy,
    evidence: &Evidence,
    judged: &Judged,
    now_ns: u64,
) -> bool {
    let Ok(vouched) = Evidence::gather(now, pins, evidence.target(), now_ns) else { return false };
    let is_literal = vouched.is_literal() || evidence.is_literal();
    if is_literal {
        // Names pass that only denies are asked of.
        return now.says_as(before) && vouched.vouches_as(evidence);
    }
    if now.settings().judges_as(before.settings()) && vouched.vouches_as(evidence) {
        return true;
    }
    match judged {
        // What remains of it is encrypted.
        Judged::Whole(Some(name)) if now.settings().mode != Mode::Limited => {
            let hello = Hello { server_name: Some(name.as_str().into()), ech: false };
            vouched.judge_hello(now, &hello).is_ok()
        }
        Judged::Whole(_) | Judged::Requests | Judged::Nothing => false,
    }
}

#[cfg(test)]
mod tests;
