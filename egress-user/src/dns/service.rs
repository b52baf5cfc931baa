//! The answer to one query of a sandbox: judge, look up, judge, pin, answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egress_common::Reason;
use hickory_proto::rr::{self, RecordType};
use tokio::sync::Semaphore;

use super::{
    answer::{self, Addresses, Carrier, Reply},
    counters::Counters,
    limits::{Admission, Limits},
    query::{self, Asked, Query, Reverse},
    server::MAX_QUERIES,
    settings::Settings,
    tcp::MAX_DNS_CONNECTIONS,
    upstream::Upstream,
};
use crate::{
    clock::boottime_ns,
    flow::Flows,
    points::reach,
    policy::{MatchedRules, Name, Refusal, Remedy},
    record::{Event, Limit, Subject},
    sandbox::{PolicyVersion, SandboxState},
};

mod lookup;
mod noted;

/// Longest TTL of the name of a pinned address, in seconds.
const POINTER_TTL: u32 = 3600;

/// DNS of one sandbox, behind all of its listeners: they share its limits.
pub struct Service {
    sandbox: Arc<SandboxState>,
    settings: Settings,
    upstream: Arc<dyn Upstream>,
    pub(super) flows: Arc<dyn Flows>,
    limits: Mutex<Limits>,
    counters: Counters,
    pub(super) queries: Arc<Semaphore>,
    pub(super) connections: Arc<Semaphore>,
}

/// How a lookup ended, for whoever asked: its name servers' word may be that of many, what follows from it
/// is judged for each.
#[derive(Debug)]
enum Outcome {
    /// Judged and pinned.
    Pinned(Addresses),
    /// The policy refuses what the lookup gave.
    Refused(Refusal),
    /// There was nothing to judge, or it could not be pinned.
    Failed(Refusal, Reply),
}

impl Service {
    /// The DNS of one sandbox; nothing is served until a listener is handed to
    /// [`Service::serve_udp`] or [`Service::serve_tcp`].
    pub fn new(
        sandbox: Arc<SandboxState>,
        settings: Settings,
        upstream: Arc<dyn Upstream>,
        flows: Arc<dyn Flows>,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits: Mutex::new(Limits::new(settings.queries_per_second, boottime_ns())),
            sandbox,
            settings,
            upstream,
            flows,
            counters: Counters::default(),
            queries: Arc::new(Semaphore::new(MAX_QUERIES)),
            connections: Arc::new(Semaphore::new(MAX_DNS_CONNECTIONS)),
        })
    }

    /// Pins 127.0.0.1 and `::1` for good when the policy allows `localhost`; says whether it
    /// does. For the start of a sandbox: programs find `localhost` in /etc/hosts and never ask.
    ///
    /// # Errors
    /// When the pins cannot be written.
    pub fn pin_localhost(&self) -> std::io::Result<bool> {
        let name = Name::parse("localhost").map_err(std::io::Error::other)?;
        let Ok(grant) = self.sandbox.policy().name(&name) else { return Ok(false) };
        self.pin_loopback(&name, &grant).map_err(std::io::Error::other)?;
        Ok(true)
    }

    /// What was asked of this sandbox's DNS, and how it was answered.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts a query, before anything is done for it.
    pub(super) fn admit(&self) -> Admission {
        let admission = self.limits().query(boottime_ns());
        if admission == Admission::Ignore {
            self.note_limit(Limit::QueriesPerSecond);
        }
        admission
    }

    /// The response to an admitted message, or none when there is to be none.
    pub(super) async fn answer(
        &self,
        message: &[u8],
        carrier: Carrier,
        admission: Admission,
    ) -> Option<Vec<u8>> {
        reach("worker:lookup");
        let may_ask = admission == Admission::Answer;
        let (query, reply) = match query::parse(message) {
            Asked::Drop => {
                self.counters.dropped();
                return None;
            }
            Asked::Reject(..) if !may_ask => {
                self.counters.dropped();
                return None;
            }
            Asked::Reject(head, code) => {
                self.counters.rejected();
                return answer::reject(head, code);
            }
            Asked::RejectQuery(query, _) if !may_ask => {
                let reply = self.too_many();
                (query, reply)
            }
            Asked::Answer(query) if !may_ask && !self.is_kept(&query) => {
                let reply = self.too_many();
                (query, reply)
            }
            Asked::RejectQuery(query, code) => (query, Reply::Error(code)),
            Asked::Answer(query) => {
                let reply = self.reply(&query, admission).await;
                (query, reply)
            }
        };
        self.counters.replied(&reply);
        answer::respond(&query, &reply, self.settings.refuse, carrier)
    }

    fn too_many(&self) -> Reply {
        self.note_limit(Limit::QueriesPerSecond);
        let limit = self.settings.queries_per_second;
        Reply::Limited(format!("more than {limit} queries a second"))
    }

    /// Whether it is for an allowed name, and nobody has to be asked for the answer. Looked at first of
    /// queries beyond the limit alone: of others it is found out on the way to the answer.
    fn is_kept(&self, query: &Query) -> bool {
        let record_type = query.question.query_type();
        query::policy_name(query.question.name()).is_ok_and(|name| {
            let is_here = || name.is_localhost() || self.sandbox.hosts().answer(&name).is_some();
            self.sandbox.policy().name(&name).is_ok()
                && (is_here() || self.upstream.is_kept(&name, record_type))
        })
    }

    /// SERVFAIL at once, for a query beyond the limits.
    pub(super) fn overloaded(&self, message: &[u8], carrier: Carrier) -> Option<Vec<u8>> {
        let (Asked::Answer(query) | Asked::RejectQuery(query, _)) = query::parse(message) else {
            return None;
        };
        let reply = Reply::Failed(format!("more than {MAX_QUERIES} queries at once"));
        self.counters.replied(&reply);
        answer::respond(&query, &reply, self.settings.refuse, carrier)
    }

    /// Notes that a limit was met.
    pub(super) fn note_limit(&self, limit: Limit) {
        let refusal = match limit {
            Limit::QueriesPerSecond => {
                // Where that is not enough, the next one says more.
                let limit = self.settings.queries_per_second;
                let more = (limit < u16::MAX).then(|| limit.saturating_mul(2));
                let remedy = more.map(Remedy::QueriesPerSecond);
                Refusal { remedy, ..Refusal::new(Reason::RateLimited) }
            }
            _ => Refusal::new(Reason::RateLimited),
        };
        self.sandbox.journal.refused(Event::by_policy(Subject::Limit(limit), refusal));
    }

    async fn reply(&self, query: &Query, admission: Admission) -> Reply {
        let (wire, record_type) = (query.question.name(), query.question.query_type());
        if record_type == RecordType::PTR
            && let Some(reverse) = query::reverse(wire)
        {
            return self.pointer(reverse);
        }
        let name = match query::policy_name(wire) {
            Ok(name) => name,
            Err(_) => {
                let asked = Subject::Lookup { name: shown(wire).into(), record_type };
                return self.refuse(asked, Refusal::new(Reason::InvalidHost));
            }
        };
        let version = self.sandbox.policy.now();
        let grant = match version.policy.name(&name) {
            Ok(grant) => grant,
            Err(refusal) => return self.refuse_name(&name, record_type, refusal),
        };
        self.reply_allowed(&name, (version, grant), record_type, admission).await
    }

    /// The reply to a query for a name that a rule allows.
    async fn reply_allowed(
        &self,
        name: &Name,
        (version, grant): (PolicyVersion, MatchedRules),
        record_type: RecordType,
        admission: Admission,
    ) -> Reply {
        let is_address = matches!(record_type, RecordType::A | RecordType::AAAA);
        let reply = if name.is_localhost() && is_address {
            self.limits().uncount(admission);
            self.localhost(name, &grant)
        } else if let Some(answer) = self.sandbox.hosts().answer(name) {
            self.limits().uncount(admission);
            if is_address {
                let outcome = self.look_up_in_file(name, answer);
                match self.addresses_of(name, record_type, outcome) {
                    Ok(addresses) => Reply::Addresses(addresses),
                    Err(noted) => return noted,
                }
            } else {
                Reply::NoData
            }
        } else if name.is_localhost() || !is_address && !self.settings.answers(record_type) {
            // And not an error: a stub resolver that asks for more than addresses keeps them.
            Reply::NoData
        } else {
            let limited = self.limits().name(name, boottime_ns()).err().map(str::to_owned);
            if let Some(domain) = limited {
                self.note_limit(Limit::NewNames(domain.as_str().into()));
                return Reply::Limited(format!("too many new names below {domain}"));
            }
            if is_address {
                let outcome = self.look_up(name, (version, grant.clone()), admission).await;
                match self.addresses_of(name, record_type, outcome) {
                    Ok(addresses) => Reply::Addresses(addresses),
                    Err(noted) => return noted,
                }
            } else {
                if self.upstream.is_kept(name, record_type) {
                    self.limits().uncount(admission);
                }
                self.other(name, record_type).await
            }
        };
        let is_allowed = matches!(
            reply,
            Reply::Addresses(_) | Reply::Records { .. } | Reply::NoData | Reply::NxDomain
        );
        if is_allowed && !matches!(reply, Reply::NxDomain) {
            self.sandbox.journal.note_answered(name);
        }
        if is_allowed {
            self.sandbox.journal.allowed(|| {
                Event::allowed(Subject::lookup(name, record_type), Some(grant.rule().clone()))
            });
        }
        reply
    }

    /// The addresses that are pinned, or the reply to a failure that is noted.
    fn addresses_of(
        &self,
        name: &Name,
        record_type: RecordType,
        outcome: Outcome,
    ) -> Result<Addresses, Reply> {
        match outcome {
            Outcome::Pinned(addresses) => Ok(addresses),
            Outcome::Refused(refusal) => {
                Err(self.refuse(Subject::lookup(name, record_type), refusal))
            }
            Outcome::Failed(refusal, reply) => {
                match refusal.reason {
                    Reason::RateLimited => self.note_limit(Limit::Pins),
                    _ => self.note_failure(name, record_type, &refusal, &reply),
                }
                Err(reply)
            }
        }
    }

    /// Reverse names are answered from the pins and never forwarded: the question alone would
    /// tell an upstream which addresses the sandbox is interested in.
    fn pointer(&self, reverse: Reverse) -> Reply {
        let now_ns = boottime_ns();
        if let Reverse::Address(address) = reverse {
            let pins = self.sandbox.pins();
            if let Some(pinned) = pins.names_of(address, now_ns).into_iter().next() {
                let expires_ns = pins.expiry_of(&pinned.name, address).unwrap_or(now_ns);
                let ttl = seconds_left(expires_ns, now_ns).min(POINTER_TTL);
                return Reply::Pointer { name: pinned.name, ttl };
            }
        }
        // Not noted in the journal: tools ask for every address that they print.
        Reply::Refused(Refusal::new(Reason::NotPinned))
    }

    fn refuse(&self, asked: Subject, refusal: Refusal) -> Reply {
        self.note(asked, &refusal);
        Reply::Refused(refusal)
    }

    fn note(&self, asked: Subject, refusal: &Refusal) {
        self.sandbox.journal.refused(Event::by_policy(asked, refusal.clone()));
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        // A panic elsewhere leaves at worst a token less.
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds_left(expires_ns: u64, now_ns: u64) -> u32 {
    let seconds = expires_ns.saturating_sub(now_ns) / 1_000_000_000;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// A name that is none, for a person: what is not printable ASCII is escaped.
fn shown(wire: &rr::Name) -> String {
    wire.to_string().escape_default().to_string()
}

#[cfg(test)]
mod tests;
