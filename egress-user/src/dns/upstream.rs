//! Asking real name servers: A and AAAA of one name, together, once.
//!
//! Uses hickory's name server pools without the `Resolver` above them: that one answers
//! `localhost`, `.invalid` and `.onion` by itself, chases chains through further queries, merges
//! sections and caches, and then hides a looping chain behind "no records". Here the raw answer
//! section is walked from the question (`chain`), as nothing else of a message is believed.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hickory_resolver::proto::{
    dnssec::TrustAnchors,
    rr::{self, RecordType},
};
use rustls::RootCertStore;

use crate::{
    config::{DnsServer, DnsSettings},
    policy::{Answer, Name},
};

mod asked;
mod cache;
mod chain;
mod error;
mod reply;
mod servers;
mod system;
mod tls;
mod value;
mod ways;

pub use chain::{MAX_ADDRESSES, MAX_CHAIN};
pub use error::ServersError;
pub use system::{RESOLV_CONF, search_domains};

use crate::host::{Traced, Writer};
use cache::{Cache, Clock};
use servers::{Manner, Servers};
use system::Watch;

/// What one lookup gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// For the policy to judge; at most [`MAX_ADDRESSES`] addresses, each once, v4-mapped ones
    /// as IPv4.
    pub answer: Answer,
    /// What remains of the least TTL on the way to the IPv4 addresses, in seconds; 0 when there
    /// are none.
    pub v4_ttl: u32,
    /// What remains of the least TTL on the way to the IPv6 addresses, in seconds; 0 when there
    /// are none.
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

    /// The servers that a name is asked of, for a person; empty where nobody knows.
    fn asked(&self, name: &Name) -> String {
        let _ = name;
        String::new()
    }

    /// Whether an answer to this is kept, so that nobody would be asked.
    fn is_kept(&self, _name: &Name, _record_type: RecordType) -> bool {
        false
    }

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
        /// The records as sent, without the chain's; of their TTLs what remains.
        records: Vec<rr::Record>,
        /// What remains of the least TTL on the way, in seconds; of the negative answer where
        /// there are no records.
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

/// Real name servers, with what they said kept for as long as it lasts. To be shared by sandboxes
/// of the same settings: one lookup serves all who ask for the same name at the same time, and each
/// judges the outcome by its own policy.
pub struct NameServers {
    settings: DnsSettings,
    surroundings: Surroundings,
    /// None when no server is the system's.
    watch: Option<Watch>,
    current: RwLock<Arc<Current>>,
    /// Set once the command could have written the file: what it says then counts no more, nor later.
    distrusted: AtomicBool,
    /// Set once a change was left unread for that.
    unread: AtomicBool,
}

/// What is not in the settings.
struct Surroundings {
    resolv_conf: PathBuf,
    system_port: u16,
    /// None: the system's, read once; none where no server needs them.
    roots: Option<RootCertStore>,
    trust_anchors: Arc<TrustAnchors>,
    writer: Writer,
    clock: Clock,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            resolv_conf: RESOLV_CONF.into(),
            system_port: 53,
            roots: None,
            trust_anchors: Arc::default(),
            writer: Writer::Nobody,
            clock: Arc::new(crate::clock::boottime_ns),
        }
    }
}

/// The servers of now, and what these have said.
struct Current {
    /// As read from the system's configuration.
    system: Vec<IpAddr>,
    servers: Servers,
    /// By domain.
    forward: HashMap<Box<str>, Servers>,
    /// In seconds.
    max_ttl: u32,
    looked: Cache<Name, Looked>,
    records: Cache<(Name, RecordType), Records>,
}

impl NameServers {
    /// Reads the system's configuration where it is named; asks nobody yet. It is read again when
    /// it changes, unless the writer could have changed it: the file itself, or any directory on the way to
    /// it. A broken one is logged, and the servers of before stay. Certificate authorities are read once.
    ///
    /// # Errors
    /// [`ServersError`].
    pub fn new(settings: &DnsSettings, writer: Writer) -> Result<Self, ServersError> {
        Self::within(settings, Surroundings { writer, ..Surroundings::default() })
    }

    fn within(
        settings: &DnsSettings,
        mut surroundings: Surroundings,
    ) -> Result<Self, ServersError> {
        if surroundings.roots.is_none() && tls::uses_tls(settings) {
            surroundings.roots = Some(tls::system_roots()?);
        }
        let mut named =
            settings.servers.iter().chain(settings.forward.iter().flat_map(|f| &f.servers));
        let now_ns = (surroundings.clock)();
        let watch = named
            .any(|server| *server == DnsServer::System)
            .then(|| Watch::new(&surroundings.resolv_conf, now_ns));
        let system = match &watch {
            Some(_) => surroundings.read_system()?,
            None => Vec::new(),
        };
        let current = RwLock::new(Arc::new(Current::new(settings, &surroundings, system)?));
        // What it may write now it may write and close to itself later.
        let distrusted = watch.is_some() && surroundings.trusted().is_none();
        Ok(Self {
            settings: settings.clone(),
            surroundings,
            watch,
            current,
            distrusted: AtomicBool::new(distrusted),
            unread: AtomicBool::new(false),
        })
    }

    /// The file that has changed and was not read again, as the command could have written it.
    pub fn left_unread(&self) -> Option<&Path> {
        self.unread.load(Ordering::Relaxed).then_some(&self.surroundings.resolv_conf)
    }

    /// The servers of now, after a look at the system's configuration when it is time.
    fn current(&self) -> Arc<Current> {
        let now_ns = (self.surroundings.clock)();
        // Where it could have been written it need be told once alone that it was.
        let may_look = !self.unread.load(Ordering::Relaxed);
        if may_look && self.watch.as_ref().is_some_and(|watch| watch.has_changed(now_ns)) {
            self.reread();
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the system's new servers, with an empty cache: what the old ones said may not be
    /// so where the machine is now. Nothing of a lookup on its way comes into it.
    fn reread(&self) {
        let trusted = match self.distrusted.load(Ordering::Relaxed) {
            true => None,
            false => self.surroundings.trusted(),
        };
        let Some(trusted) = trusted else {
            self.distrusted.store(true, Ordering::Relaxed);
            self.unread.store(true, Ordering::Relaxed);
            tracing::warn!(
                "the system's name servers are not read again: the command could have written them"
            );
            return;
        };
        let old = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let new = trusted.and_then(|mut traced| self.surroundings.read_open(&mut traced)).and_then(
            |system| {
                let same = system == old.system;
                let new = || Current::new(&self.settings, &self.surroundings, system);
                if same { Ok(None) } else { new().map(Some) }
            },
        );
        match new {
            Ok(None) => {}
            Ok(Some(new)) => {
                tracing::info!(servers = ?new.system, "the system's name servers have changed");
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, source, "the name servers of before stay");
            }
        }
    }
}

impl Surroundings {
    fn read_system(&self) -> Result<Vec<IpAddr>, ServersError> {
        system::read(&self.resolv_conf).map_err(|source| self.failed(source))
    }

    /// The system's configuration, open; none when the writer could have written it. An error when it is
    /// not there, which changes nothing.
    fn trusted(&self) -> Option<Result<Traced, ServersError>> {
        match Traced::open(&self.resolv_conf) {
            Ok(traced) if self.writer.could_write(&traced) => None,
            Ok(traced) => Some(Ok(traced)),
            Err(_) if matches!(self.writer, Writer::Root) => None,
            Err(error) => Some(Err(self.failed(error))),
        }
    }

    fn read_open(&self, traced: &mut Traced) -> Result<Vec<IpAddr>, ServersError> {
        system::read_open(&mut traced.file).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> ServersError {
        ServersError::System { path: self.resolv_conf.clone(), source }
    }
}

impl Current {
    fn new(
        settings: &DnsSettings,
        surroundings: &Surroundings,
        system: Vec<IpAddr>,
    ) -> Result<Self, ServersError> {
        let tls = match &surroundings.roots {
            Some(roots) if tls::uses_tls(settings) => Some(tls::client(roots.clone())?),
            _ => None,
        };
        let manner = Manner {
            system: &system,
            system_port: surroundings.system_port,
            tls: tls.as_ref(),
            trust_anchors: settings.dnssec.then(|| surroundings.trust_anchors.clone()),
            timeout: settings.timeout,
            clock: &surroundings.clock,
        };
        let servers = Servers::new(&settings.servers, &manner)?;
        let forward = settings.forward.iter().map(|forward| {
            Ok((forward.domain.as_str().into(), Servers::new(&forward.servers, &manner)?))
        });
        let forward = forward.collect::<Result<_, ServersError>>()?;
        Ok(Self {
            servers,
            forward,
            max_ttl: u32::try_from(settings.max_ttl.as_secs()).unwrap_or(u32::MAX),
            looked: Cache::new(cache::BUDGET, cache::SAME_LOOKUP, surroundings.clock.clone()),
            // One question is one lookup.
            records: Cache::new(cache::BUDGET, Duration::ZERO, surroundings.clock.clone()),
            system,
        })
    }

    /// Those of the longest domain that the name is, or is below. When they fail no others are
    /// asked: whose names these are, the others should not even hear of them.
    fn servers_for(&self, name: &Name) -> &Servers {
        if self.forward.is_empty() {
            return &self.servers;
        }
        let domains = std::iter::successors(Some(name.as_str()), |domain| {
            domain.split_once('.').map(|(_, parent)| parent)
        });
        let mut listed = domains.filter_map(|domain| self.forward.get(domain));
        listed.next().unwrap_or(&self.servers)
    }
}

impl Upstream for NameServers {
    fn asked(&self, name: &Name) -> String {
        self.servers_of(name)
    }

    fn lookup<'a>(&'a self, name: &'a Name) -> Pin<Box<dyn Future<Output = Looked> + Send + 'a>> {
        let current = self.current();
        Box::pin(async move {
            let asking = (current.clone(), name.clone());
            let ask = || async move {
                let (current, name) = asking;
                let (v4, v6) = current.servers_for(&name).ask_both(&name).await;
                reply::union(v4, v6, current.max_ttl)
            };
            current.looked.get(name, ask).await
        })
    }

    fn is_kept(&self, name: &Name, record_type: RecordType) -> bool {
        let current = self.current();
        match record_type {
            RecordType::A | RecordType::AAAA => current.looked.has(name),
            other => current.records.has(&(name.clone(), other)),
        }
    }

    /// A question for every type, or for a type that is none of records (ANY, AXFR), fails without
    /// being asked.
    fn records<'a>(
        &'a self,
        name: &'a Name,
        record_type: RecordType,
    ) -> Pin<Box<dyn Future<Output = Records> + Send + 'a>> {
        if !is_of_records(record_type) {
            return Box::pin(async { Records::Failed });
        }
        let current = self.current();
        Box::pin(async move {
            let asking = (current.clone(), name.clone());
            let ask = || async move {
                let (current, name) = asking;
                let reply = current.servers_for(&name).ask(&name, record_type).await;
                reply.records(current.max_ttl)
            };
            current.records.get(&(name.clone(), record_type), ask).await
        })
    }
}

/// Whether records can be of this type: not those of questions alone (RFC 6895 section 3.1: 128 to
/// 255), nor OPT.
fn is_of_records(record_type: RecordType) -> bool {
    !matches!(u16::from(record_type), 0 | 41 | 128..=255)
}

#[cfg(test)]
pub(super) mod tests;
