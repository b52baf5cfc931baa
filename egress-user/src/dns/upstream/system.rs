//! The system's resolver configuration, read anew when it changes.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hickory_resolver::{net::NetError, system_conf};

/// Where libc looks.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";

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
        let now = signature(&self.path);
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

/// The servers that a resolv.conf names, in its order. Its options and search domains are for stub
/// resolvers: the sandbox's own has applied them before it asked.
pub(super) fn read(path: &Path) -> Result<Vec<IpAddr>, NetError> {
    servers_of(&fs::read(path)?)
}

/// The same of a file that is open.
pub(super) fn read_open(file: &mut File) -> Result<Vec<IpAddr>, NetError> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    servers_of(&text)
}

fn servers_of(resolv_conf: &[u8]) -> Result<Vec<IpAddr>, NetError> {
    let (config, _options) = system_conf::parse_resolv_conf(resolv_conf)?;
    let servers: Vec<_> = config.name_servers().iter().map(|server| server.ip).collect();
    if servers.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no `nameserver` line").into());
    }
    Ok(servers)
}

#[cfg(test)]
mod tests;
