//! Asking real name servers: A and AAAA of one name, together, once.
//!
//! Uses hickory's name server pools without the `Resolver` above them: that one answers
//! `localhost`, `.invalid` and `.onion` by itself, chases chains through further queries, merges
//! sections and caches, and then hides a looping chain behind "no records". Here the raw answer
//! section is walked from the question (`chain`), as nothing else of a message is believed.

use std::{
    collections::HashMap,
    future::Future,
    net::IpAddr,
    path::Path,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hickory_resolver::proto::rr::RecordType;

use crate::{
    config::{DnsServer, DnsSettings},
    confine::FILES,
    policy::{Answer, Name},
};

mod cache;
mod chain;
mod environment;
mod error;
mod failure;
mod lookup;
mod reply;
mod servers;
mod system;
mod tls;
mod value;
mod ways;

pub use chain::{MAX_ADDRESSES, MAX_CHAIN};
pub use error::ServersError;
pub use lookup::{LookupResult, Records, Upstream};
pub use system::{RESOLV_CONF, search_domains};
pub use tls::preload;

use crate::host::Writer;
use cache::Cache;
use environment::Environment;
use failure::Failures;
use servers::{Manner, Servers};
use system::Watch;

/// Real name servers, with what they said kept for as long as it lasts. To be shared by sandboxes
/// of the same settings: one lookup serves all who ask for the same name at the same time, and each
/// judges the outcome by its own policy.
pub struct NameServers {
    settings: DnsSettings,
    environment: Arc<Environment>,
    /// None when no server is the system's.
    watch: Option<Watch>,
    current: RwLock<Arc<ActiveServers>>,
    /// Set once the command could have written the file: what it says then counts no more, nor later.
    distrusted: AtomicBool,
    /// Set once a change was left unread for that.
    unread: AtomicBool,
}

/// The servers of now, and what these have said.
struct ActiveServers {
    /// As read from the system's configuration.
    system: Vec<IpAddr>,
    servers: Servers,
    /// By domain.
    forward: HashMap<Box<str>, Servers>,
    /// In seconds.
    max_ttl: u32,
    looked: Cache<Name, LookupResult>,
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
        Self::within(settings, Environment { writer, ..Environment::default() })
    }

    fn within(settings: &DnsSettings, mut environment: Environment) -> Result<Self, ServersError> {
        if environment.roots.is_none() && tls::uses_tls(settings) {
            environment.roots = Some(tls::system_roots()?);
        }
        let mut named =
            settings.servers.iter().chain(settings.forward.iter().flat_map(|f| &f.servers));
        let now_ns = (environment.clock)();
        let watch = named
            .any(|server| *server == DnsServer::System)
            .then(|| Watch::new(&environment.resolv_conf, now_ns));
        let system = match &watch {
            Some(_) => environment.read_system()?,
            None => Vec::new(),
        };
        let current = RwLock::new(Arc::new(ActiveServers::new(settings, &environment, system)?));
        // What it may write now it may write and close to itself later.
        let distrusted = watch.is_some() && environment.trusted().is_none();
        Ok(Self {
            settings: settings.clone(),
            environment: Arc::new(environment),
            watch,
            current,
            distrusted: AtomicBool::new(distrusted),
            unread: AtomicBool::new(false),
        })
    }

    /// The file that has changed and was not read again, as the command could have written it.
    pub fn left_unread(&self) -> Option<&Path> {
        self.unread.load(Ordering::Relaxed).then_some(&self.environment.resolv_conf)
    }

    /// The servers of now, after a look at the system's configuration when it is time.
    fn current(&self) -> Arc<ActiveServers> {
        let now_ns = (self.environment.clock)();
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
        let environment = self.environment.clone();
        let read = match self.distrusted.load(Ordering::Relaxed) {
            true => None,
            // By the thread that opens files: this one reads what name servers send.
            false => match FILES.run(move || environment.read_trusted()) {
                Ok(read) => read,
                Err(source) => Some(Err(self.environment.failed(source))),
            },
        };
        let Some(read) = read else {
            self.distrusted.store(true, Ordering::Relaxed);
            self.unread.store(true, Ordering::Relaxed);
            tracing::warn!(
                "the system's name servers are not read again: the command could have written them"
            );
            return;
        };
        let old = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let new = read.and_then(|system| {
            let same = system == old.system;
            let new = || ActiveServers::new(&self.settings, &self.environment, system);
            if same { Ok(None) } else { new().map(Some) }
        });
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

impl ActiveServers {
    fn new(
        settings: &DnsSettings,
        environment: &Environment,
        system: Vec<IpAddr>,
    ) -> Result<Self, ServersError> {
        let tls = match &environment.roots {
            Some(roots) if tls::uses_tls(settings) => Some(tls::client(roots.clone())?),
            _ => None,
        };
        let manner = Manner {
            system: &system,
            system_port: environment.system_port,
            tls: tls.as_ref(),
            trust_anchors: settings.dnssec.then(|| environment.trust_anchors.clone()),
            timeout: settings.timeout,
            clock: &environment.clock,
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
            looked: Cache::new(cache::BUDGET, cache::SAME_LOOKUP, environment.clock.clone()),
            // One question is one lookup.
            records: Cache::new(cache::BUDGET, Duration::ZERO, environment.clock.clone()),
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
    fn lookup<'a>(
        &'a self,
        name: &'a Name,
    ) -> Pin<Box<dyn Future<Output = LookupResult> + Send + 'a>> {
        let current = self.current();
        Box::pin(async move {
            let asking = (current.clone(), name.clone());
            let ask = || async move {
                let (current, name) = asking;
                let (v4, v6, failed) = current.servers_for(&name).ask_both(&name).await;
                let mut kept = reply::union(v4, v6, current.max_ttl);
                if !matches!(kept.value.answer, Answer::Found { .. } | Answer::NxDomain) {
                    kept.value.failure = failed;
                }
                kept
            };
            current.looked.get(name, ask).await
        })
    }

    fn kept(&self, name: &Name) -> Option<LookupResult> {
        self.current().looked.fresh(name)
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
            return Box::pin(async { Records::Failed(None) });
        }
        let current = self.current();
        Box::pin(async move {
            let asking = (current.clone(), name.clone());
            let ask = || async move {
                let (current, name) = asking;
                let mut failures = Failures::default();
                let servers = current.servers_for(&name);
                let reply = servers.ask(&name, record_type, &mut failures).await;
                let mut kept = reply.records(current.max_ttl);
                if let Records::Failed(failure) = &mut kept.value {
                    *failure = failures.text(Failures::default());
                }
                kept
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
