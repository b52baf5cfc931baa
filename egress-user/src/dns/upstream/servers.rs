//! A list of servers, asked in its order.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hickory_resolver::{
    TlsConfig,
    config::{ConnectionConfig, NameServerConfig},
    net::{DnsError, NetError, NoRecords},
    proto::{
        dnssec::{Proof, TrustAnchors},
        op::{DnsResponse, Query, ResponseCode},
        rr::RecordType,
    },
};
use rustls::ClientConfig;

use super::{
    ServersError,
    cache::Clock,
    chain,
    failure::{self, Failures},
    reply::Reply,
    ways::{Means, Ways},
};
use crate::{config::DnsServer, dns::answer::wire_name, policy::Name};

/// For how long a server that did not answer is asked after the others, in nanoseconds.
const SILENT_NS: u64 = 30_000_000_000;

/// Least time for one server's answer, unless there is less for all.
const LEAST_SHARE: Duration = Duration::from_secs(2);

/// How much longer the second family is waited for once the first one has addresses.
const OTHER_FAMILY: Duration = Duration::from_secs(2);

/// How servers are reached and believed.
pub(super) struct Manner<'a> {
    /// The system's servers.
    pub(super) system: &'a [IpAddr],
    /// Their port: 53, but for tests.
    pub(super) system_port: u16,
    /// For `tls://` and `https://`; none where no server needs it.
    pub(super) tls: Option<&'a ClientConfig>,
    /// With these, answers are validated.
    pub(super) trust_anchors: Option<Arc<TrustAnchors>>,
    /// Time for one lookup.
    pub(super) timeout: Duration,
    pub(super) clock: &'a Clock,
}

/// Servers, the next of which is asked when one is silent, unreachable or fails. One that was
/// silent comes last for a while, so that it does not cost every lookup its share of the time.
///
/// As with resolv.conf, the order means something: the first server's "no such name" counts,
/// even when a later one knows the name.
pub(super) struct Servers {
    servers: Vec<Server>,
    /// For the answer of each.
    share: Duration,
    /// For a lookup: what is configured, or longer where that would be less than [`LEAST_SHARE`] for each.
    patience: Duration,
    clock: Clock,
}

struct Server {
    /// As a policy has it, without the port that is everybody's.
    label: String,
    ways: Ways,
    answered_ns: AtomicU64,
    silent_until_ns: AtomicU64,
}

impl Servers {
    pub(super) fn new(written: &[DnsServer], manner: &Manner<'_>) -> Result<Self, ServersError> {
        let mut configured = Vec::new();
        for server in written {
            match server {
                DnsServer::System => configured.extend(manner.system.iter().map(|ip| {
                    let address = SocketAddr::new(*ip, manner.system_port);
                    (label("", address, 53), plain(address))
                })),
                DnsServer::Address(address) => {
                    configured.push((label("", *address, 53), plain(*address)));
                }
                DnsServer::Tls { address, name } => {
                    let connection = ConnectionConfig::tls(server_name(name.as_ref(), *address));
                    configured.push((label("tls://", *address, 853), at(*address, [connection])));
                }
                DnsServer::Https { address, name: None, .. } if address.is_ipv6() => {
                    return Err(ServersError::NeedsName(address.ip()));
                }
                DnsServer::Https { address, name, path } => {
                    let name = server_name(name.as_ref(), *address);
                    let connection = ConnectionConfig::https(name, Some((&**path).into()));
                    configured.push((label("https://", *address, 443), at(*address, [connection])));
                }
            }
        }
        let count = u32::try_from(configured.len()).unwrap_or(u32::MAX);
        let equal = manner.timeout.checked_div(count).ok_or(ServersError::Empty)?;
        let share = equal.max(LEAST_SHARE.min(manner.timeout));
        let patience = manner.timeout.max(share.saturating_mul(count));
        let servers = configured.into_iter().map(|server| Server::new(server, share, manner));
        let servers = servers.collect::<Result<_, ServersError>>()?;
        Ok(Self { servers, share, patience, clock: manner.clock.clone() })
    }

    /// Asks for both families of a name. Once one has addresses, the other is waited for a little longer
    /// alone: whoever looked the name up may use what there is.
    ///
    /// Besides, which server did what in place of an answer.
    pub(super) async fn ask_both(&self, name: &Name) -> (Reply, Reply, Option<Arc<str>>) {
        let (mut of_v4, mut of_v6) = (Failures::default(), Failures::default());
        let (v4, v6) = self.ask_families(name, &mut of_v4, &mut of_v6).await;
        (v4, v6, of_v4.text(of_v6))
    }

    async fn ask_families(
        &self,
        name: &Name,
        of_v4: &mut Failures,
        of_v6: &mut Failures,
    ) -> (Reply, Reply) {
        let mut v4 = pin!(self.ask(name, RecordType::A, of_v4));
        let mut v6 = pin!(self.ask(name, RecordType::AAAA, of_v6));
        let grace = |reply: &Reply| match reply.has_addresses() {
            true => OTHER_FAMILY,
            // It ends by itself.
            false => Duration::MAX,
        };
        tokio::select! {
            first = &mut v4 => {
                let other = tokio::time::timeout(grace(&first), v6).await;
                (first, other.unwrap_or(Reply::Timeout))
            }
            first = &mut v6 => {
                let other = tokio::time::timeout(grace(&first), v4).await;
                (other.unwrap_or(Reply::Timeout), first)
            }
        }
    }

    /// Asks the servers in turn; in the time that there is for a lookup.
    pub(super) async fn ask(
        &self,
        name: &Name,
        record_type: RecordType,
        failures: &mut Failures,
    ) -> Reply {
        let asked = self.ask_in_turn(name, record_type, failures);
        tokio::time::timeout(self.patience, asked).await.unwrap_or(Reply::Timeout)
    }

    async fn ask_in_turn(
        &self,
        name: &Name,
        record_type: RecordType,
        failures: &mut Failures,
    ) -> Reply {
        let Some(wire) = wire_name(name) else { return Reply::ServFail };
        let now_ns = (self.clock)();
        let is_silent = |(_, server): &(usize, &Server)| {
            server.silent_until_ns.load(Ordering::Relaxed) > now_ns
        };
        let numbered = self.servers.iter().enumerate();
        let (silent, others): (Vec<_>, Vec<_>) = numbered.partition(is_silent);
        let mut outcome = Reply::ServFail;
        for (number, server) in others.into_iter().chain(silent) {
            failures.ask(number, &server.label);
            let query = Query::query(wire.clone(), record_type);
            let asked = server.ways.ask(&query, self.share);
            let result = match tokio::time::timeout(self.share, asked).await {
                Ok(result) => result,
                Err(_elapsed) => Err(NetError::Timeout),
            };
            let silent = matches!(result, Err(NetError::Timeout | NetError::Io(_)));
            server.note(silent, now_ns, (self.clock)());
            if let Err(error) = &result {
                tracing::debug!(name = name.as_str(), %record_type, %error, "upstream");
            }
            failures.failed(&server.label, &failure::did(&result));
            let validated = server.ways.validates();
            let said = Said::from(result);
            if !matches!(said, Said::Nothing | Said::Failure) {
                failures.answered();
            }
            outcome = match said {
                Said::Response(response) => {
                    let negative_ttl = response.negative_ttl();
                    match chain::walk(name, &wire, record_type, &response.answers, validated) {
                        Ok(found) => return Reply::Found { found, negative_ttl },
                        Err(error) => {
                            tracing::debug!(name = name.as_str(), %record_type, %error, "upstream");
                            failures.ask(number, &server.label);
                            failures.failed(&server.label, &failure::is_broken(error));
                            return Reply::ServFail;
                        }
                    }
                }
                Said::NoData(negative_ttl) => {
                    return Reply::Found { found: chain::Found::default(), negative_ttl };
                }
                Said::NxDomain(negative_ttl) => return Reply::NxDomain { negative_ttl },
                Said::Nothing => Reply::Timeout,
                Said::Failure => Reply::ServFail,
            };
        }
        outcome
    }
}

impl Server {
    fn new(
        (label, config): (String, NameServerConfig),
        share: Duration,
        manner: &Manner<'_>,
    ) -> Result<Self, ServersError> {
        let tls = match manner.tls {
            Some(config) => TlsConfig { config: config.clone() },
            // Without a single authority, so nothing could be reached with it.
            None => TlsConfig::new().map_err(ServersError::Client)?,
        };
        let ways = Ways::new(&Means {
            server: config,
            tls,
            trust_anchors: manner.trust_anchors.clone(),
            share,
            clock: manner.clock.clone(),
        });
        let (answered_ns, silent_until_ns) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { label, ways, answered_ns, silent_until_ns })
    }

    /// Notes whether the server was silent. One that has answered something else since it was
    /// asked is not silent: the name's own servers are slow, and may be so on purpose, to have
    /// everybody else's names asked elsewhere.
    fn note(&self, silent: bool, asked_ns: u64, now_ns: u64) {
        if !silent {
            self.answered_ns.store(now_ns, Ordering::Relaxed);
            self.silent_until_ns.store(0, Ordering::Relaxed);
        } else if self.answered_ns.load(Ordering::Relaxed) <= asked_ns {
            let until_ns = now_ns.saturating_add(SILENT_NS);
            self.silent_until_ns.store(until_ns, Ordering::Relaxed);
        }
    }
}

/// A server's word, in the few cases that matter. TTLs in seconds, where an SOA gave them.
enum Said {
    Response(Box<DnsResponse>),
    NoData(Option<u32>),
    NxDomain(Option<u32>),
    /// No answer in time.
    Nothing,
    /// An error, or an answer that is not believed.
    Failure,
}

impl From<Result<DnsResponse, NetError>> for Said {
    fn from(result: Result<DnsResponse, NetError>) -> Self {
        match result {
            Ok(response) => match response.response_code {
                ResponseCode::NoError => Said::Response(Box::new(response)),
                // Of an alias to nothing the alias may end sooner.
                ResponseCode::NXDomain => Said::NxDomain(response.negative_ttl().map(|ttl| {
                    response.answers.iter().map(|record| record.ttl).fold(ttl, u32::min)
                })),
                _ => Said::Failure,
            },
            Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
                response_code,
                negative_ttl,
                ..
            }))) => match response_code {
                ResponseCode::NoError => Said::NoData(negative_ttl),
                ResponseCode::NXDomain => Said::NxDomain(negative_ttl),
                _ => Said::Failure,
            },
            // That there is nothing need not be proved where the zone is proved to be unsigned.
            Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. })) => {
                Said::from(Ok(*response))
            }
            Err(NetError::Timeout) => Said::Nothing,
            Err(_) => Said::Failure,
        }
    }
}

/// Of a certificate: the name, or the address itself.
fn server_name(name: Option<&Name>, address: SocketAddr) -> Arc<str> {
    name.map_or_else(|| address.ip().to_string().into(), |name| name.as_str().into())
}

/// Without the port that is everybody's.
fn label(scheme: &str, at: SocketAddr, usual: u16) -> String {
    match at.port() == usual {
        true => format!("{scheme}{}", at.ip()),
        false => format!("{scheme}{at}"),
    }
}

fn plain(address: SocketAddr) -> NameServerConfig {
    at(address, [ConnectionConfig::udp(), ConnectionConfig::tcp()])
}

fn at(
    address: SocketAddr,
    connections: impl IntoIterator<Item = ConnectionConfig>,
) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections = connections.into_iter().collect();
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}
