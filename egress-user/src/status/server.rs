//! The side of the sandbox: a socket that hands out its report.

use std::{io, path::Path, sync::Arc, time::Duration};

use egress_common::Reason;
use nix::unistd::Uid;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::report::{Pin, Refusal, Report};
use crate::{
    clock::boottime_ns, dns::Service, host::StatusSocket, record::Event, sandbox::SandboxState,
    text::Printable,
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
    /// Process id of `egress run`.
    pub pid: u32,
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
            pid: self.pid,
            program: self.program.clone(),
            up_seconds: now_ns.saturating_sub(self.started_ns) / 1_000_000_000,
            dns: self.dns.counters().read().into(),
            pins: pins.into_iter().map(|pin| Pin::of(pin, now_ns)).collect(),
            refused: refused.into_iter().map(refusal).collect(),
        }
    }
}

/// Answers for one run until dropped.
pub struct StatusServer {
    /// None where whoever made it takes it away.
    _socket: Option<StatusSocket>,
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
        let (socket, listener) = StatusSocket::open(place, &source.id, is_alive)?;
        let mut server = Self::answer(listener, nix::unistd::geteuid(), source)?;
        server._socket = Some(socket);
        Ok(server)
    }

    /// Answers `owner` by a listener that does not wait. To be called within the runtime that is to serve.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn answer(
        listener: std::os::unix::net::UnixListener,
        owner: Uid,
        source: Arc<Source>,
    ) -> io::Result<Self> {
        let listener = UnixListener::from_std(listener)?;
        let serving = tokio::spawn(serve(listener, owner, source.clone()));
        Ok(Self { _socket: None, source, serving })
    }

    /// The report of now.
    pub fn report(&self) -> Report {
        self.source.report()
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One after the other: root alone asks, and a reader that sleeps is left after a while.
async fn serve(listener: UnixListener, owner: Uid, source: Arc<Source>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, owner, &source).await {
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

async fn answer(mut stream: UnixStream, owner: Uid, source: &Source) -> io::Result<()> {
    // The modes of directory and socket say so already.
    if stream.peer_cred()?.uid() != owner.as_raw() {
        return Err(io::Error::other("asked by another user"));
    }
    let document = serde_json::to_vec(&source.report())?;
    timeout(PATIENCE, stream.write_all(&document)).await??;
    stream.shutdown().await
}
