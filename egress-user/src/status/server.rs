//! The side of the sandbox: a socket that hands out its report.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use egress_common::Reason;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    ENDING,
    report::{Pin, Refusal, Report},
};
use crate::{
    clock::boottime_ns, dns::Service, record::Event, sandbox::SandboxState, text::Printable,
};

/// Whoever reads slower than this gets a part.
const PATIENCE: Duration = Duration::from_secs(2);

/// Wait after a failed accept: what makes it fail (no descriptors) does not pass at once.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// What a report is made of.
pub struct Source {
    /// Name of the run.
    pub id: String,
    /// The program that was started.
    pub program: Printable,
    /// When, in CLOCK_BOOTTIME nanoseconds.
    pub started_ns: u64,
    /// Its pins and refusals.
    pub state: Arc<SandboxState>,
    /// Its DNS.
    pub dns: Arc<Service>,
}

impl Source {
    /// How things stand.
    pub(super) fn report(&self) -> Report {
        let now_ns = boottime_ns();
        // Only what is copied happens under the lock, which lookups and connections wait for.
        let pins = self.state.pins().list(now_ns);
        let mut refused = self.state.journal.entries();
        refused.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let refusal = |(event, count): (Event, u64)| Refusal {
            what: event.what(),
            reason: event.reason().map_or("allowed", Reason::name).into(),
            count,
            rule: event.cited_rule(),
            fix: event.advice(),
        };
        Report {
            id: self.id.as_str().into(),
            pid: std::process::id(),
            program: self.program.clone(),
            up_seconds: now_ns.saturating_sub(self.started_ns) / 1_000_000_000,
            dns: self.dns.counters().read().into(),
            pins: pins.into_iter().map(|pin| Pin::of(pin, now_ns)).collect(),
            refused: refused.into_iter().map(refusal).collect(),
        }
    }
}

/// The socket of one run; dropping it takes the socket away.
pub struct StatusServer {
    path: PathBuf,
    source: Arc<Source>,
    serving: JoinHandle<()>,
}

impl StatusServer {
    /// Listens in `place`, which becomes root's alone, and removes the sockets of runs that are no
    /// longer `is_alive`. To be called within the runtime that is to serve.
    ///
    /// # Errors
    /// When the directory or the socket cannot be made.
    pub fn open(
        place: &Path,
        is_alive: impl Fn(&str) -> bool,
        source: Arc<Source>,
    ) -> io::Result<Self> {
        own(place)?;
        sweep(place, is_alive);
        let path = place.join(format!("{}{ENDING}", source.id));
        let listener = UnixListener::bind(&path)?;
        let serving = tokio::spawn(serve(listener, source.clone()));
        let server = Self { path, source, serving };
        fs::set_permissions(&server.path, fs::Permissions::from_mode(0o600))?;
        Ok(server)
    }

    /// The report of now.
    pub fn report(&self) -> Report {
        self.source.report()
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        self.serving.abort();
        // What stays is swept by the next run.
        let _ = fs::remove_file(&self.path);
    }
}

/// The directory is made, or taken when it is ours, so that nobody else reaches a socket in it, not
/// even between its making and its mode.
fn own(place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let data = fs::symlink_metadata(place)?;
    if !data.is_dir() || data.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} belongs to somebody else", place.display())));
    }
    fs::set_permissions(place, fs::Permissions::from_mode(0o700))
}

fn sweep(place: &Path, is_alive: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(ENDING));
        if id.is_some_and(|id| !is_alive(id)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// One after the other: root alone asks, and a reader that sleeps is left after a while.
async fn serve(listener: UnixListener, source: Arc<Source>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, &source).await {
                    tracing::debug!(%error, "status not told");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "accept on the status socket");
                sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn answer(mut stream: UnixStream, source: &Source) -> io::Result<()> {
    // The modes of directory and socket say so already.
    if stream.peer_cred()?.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other("asked by another user"));
    }
    let document = serde_json::to_vec(&source.report())?;
    timeout(PATIENCE, stream.write_all(&document)).await??;
    stream.shutdown().await
}
