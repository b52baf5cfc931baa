//! The decisions of one sandbox: what was refused, for the summary that `egress run` prints at its end and for
//! `egress status`; all of them, for whoever observes.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    hash::{Hash, Hasher},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{Event, Subject};
use crate::policy::Name;

/// Most distinct refusals kept; later ones are counted together. Each costs about 400 bytes.
pub const MAX_DISTINCT: usize = 1024;

/// Most refusals that the summary lists; the rest are counted.
const MAX_SHOWN: usize = 50;

/// Hears of every decision as it is made: what log, metrics and approvals are built on.
///
/// Of what is allowed it hears each lookup, and on the proxy's path each TLS hello, each request and each other
/// payload. The kernel side says nothing of what it allows, so that of direct connections only refusals are
/// heard; nor are reverse lookups, which are answered from the pins.
pub trait Observer: Send + Sync {
    /// Called on a thread that serves the sandbox: it must neither block nor wait.
    fn on_event(&self, event: &Event);

    /// Called behind [`Self::on_event`] for a refusal that reads like none before, as nearly as the summary can
    /// tell by then; on the same terms.
    fn on_first_refusal(&self, _: &Event) {}

    /// Called for each refusal that the journal has no room to tell from others.
    fn on_refusal_beyond(&self) {}
}

impl fmt::Debug for dyn Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// The decisions of one sandbox.
#[derive(Default)]
pub struct Journal {
    sandbox: u64,
    observer: OnceLock<Arc<dyn Observer>>,
    summary: Mutex<Summary>,
    deferred: Mutex<Deferred>,
}

#[derive(Default)]
struct Summary {
    grouped: HashMap<Alike, u64>,
    beyond: u64,
}

/// How a refusal stands to those before it.
enum Added {
    First,
    Again,
    /// There was no room for another one.
    Beyond,
}

/// Refusals that may turn out to be none.
#[derive(Default)]
struct Deferred {
    /// Port and count of each.
    datagrams: HashMap<Alike, (u16, u64)>,
    tcp_ports: BTreeSet<u16>,
    /// Lookups that a library makes on the way to those of a name that it was asked for, each with
    /// the names that these may be, and its count.
    lookups: HashMap<Alike, (Vec<Name>, u64)>,
    /// Names that were answered.
    answered: HashSet<Name>,
}

/// One of the events that read the same.
struct Alike(Event);

impl Alike {
    /// The name that was looked up.
    fn looked_up(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::Lookup { name, .. } => Some(name.as_str()),
            _ => None,
        }
    }
}

impl PartialEq for Alike {
    fn eq(&self, other: &Self) -> bool {
        self.0.reads_as(&other.0)
    }
}

impl Eq for Alike {}

impl Hash for Alike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash_as_read(state);
    }
}

impl Journal {
    /// Of the sandbox with this number.
    pub fn new(sandbox: u64) -> Self {
        Self { sandbox, ..Self::default() }
    }

    /// Who hears of decisions from here on. The first one stays.
    pub fn set_observer(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// Notes one refusal. Never blocks on I/O.
    pub fn refused(&self, event: Event) {
        let event = self.observed(event);
        self.add(Alike(event), 1);
    }

    /// Tells of what was allowed; without an observer it costs nothing, not even the event.
    pub fn allowed(&self, event: impl FnOnce() -> Event) {
        if self.observer.get().is_some() {
            self.observed(event());
        }
    }

    /// Notes a datagram that a connected socket wanted to send to an address of an allowed name. Browsers and
    /// HTTP libraries try QUIC so, beside TCP to the same port: it is in the summary only if no TCP connection
    /// went there.
    pub fn refused_datagram(&self, port: u16, event: Event) {
        let event = self.observed(event);
        let mut deferred = self.deferred();
        let event = Alike(event);
        if deferred.datagrams.len() < MAX_DISTINCT || deferred.datagrams.contains_key(&event) {
            deferred.datagrams.entry(event).or_insert((port, 0)).1 += 1;
        } else {
            drop(deferred);
            self.add(event, 1);
        }
    }

    /// Notes a refused lookup of what a library makes of these names by itself: a name with a search
    /// domain behind it, or `_http._tcp` before it. It is in the summary only if none of them is answered;
    /// `_http._tcp` not where the name behind it is refused as well: there that one's line is what helps.
    pub fn refused_on_the_way(&self, to: Vec<Name>, event: Event) {
        let event = Alike(self.observed(event));
        let mut deferred = self.deferred();
        if deferred.lookups.len() < MAX_DISTINCT || deferred.lookups.contains_key(&event) {
            deferred.lookups.entry(event).or_insert((to, 0)).1 += 1;
        } else {
            drop(deferred);
            self.add(event, 1);
        }
    }

    /// Notes that a name was answered.
    pub fn note_answered(&self, name: &Name) {
        let mut deferred = self.deferred();
        if deferred.answered.len() < MAX_DISTINCT && !deferred.answered.contains(name) {
            deferred.answered.insert(name.clone());
        }
    }

    /// Tells of what is no refusal, though nothing came of it: a name that does not exist.
    pub fn observe(&self, event: Event) {
        self.observed(event);
    }

    /// Notes that a TCP connection was tried to this port, with whatever success.
    pub fn note_attempt(&self, port: u16) {
        self.deferred().tcp_ports.insert(port);
    }

    /// The same of each of these ports to which a datagram connect was noted so far.
    pub fn note_attempts(&self, ports: RangeInclusive<u16>) {
        let mut deferred = self.deferred();
        let noted = deferred.datagrams.values().map(|(port, _)| *port);
        let tried: Vec<u16> = noted.filter(|port| ports.contains(port)).collect();
        deferred.tcp_ports.extend(tried);
    }

    /// Ends the wait for TCP connections and for answers: what is left of the datagrams, and of
    /// lookups on the way, is in the summary.
    pub fn flush_deferred(&self) {
        let refused: HashSet<_> = self
            .summary()
            .grouped
            .keys()
            .filter_map(|event| event.looked_up().map(str::to_owned))
            .collect();
        let mut deferred = self.deferred();
        let datagrams = std::mem::take(&mut deferred.datagrams);
        let left =
            datagrams.into_iter().filter(|(_, (port, _))| !deferred.tcp_ports.contains(port));
        let mut left: Vec<_> = left.map(|(event, (_, count))| (event, count)).collect();
        let lookups = std::mem::take(&mut deferred.lookups);
        let is_told = |names: &[Name]| !names.iter().any(|name| deferred.answered.contains(name));
        let is_service =
            |event: &Alike| event.looked_up().is_some_and(|name| name.starts_with('_'));
        let is_refused = |names: &[Name]| names.iter().any(|name| refused.contains(name.as_str()));
        let told = lookups.into_iter().filter(|(event, (names, _))| {
            is_told(names) && !(is_service(event) && is_refused(names))
        });
        left.extend(told.map(|(event, (_, count))| (event, count)));
        drop(deferred);
        left.into_iter().for_each(|(event, count)| self.add(event, count));
    }

    /// Every distinct refusal with how often it happened, in the order of what was asked for.
    pub fn entries(&self) -> Vec<(Event, u64)> {
        let summary = self.summary();
        let mut entries: Vec<_> =
            summary.grouped.iter().map(|(event, count)| (event.0.clone(), *count)).collect();
        drop(summary);
        entries.sort_by_cached_key(|(event, _)| event.to_string());
        entries
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.summary().grouped.is_empty()
    }

    fn observed(&self, event: Event) -> Event {
        let event = Event { sandbox: self.sandbox, ..event };
        tracing::debug!(sandbox = event.sandbox, %event, "decided");
        if let Some(observer) = self.observer.get() {
            observer.on_event(&event);
        }
        event
    }

    fn add(&self, event: Alike, times: u64) {
        let observer = self.observer.get();
        let told = observer.map(|_| event.0.clone());
        let added = self.summary().add(event, times);
        match (observer, told, added) {
            (Some(observer), Some(event), Added::First) => observer.on_first_refusal(&event),
            (Some(observer), _, Added::Beyond) => observer.on_refusal_beyond(),
            _ => {}
        }
    }

    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deferred(&self) -> MutexGuard<'_, Deferred> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Summary {
    fn add(&mut self, event: Alike, times: u64) -> Added {
        if let Some(count) = self.grouped.get_mut(&event) {
            *count += times;
            Added::Again
        } else if self.grouped.len() < MAX_DISTINCT {
            self.grouped.insert(event, times);
            Added::First
        } else {
            self.beyond += times;
            Added::Beyond
        }
    }
}

impl fmt::Display for Journal {
    /// The summary: a line a refusal, most frequent first, with the line that would allow it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = self.entries();
        entries.sort_by_key(|(_, count)| Reverse(*count));
        for (event, count) in entries.iter().take(MAX_SHOWN) {
            event.fmt_line(*count, f)?;
        }
        let beyond = self.summary().beyond
            + entries.iter().skip(MAX_SHOWN).map(|(_, count)| count).sum::<u64>();
        if beyond > 0 {
            writeln!(f, "  and {beyond} more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
