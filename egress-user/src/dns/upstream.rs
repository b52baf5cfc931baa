//! Asking real name servers: A and AAAA of one name, together, once.
//!
//! Uses hickory's name server pools without the `Resolver` above them: that one answers
//! `localhost`, `.invalid` and `.onion` by itself, chases chains through further queries, merges
//! sections and caches, and then hides a looping chain behind "no records". Here the raw answer
//! section is walked from the question (`chain`), as nothing else of a message is believed.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    NameServerPool, PoolContext, TlsConfig,
    config::{
        ConnectionConfig, NameServerConfig, ResolveHosts, ResolverOpts, ServerOrderingStrategy,
    },
    net::{
        DnsError, NetError, NoRecords,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer},
    },
    proto::{
        op::{DnsRequestOptions, Query, ResponseCode},
        rr::{self, RecordType},
    },
    system_conf,
};

use super::answer::wire_name;
use crate::{
    config::DnsServer,
    policy::{Answer, Name},
};

mod chain;

pub use chain::{MAX_ADDRESSES, MAX_CHAIN};

/// What one lookup gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// For the policy to judge; at most [`MAX_ADDRESSES`] addresses, each once, v4-mapped ones
    /// as IPv4.
    pub answer: Answer,
    /// Least TTL on the way to the IPv4 addresses, in seconds; 0 when there are none.
    pub v4_ttl: u32,
    /// Least TTL on the way to the IPv6 addresses, in seconds; 0 when there are none.
    pub v6_ttl: u32,
}

impl Looked {
    /// A lookup that gave no addresses.
    pub fn failed(answer: Answer) -> Self {
        Self { answer, v4_ttl: 0, v6_ttl: 0 }
    }
}

/// Who looks names up; a trait so that tests can script the answers.
pub trait Upstream: Send + Sync {
    /// Looks up A and AAAA of an allowed name, without search domains and without any hosts file.
    fn lookup<'a>(&'a self, name: &'a Name) -> Pin<Box<dyn Future<Output = Looked> + Send + 'a>>;

    /// Looks up the records of one other type, of an allowed name.
    fn records<'a>(
        &'a self,
        name: &'a Name,
        record_type: RecordType,
    ) -> Pin<Box<dyn Future<Output = Records> + Send + 'a>> {
        let _ = (name, record_type);
        Box::pin(async { Records::Failed })
    }
}

/// What a lookup of another type than A and AAAA gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// Records of this type, at the end of the chain of aliases from the question; perhaps none.
    Found {
        /// Names of the chain, without the question: each is to be judged for denies.
        chain: Vec<Name>,
        /// The records as sent, without the chain's.
        records: Vec<rr::Record>,
        /// Least TTL on the way, in seconds; of the negative answer where there are no records.
        ttl: u32,
    },
    /// The name does not exist.
    NxDomain {
        /// For how long, in seconds.
        ttl: u32,
    },
    /// An error, no answer in time, or an answer that does not follow from the question.
    Failed,
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// The system's configuration is missing, cannot be read, or names no server.
    #[error(
        "read name servers from {RESOLV_CONF}; write `servers = [\"ADDRESS\"]` under \
         [network.dns] to name your own"
    )]
    System(#[source] NetError),
    /// An empty list.
    #[error("`servers` under [network.dns] is empty; write \"system\" or an address")]
    Empty,
    /// A protocol that is not built yet.
    #[error("DNS servers by tls:// and https:// are not built yet; write an address")]
    NotBuilt,
    /// The client could not be made.
    #[error("make a DNS client")]
    Client(#[source] NetError),
}

/// Real name servers, asked in their order: the next when one is silent, unreachable or fails.
///
/// As with resolv.conf, the order means something: the first server's "no such name" counts,
/// even when a later one knows the name.
pub struct NameServers {
    servers: Vec<NameServerPool<TokioRuntimeProvider>>,
    timeout: Duration,
}

impl NameServers {
    /// Reads the system's configuration where it is named; asks nobody yet.
    ///
    /// `timeout` bounds a whole lookup, and each server gets an equal share of it.
    ///
    /// # Errors
    /// [`ServersError`].
    pub fn new(servers: &[DnsServer], timeout: Duration) -> Result<Self, ServersError> {
        let mut configured = Vec::new();
        for server in servers {
            match server {
                DnsServer::System => {
                    let written = std::fs::read(RESOLV_CONF).map_err(NetError::from);
                    let system = written.and_then(|text| servers_of(&text));
                    configured.extend(system.map_err(ServersError::System)?);
                }
                DnsServer::Address(address) => configured.push(server_at(*address)),
                DnsServer::Tls { .. } | DnsServer::Https { .. } => {
                    return Err(ServersError::NotBuilt);
                }
            }
        }
        let servers = configured;
        let count = u32::try_from(servers.len()).unwrap_or(u32::MAX);
        let share = timeout.checked_div(count).ok_or(ServersError::Empty)?;
        // A pool a server: hickory's deadline for a whole pool is the time-out of one server, so
        // a silent first server leaves no time for the second; and it takes an error from one
        // server as the answer of all.
        let pool = |server| {
            let tls = TlsConfig::new().map_err(ServersError::Client)?;
            let context = Arc::new(PoolContext::new(options(share), tls));
            let provider = TokioRuntimeProvider::default();
            Ok(NameServerPool::from_config([server], context, provider))
        };
        let servers = servers.into_iter().map(pool).collect::<Result<_, ServersError>>()?;
        Ok(Self { servers, timeout })
    }

    /// Asks the servers in turn for one family.
    async fn family(&self, name: &Name, record_type: RecordType) -> Family {
        let Some(wire) = wire_name(name) else { return Family::ServFail };
        let mut outcome = Family::ServFail;
        for server in &self.servers {
            let query = Query::query(wire.clone(), record_type);
            let result = server.lookup(query, DnsRequestOptions::default()).first_answer().await;
            outcome = match result {
                Ok(response) => match response.response_code {
                    ResponseCode::NoError => {
                        return chain::walk(name, &wire, record_type, &response.answers)
                            .map_or(Family::ServFail, Family::Found);
                    }
                    ResponseCode::NXDomain => return Family::NxDomain,
                    _ => Family::ServFail,
                },
                Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords {
                    response_code, ..
                }))) => match response_code {
                    ResponseCode::NoError => return Family::Found(chain::Found::default()),
                    ResponseCode::NXDomain => return Family::NxDomain,
                    _ => Family::ServFail,
                },
                Err(NetError::Timeout) => Family::Timeout,
                Err(error) => {
                    tracing::debug!(name = name.as_str(), %record_type, %error, "upstream");
                    Family::ServFail
                }
            };
        }
        outcome
    }
}

impl Upstream for NameServers {
    fn lookup<'a>(&'a self, name: &'a Name) -> Pin<Box<dyn Future<Output = Looked> + Send + 'a>> {
        Box::pin(async move {
            let both = async {
                tokio::join!(self.family(name, RecordType::A), self.family(name, RecordType::AAAA))
            };
            match tokio::time::timeout(self.timeout, both).await {
                Ok((v4, v6)) => union(v4, v6),
                Err(_elapsed) => Looked::failed(Answer::Timeout),
            }
        })
    }
}

/// What one family's query gave.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Family {
    /// Perhaps no addresses.
    Found(chain::Found),
    NxDomain,
    ServFail,
    Timeout,
}

/// One lookup decides: a failure of either family is a failure of the lookup, since the answer
/// that did not come may be the one that the policy would refuse. "No such name" for one family
/// alone is taken as no addresses: load balancers that know no AAAA say that (RFC 4074 section
/// 4.2).
fn union(v4: Family, v6: Family) -> Looked {
    let (v4, v6) = match (v4, v6) {
        (Family::Timeout, _) | (_, Family::Timeout) => return Looked::failed(Answer::Timeout),
        (Family::ServFail, _) | (_, Family::ServFail) => return Looked::failed(Answer::ServFail),
        (Family::NxDomain, Family::NxDomain) => return Looked::failed(Answer::NxDomain),
        (Family::Found(v4), Family::Found(v6)) => (v4, v6),
        (Family::Found(v4), Family::NxDomain) => (v4, chain::Found::default()),
        (Family::NxDomain, Family::Found(v6)) => (chain::Found::default(), v6),
    };
    let mut chain = v4.chain;
    for name in v6.chain {
        if !chain.contains(&name) {
            chain.push(name);
        }
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in v4.addresses.into_iter().chain(v6.addresses) {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Looked { answer: Answer::Found { chain, addresses }, v4_ttl: v4.ttl, v6_ttl: v6.ttl }
}

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The servers that a resolv.conf names. Its options and search domains are for stub resolvers:
/// the sandbox's own has applied them before it asked.
fn servers_of(resolv_conf: &[u8]) -> Result<Vec<NameServerConfig>, NetError> {
    let (config, _options) = system_conf::parse_resolv_conf(resolv_conf)?;
    Ok(config.name_servers().to_vec())
}

fn server_at(address: SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    server.connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    server
}

fn options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    // 0x20: an answer that does not repeat the question's case is taken as forged, and TCP asked.
    options.case_randomization = true;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options
}

#[cfg(test)]
mod tests;
