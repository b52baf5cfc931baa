//! Asking a name server on behalf of a sandbox, and what of the outcome may be answered.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use egress_common::Reason;
use hickory_proto::rr::RecordType;

use super::{Outcome, Service, seconds_left};
use crate::{
    clock::boottime_ns,
    dns::{
        answer::{Addresses, Reply},
        hosts_file::HOSTS_TTL,
        records,
        settings::Settings,
        upstream::{Looked, Records},
    },
    pins::{NEVER_NS, PinError, expiry_ns},
    policy::{Answer, MatchedRules, Name, Refusal, Rule},
    record::{Limit, Subject},
    sandbox::PolicyVersion,
};

/// TTL of `localhost`, in seconds.
const LOCALHOST_TTL: u32 = 3600;

impl Service {
    /// One lookup of an allowed name: asked, judged as a whole, pinned. Whoever asks for the name at the same
    /// time, in this sandbox or another, shares what the name servers say and nothing else: the one place for
    /// that is [`crate::dns::upstream`].
    pub(super) async fn look_up(&self, name: &Name) -> Outcome {
        let looked = self.upstream.lookup(name).await;
        loop {
            if let Some(outcome) = self.judge(name, &looked, false) {
                return outcome;
            }
            // The policy has changed since it was asked.
        }
    }

    /// The same of a name of the hosts file, which lasts.
    pub(super) fn look_up_in_file(&self, name: &Name, answer: Answer) -> Outcome {
        let looked = Looked { answer, v4_ttl: HOSTS_TTL, v6_ttl: HOSTS_TTL };
        loop {
            if let Some(outcome) = self.judge(name, &looked, true) {
                return outcome;
            }
        }
    }

    /// Pins what the hosts file has of the names that the policy allows, for good: programs find them there and
    /// never ask. What the policy refuses of it is told when a program goes there.
    pub fn pin_hosts(&self) {
        let hosts = self.sandbox.hosts();
        let policy = self.sandbox.policy();
        for name in hosts.names().filter(|name| policy.name(name).is_ok()) {
            let Some(answer) = hosts.answer(name) else { continue };
            if let Outcome::Failed(refusal, _) = self.look_up_in_file(name, answer)
                && refusal.reason == Reason::RateLimited
            {
                return self.note_limit(Limit::Pins);
            }
        }
    }

    /// None where a newer policy has to be asked. `lasts`: pins of it never end.
    fn judge(&self, name: &Name, looked: &Looked, lasts: bool) -> Option<Outcome> {
        let PolicyVersion { generation, policy } = self.sandbox.policy.now();
        let grant = match policy.name(name) {
            Ok(grant) => grant,
            Err(refusal) => return Some(Outcome::Refused(refusal)),
        };
        let (grant, judged) = match policy.judge_lookup(name, &grant, &looked.answer) {
            Ok(judged) => judged,
            Err(refusal) if refusal.reason == Reason::DnsFailed => {
                return Some(Outcome::Failed(refusal, passed_on(&looked.answer)));
            }
            Err(refusal) => return Some(Outcome::Refused(refusal)),
        };
        self.open(name, &grant, judged, looked, (generation, lasts))
    }

    /// Pins what was judged; the outcome is what may be answered. None where the policy is another one than
    /// that of `generation`, or an address has become the machine's own: looked at under the lock of the pins,
    /// which whoever changes the policy takes behind the change.
    fn open(
        &self,
        name: &Name,
        grant: &MatchedRules,
        judged: &[IpAddr],
        looked: &Looked,
        (generation, lasts): (u64, bool),
    ) -> Option<Outcome> {
        let now_ns = boottime_ns();
        let Settings { min_ttl, max_ttl, has_ipv6, .. } = self.settings;
        let expiry_ns = |ttl| match lasts {
            true => NEVER_NS,
            false => expiry_ns(now_ns, ttl, min_ttl, max_ttl),
        };
        let (v4_expires_ns, v6_expires_ns) = (expiry_ns(looked.v4_ttl), expiry_ns(looked.v6_ttl));
        let mut addresses =
            Addresses { v4_ttl: looked.v4_ttl, v6_ttl: looked.v6_ttl, ..Addresses::default() };
        let mut wanted = Vec::with_capacity(judged.len());
        for &address in judged {
            match address {
                IpAddr::V4(v4) => {
                    addresses.v4.push(v4);
                    wanted.push((address, v4_expires_ns));
                }
                IpAddr::V6(v6) if has_ipv6 => {
                    addresses.v6.push(v6);
                    wanted.push((address, v6_expires_ns));
                }
                IpAddr::V6(_) => {}
            }
        }
        let mut pins = self.sandbox.pins();
        let policy = self.sandbox.policy();
        let has_become_own = |address: &IpAddr| policy.is_own_to(grant, *address);
        if self.sandbox.policy.generation() != generation || judged.iter().any(has_become_own) {
            return None;
        }
        let pinned = pins.pin(self.sandbox.store(), name, grant, &wanted, now_ns);
        drop(pins);
        Some(match pinned {
            Ok(ends) => {
                addresses.v4_ttl = addresses.v4_ttl.min(seconds_left(ends.v4_ns, now_ns));
                addresses.v6_ttl = addresses.v6_ttl.min(seconds_left(ends.v6_ns, now_ns));
                Outcome::Pinned(addresses)
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "DNS answer withheld");
                let reason = match error {
                    PinError::Full { .. } => Reason::RateLimited,
                    PinError::Sink { .. } => Reason::DnsFailed,
                };
                Outcome::Failed(Refusal::new(reason), Reply::Failed(error.to_string()))
            }
        })
    }

    /// `localhost` is never looked up.
    pub(super) fn localhost(&self, name: &Name, grant: &MatchedRules) -> Reply {
        match self.pin_loopback(name, grant) {
            Ok(()) => Reply::Addresses(Addresses {
                v4: vec![Ipv4Addr::LOCALHOST],
                v6: vec![Ipv6Addr::LOCALHOST],
                v4_ttl: LOCALHOST_TTL,
                v6_ttl: LOCALHOST_TTL,
            }),
            Err(error) => Reply::Failed(error.to_string()),
        }
    }

    pub(super) fn pin_loopback(&self, name: &Name, grant: &MatchedRules) -> Result<(), PinError> {
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let wanted = loopback.map(|address| (address, NEVER_NS));
        let now_ns = boottime_ns();
        self.sandbox.pins().pin(self.sandbox.store(), name, grant, &wanted, now_ns).map(drop)
    }

    /// Records of another type of an allowed name. They pin nothing.
    pub(super) async fn other(&self, name: &Name, record_type: RecordType) -> Reply {
        let (chain, records, ttl) = match self.upstream.records(name, record_type).await {
            Records::Found { chain, records, ttl } => (chain, records, ttl),
            Records::NxDomain { .. } => return Reply::NxDomain,
            Records::Failed => {
                let asked = Subject::lookup(name, record_type);
                self.note(asked, &Refusal::new(Reason::DnsFailed));
                return Reply::Failed("the name servers failed to answer".to_owned());
            }
        };
        let policy = self.sandbox.policy();
        if let Some(refusal) = chain.iter().find_map(|alias| policy.denied_name(alias)) {
            return self.refuse(Subject::lookup(name, record_type), refusal);
        }
        let may_pass = |rule: &Arc<Rule>| rule.allows_ech(policy.settings());
        let allow_ech = policy.name(name).is_ok_and(|grant| grant.rules().iter().any(may_pass));
        let data = records::passed(&policy, allow_ech, record_type, records);
        if data.is_empty() {
            return Reply::NoData;
        }
        let longest = u32::try_from(self.settings.max_ttl.as_secs()).unwrap_or(u32::MAX);
        Reply::Records { data, ttl: ttl.min(longest) }
    }
}

/// What the upstream said, passed on as such.
fn passed_on(answer: &Answer) -> Reply {
    match answer {
        Answer::NxDomain => Reply::NxDomain,
        Answer::Found { .. } => Reply::NoData,
        Answer::ServFail => Reply::Failed("the name servers failed to answer".to_owned()),
        Answer::Timeout => Reply::Failed("no name server answered in time".to_owned()),
    }
}
