//! How one server is asked: with EDNS and in random case, and in lesser ways where it understands no better.
//!
//! Servers in homes and offices drop or refuse questions with EDNS (RFC 6891 section 6.2.2), or write the question's
//! name in lower case into their answers. libc takes both as they are.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{NameServerConfig, ResolveHosts, ResolverOpts, ServerOrderingStrategy},
    net::{
        DnsError, NetError, NoRecords,
        dnssec::DnssecDnsHandle,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer, Protocol},
    },
    proto::{
        dnssec::TrustAnchors,
        op::{DEFAULT_MAX_PAYLOAD_LEN, DnsRequestOptions, DnsResponse, Query, ResponseCode},
    },
};
use tokio::time::sleep;

use super::cache::Clock;

/// For how long it is remembered that a server understands no better, in nanoseconds.
const REMEMBERED_NS: u64 = 600_000_000_000;

/// Most queries on their way over one TCP or TLS connection.
const MAX_ACTIVE: usize = 1024;

type Pool = NameServerPool<TokioRuntimeProvider>;
type Answered = Result<DnsResponse, NetError>;

enum Handle {
    Plain(Pool),
    Validating(DnssecDnsHandle<Pool>),
}

/// One server, in each way in which it can be asked.
pub(super) struct Ways {
    /// With EDNS, in random case (0x20); over TCP where the answer is cut, or in another case.
    usual: Handle,
    /// The same without EDNS. None where signatures are asked for, which need it.
    without_edns: Option<Handle>,
    /// In lower case. None where a connection is encrypted, which nobody forges answers on.
    lower_case: Option<Handle>,
    /// It has answered a question with EDNS.
    knows_edns: AtomicBool,
    without_edns_until_ns: AtomicU64,
    lower_case_until_ns: AtomicU64,
    clock: Clock,
}

/// What every way of a server has.
pub(super) struct Means {
    pub(super) server: NameServerConfig,
    pub(super) tls: TlsConfig,
    pub(super) trust_anchors: Option<Arc<TrustAnchors>>,
    /// For one server's answer.
    pub(super) share: Duration,
    pub(super) clock: Clock,
}

impl Means {
    fn handle(&self, random_case: bool) -> Handle {
        // A pool a server: hickory's deadline for a whole pool is the time-out of one server, so
        // a silent first server leaves no time for the second; and it takes an error from one
        // server as the answer of all. And a pool a way: it takes two questions for one name that
        // are on their way for one.
        let tls = TlsConfig { config: self.tls.config.clone() };
        let context = Arc::new(PoolContext::new(options(self.share, random_case), tls));
        let provider = TokioRuntimeProvider::default();
        let pool = NameServerPool::from_config([self.server.clone()], context, provider);
        match &self.trust_anchors {
            Some(anchors) => {
                Handle::Validating(DnssecDnsHandle::with_trust_anchor(pool, anchors.clone()))
            }
            None => Handle::Plain(pool),
        }
    }
}

impl Ways {
    pub(super) fn new(means: &Means) -> Self {
        let mut connections = means.server.connections.iter();
        let is_clear = connections.any(|one| one.protocol.to_protocol() == Protocol::Udp);
        Self {
            usual: means.handle(true),
            without_edns: means.trust_anchors.is_none().then(|| means.handle(true)),
            lower_case: is_clear.then(|| means.handle(false)),
            knows_edns: AtomicBool::new(false),
            without_edns_until_ns: AtomicU64::new(0),
            lower_case_until_ns: AtomicU64::new(0),
            clock: means.clock.clone(),
        }
    }

    /// Whether records have proofs.
    pub(super) fn validates(&self) -> bool {
        matches!(self.usual, Handle::Validating(_))
    }

    /// Asks it; in a lesser way when it refuses the usual one, or says nothing to it for a part of `share`.
    pub(super) async fn ask(&self, query: &Query, share: Duration) -> Answered {
        let Some(lower) = &self.lower_case else { return self.in_random_case(query, share).await };
        let ask_lower = || lower.ask(query, self.lower_case_with_edns());
        if self.remembers(&self.lower_case_until_ns) {
            let answered = ask_lower().await;
            return match is_lower_case(&answered) {
                true => answered,
                false => Err(NetError::QueryCaseMismatch),
            };
        }
        let mut usual = pin!(self.in_random_case(query, share));
        let soon = tokio::select! {
            biased;
            answered = &mut usual => Some(answered),
            () = sleep(share / 2) => None,
        };
        match soon {
            // In another case over UDP, and no answer over TCP; or nobody is there at all.
            Some(failed) if !is_answer(&failed) => {
                let answered = ask_lower().await;
                self.believe(answered).unwrap_or(failed)
            }
            Some(answered) => answered,
            None => {
                // TCP may be silent as well. What comes in lower case counts only when its time is over.
                let mut lower = pin!(ask_lower());
                let mut end = pin!(sleep(share * 2 / 5));
                let mut fallback = None;
                loop {
                    tokio::select! {
                        biased;
                        answered = &mut usual => match fallback {
                            Some(fallback) if !is_answer(&answered) => {
                                return self.believe(fallback).unwrap_or(answered);
                            }
                            _ => return answered,
                        },
                        answered = &mut lower, if fallback.is_none() => fallback = Some(answered),
                        () = &mut end => break,
                    }
                }
                match fallback.and_then(|fallback| self.believe(fallback)) {
                    Some(answered) => answered,
                    None => usual.await,
                }
            }
        }
    }

    /// An answer in lower case that is believed, and remembered as what the server does.
    fn believe(&self, answered: Answered) -> Option<Answered> {
        (is_answer(&answered) && is_lower_case(&answered)).then(|| {
            self.remember(&self.lower_case_until_ns);
            answered
        })
    }

    /// A server that is known to take EDNS gets it; signatures need it.
    fn lower_case_with_edns(&self) -> bool {
        self.validates() || self.knows_edns.load(Ordering::Relaxed)
    }

    async fn in_random_case(&self, query: &Query, share: Duration) -> Answered {
        let Some(without) = &self.without_edns else { return self.usual.ask(query, true).await };
        if self.remembers(&self.without_edns_until_ns) {
            return without.ask(query, false).await;
        }
        let mut usual = pin!(self.usual.ask(query, true));
        // Silence to the first questions may be what it says to EDNS; later it is silence.
        let patience = match self.knows_edns.load(Ordering::Relaxed) {
            true => share,
            false => share / 5,
        };
        tokio::select! {
            biased;
            answered = &mut usual => {
                if !is_refusal_of_edns(&answered) {
                    if is_answer(&answered) {
                        self.knows_edns.store(true, Ordering::Relaxed);
                    }
                    return answered;
                }
                let plain = without.ask(query, false).await;
                if is_answer(&plain) && !is_refusal_of_edns(&plain) {
                    self.remember(&self.without_edns_until_ns);
                }
                return plain;
            }
            () = sleep(patience) => {}
        }
        let mut plain = pin!(without.ask(query, false));
        tokio::select! {
            biased;
            answered = &mut usual => {
                if is_answer(&answered) {
                    self.knows_edns.store(true, Ordering::Relaxed);
                    return answered;
                }
                plain.await
            }
            answered = &mut plain => {
                if is_answer(&answered) {
                    self.remember(&self.without_edns_until_ns);
                    return answered;
                }
                usual.await
            }
        }
    }

    fn remembers(&self, until_ns: &AtomicU64) -> bool {
        until_ns.load(Ordering::Relaxed) > (self.clock)()
    }

    fn remember(&self, until_ns: &AtomicU64) {
        let end_ns = (self.clock)().saturating_add(REMEMBERED_NS);
        until_ns.store(end_ns, Ordering::Relaxed);
    }
}

impl Handle {
    async fn ask(&self, query: &Query, edns: bool) -> Answered {
        let mut options = DnsRequestOptions::default();
        options.use_edns = edns;
        options.edns_payload_len = DEFAULT_MAX_PAYLOAD_LEN;
        match self {
            Handle::Plain(pool) => pool.lookup(query.clone(), options).first_answer().await,
            Handle::Validating(handle) => {
                options.edns_set_dnssec_ok = true;
                options.case_randomization = true;
                handle.lookup(query.clone(), options).first_answer().await
            }
        }
    }
}

/// Whether the server has said anything, be it an error.
fn is_answer(answered: &Answered) -> bool {
    !matches!(
        answered,
        Err(NetError::Timeout
            | NetError::Io(_)
            | NetError::NoConnections
            | NetError::Busy
            | NetError::QueryCaseMismatch)
    )
}

/// Whether the question in the answer is in lower case, as it was sent: a mixture is what somebody made up.
fn is_lower_case(answered: &Answered) -> bool {
    let is_lower = |query: &Query| query.name().eq_case(&query.name().to_lowercase());
    match answered {
        Ok(response) => response.queries.iter().all(is_lower),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => is_lower(&none.query),
        Err(_) => true,
    }
}

/// Whether that is what servers say that know no EDNS.
fn is_refusal_of_edns(answered: &Answered) -> bool {
    let code = match answered {
        Ok(response) => response.response_code,
        Err(NetError::Dns(
            DnsError::ResponseCode(response_code)
            | DnsError::NoRecordsFound(NoRecords { response_code, .. }),
        )) => *response_code,
        Err(_) => return false,
    };
    matches!(code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS)
}

fn options(timeout: Duration, random_case: bool) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    // 0x20: an answer that does not repeat the question's case is taken as forged, and TCP asked.
    options.case_randomization = random_case;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.max_active_requests = MAX_ACTIVE;
    options
}
