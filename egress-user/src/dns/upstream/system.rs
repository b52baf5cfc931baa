//! The system's resolver configuration, read anew when it changes.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    confine::FILES,
    policy::{Name, SearchDomains},
};

/// Where libc looks.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The file is looked at once in this many nanoseconds at most.
const LOOK_EVERY_NS: u64 = 1_000_000_000;

/// Notices that a file has changed.
pub(super) struct Watch {
    path: PathBuf,
    next_look_ns: AtomicU64,
    seen: Mutex<Option<Signature>>,
}

/// What changes when a file is written or replaced: device, inode, size, time of change.
type Signature = (u64, u64, u64, i64, i64);

impl Watch {
    /// Notes the file as it is: read it after this, so that a change in between is noticed.
    pub(super) fn new(path: &Path, now_ns: u64) -> Self {
        let next_look_ns = AtomicU64::new(now_ns.saturating_add(LOOK_EVERY_NS));
        Self { path: path.to_owned(), next_look_ns, seen: Mutex::new(signature(path)) }
    }

    /// Whether the file has changed, come or gone since this last said so. Looks at the file
    /// once a second at most, in whichever caller comes first.
    pub(super) fn has_changed(&self, now_ns: u64) -> bool {
        let due_ns = self.next_look_ns.load(Ordering::Relaxed);
        let next_ns = now_ns.saturating_add(LOOK_EVERY_NS);
        let ours = now_ns >= due_ns
            && self
                .next_look_ns
                .compare_exchange(due_ns, next_ns, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if !ours {
            return false;
        }
        let path = self.path.clone();
        // By the thread that opens files, as whoever asks here reads what name servers send.
        let Ok(now) = FILES.run(move || signature(&path)) else { return false };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *seen != now;
        *seen = now;
        changed
    }
}

fn signature(path: &Path) -> Option<Signature> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

/// The servers that a resolv.conf names, in its order; where there is none, or it names none, the machine's own
/// one, as libc has it.
pub(super) fn read(path: &Path) -> io::Result<Vec<IpAddr>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let servers = servers_of(&text);
    if servers.is_empty() {
        tracing::warn!(path = %path.display(), "no name server is named; 127.0.0.1 is asked");
        return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
    }
    Ok(servers)
}

/// The servers of a file that is open.
///
/// # Errors
/// Also where it names none: it may be half written.
pub(super) fn read_open(file: &mut File) -> io::Result<Vec<IpAddr>> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let servers = servers_of(&text);
    match servers.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "no `nameserver` line")),
        false => Ok(servers),
    }
}

/// How the resolver of that file completes names; not at all where it cannot be read.
pub fn search_domains(path: &Path) -> SearchDomains {
    fs::read(path).map_or_else(|_| SearchDomains::default(), |text| search_of(&text))
}

/// Lines that libc would not understand are left out, as it does.
fn parse(resolv_conf: &[u8]) -> resolv_conf::Config {
    let (config, errors) = resolv_conf::Config::parse_with_errors(resolv_conf);
    for error in errors {
        tracing::warn!(%error, "a line of resolv.conf is left out");
    }
    config
}

fn servers_of(resolv_conf: &[u8]) -> Vec<IpAddr> {
    parse(resolv_conf).nameservers.iter().map(Into::into).collect()
}

fn search_of(resolv_conf: &[u8]) -> SearchDomains {
    let config = parse(resolv_conf);
    let domains = config.get_last_search_or_domain().filter_map(|text| Name::parse(text).ok());
    let ndots = usize::try_from(config.ndots).unwrap_or(usize::MAX);
    SearchDomains::new(domains.collect(), ndots)
}

#[cfg(test)]
mod tests;
