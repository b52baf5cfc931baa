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
        limits::Admission,
        records,
        settings::Settings,
        upstream::{LookupResult, Records},
    },
    pins::{NEVER_NS, PinError, expiry_ns},
    policy::{Answer, MatchedRules, Name, Refusal, Rule},
    record::{Limit, Subject},
    sandbox::PolicyVersion,
};

/// TTL of `localhost`, in seconds.
const LOCALHOST_TTL: u32 = 3600;

/// Where nobody knows which server did what: there is none.
const NO_ANSWER: &str = "there is no name server that answers";

impl Service {
    /// One lookup of an allowed name: asked, judged as a whole, pinned. Whoever asks for the name at the same
    /// time, in this sandbox or another, shares what the name servers say and nothing else: the one place for
    /// that is [`crate::dns::upstream`].
    pub(super) async fn look_up(
        &self,
        name: &Name,
        allowed: (PolicyVersion, MatchedRules),
        admission: Admission,
    ) -> Outcome {
        let looked = match self.upstream.kept(name) {
            Some(looked) => {
                self.limits().uncount(admission);
                looked
            }
            None => self.upstream.lookup(name).await,
        };
        if let Some(outcome) = self.judge_by(name, &looked, false, allowed) {
            return outcome;
        }
        // The policy has changed since it allowed the name.
        self.judge(name, &looked, false)
    }

    /// Looks up the name of a pin that has ended, for a connection to its address: what comes of it is judged,
    /// pinned and told as that of any lookup, and counts against the same limits. Says whether something was
    /// pinned.
    pub(in crate::dns) async fn renew(&self, name: &Name) -> bool {
        let version = self.sandbox.policy.now();
        // Neither the file's pins end, nor those of `localhost`.
        let is_here = name.is_localhost() || self.sandbox.hosts().answer(name).is_some();
        let (false, Ok(grant)) = (is_here, version.policy.name(name)) else { return false };
        let admission = self.admit();
        if admission != Admission::Answer {
            self.note_limit(Limit::QueriesPerSecond);
            return false;
        }
        let limited = self.limits().name(name, boottime_ns()).err().map(str::to_owned);
        if let Some(domain) = limited {
            self.note_limit(Limit::NewNames(domain.as_str().into()));
            return false;
        }
        let outcome = self.look_up(name, (version, grant), admission).await;
        self.addresses_of(name, RecordType::A, outcome).is_ok()
    }

    /// The same of a name of the hosts file, which lasts.
    pub(super) fn look_up_in_file(&self, name: &Name, answer: Answer) -> Outcome {
        let looked =
            LookupResult { v4_ttl: HOSTS_TTL, v6_ttl: HOSTS_TTL, ..LookupResult::failed(answer) };
        self.judge(name, &looked, true)
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

    /// By the policy of now; until it has not changed meanwhile.
    fn judge(&self, name: &Name, looked: &LookupResult, lasts: bool) -> Outcome {
        loop {
            let version = self.sandbox.policy.now();
            let grant = match version.policy.name(name) {
                Ok(grant) => grant,
                Err(refusal) => return Outcome::Refused(refusal),
            };
            if let Some(outcome) = self.judge_by(name, looked, lasts, (version, grant)) {
                return outcome;
            }
        }
    }

    /// By this version of the policy, which allows the name by these rules. None where a newer one has to be
    /// asked. `lasts`: pins of it never end.
    fn judge_by(
        &self,
        name: &Name,
        looked: &LookupResult,
        lasts: bool,
        (version, grant): (PolicyVersion, MatchedRules),
    ) -> Option<Outcome> {
        let PolicyVersion { generation, policy } = version;
        let (grant, judged) = match policy.judge_lookup(name, &grant, &looked.answer) {
            Ok(judged) => judged,
            Err(refusal) if refusal.reason == Reason::DnsFailed => {
                return Some(Outcome::Failed(refusal, passed_on(looked)));
            }
            Err(refusal) => return Some(Outcome::Refused(refusal)),
        };
        self.open(name, &grant, judged, looked, (generation, lasts))
    }

    /// Pins what was judged; the outcome is what may be answered. None where the policy is another one than
    /// that of `generation`, or an address has become the machine's own: looked at where nobody else writes
    /// pins, and whoever changes either has them judged anew, or ended, behind the change.
    fn open(
        &self,
        name: &Name,
        grant: &MatchedRules,
        judged: &[IpAddr],
        looked: &LookupResult,
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
        let is_current = || {
            let policy = self.sandbox.policy();
            let has_become_own = |address: &IpAddr| policy.is_own_to(grant, *address);
            self.sandbox.policy.generation() == generation && !judged.iter().any(has_become_own)
        };
        let pinned = self.sandbox.pins().pin_if(is_current, name, grant, &wanted, now_ns)?;
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
        self.sandbox.pins().pin(name, grant, &wanted, now_ns).map(drop)
    }

    /// Records of another type of an allowed name. They pin nothing.
    pub(super) async fn other(&self, name: &Name, record_type: RecordType) -> Reply {
        let (chain, records, ttl) = match self.upstream.records(name, record_type).await {
            Records::Found { chain, records, ttl } => (chain, records, ttl),
            Records::NxDomain { .. } => return Reply::NxDomain,
            Records::Failed(failure) => {
                let failure = failure.as_deref().unwrap_or(NO_ANSWER);
                let reply = Reply::Failed(failure.to_owned());
                self.note_failure(name, record_type, &Refusal::new(Reason::DnsFailed), &reply);
                return reply;
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
fn passed_on(looked: &LookupResult) -> Reply {
    let failed = |why: &str| Reply::Failed(looked.failure.as_deref().unwrap_or(why).to_owned());
    match looked.answer {
        Answer::NxDomain => Reply::NxDomain,
        Answer::Found { .. } => Reply::NoData,
        Answer::ServFail => failed(NO_ANSWER),
        Answer::Timeout => failed("no name server answered in time"),
    }
}
