//! After the command's end: what it wrote, and the kernel took from it, is still delivered.
//!
//! Without a filter the kernel goes on sending for a program that has ended. Behind the proxy what the
//! program wrote lies in the proxy's hands, so `run` ends only when everything is handed to the kernel
//! again, with the end of the stream behind it: from there on it is as without a filter.

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::refuse::reset;
use crate::{
    record::GivenUp,
    sys::sockets::{Carried, carried},
};

/// Longest time between two looks at how far a connection is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How the command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// It has ended. A connection without progress for so long is given up.
    Draining(Duration),
    /// Everything is given up.
    Over,
}

/// What one sandbox's connections still owe.
pub(super) struct Drain {
    stage: watch::Sender<Stage>,
    /// Connections, and listeners whose queue may hold some.
    owing: AtomicUsize,
    fewer: Notify,
    given_up: Mutex<Vec<GivenUp>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Running),
            owing: AtomicUsize::new(0),
            fewer: Notify::new(),
            given_up: Mutex::default(),
        }
    }
}

impl Drain {
    /// Whoever holds it may still have to deliver something.
    pub(super) fn owe(&self) {
        self.owing.fetch_add(1, Ordering::AcqRel);
    }

    /// The counterpart of [`Drain::owe`].
    pub(super) fn owed(&self) -> Owed<'_> {
        Owed { drain: self, is_open: AtomicBool::new(true) }
    }

    /// Begins: from here on a connection may be without progress for `patience` and no longer.
    pub(super) fn begin(&self, patience: Duration) {
        self.stage.send_replace(Stage::Draining(patience));
    }

    /// Gives up whatever still owes something.
    pub(super) fn end(&self) {
        self.stage.send_replace(Stage::Over);
    }

    /// Waits until the command has ended.
    pub(super) async fn begun(&self) {
        // The sender lives as long as this.
        let _ = self.stage.subscribe().wait_for(|stage| *stage != Stage::Running).await;
    }

    /// Waits until nobody owes anything. Only behind [`Drain::begin`] this means that no connection
    /// waits to be accepted.
    pub(super) async fn settled(&self) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            fewer.as_mut().enable();
            if self.owing.load(Ordering::Acquire) == 0 {
                return;
            }
            fewer.await;
        }
    }

    /// Waits until a connection is to be given up, and notes what was lost. For ever while it has
    /// progress, and when it owes nothing any more.
    pub(super) async fn give_up(
        &self,
        owed: &Owed<'_>,
        client: &TcpStream,
        server: &OnceLock<TcpStream>,
        to: SocketAddr,
    ) {
        self.begun().await;
        // Not in the memory of a connection before.
        Box::pin(self.without_progress(owed, client, server)).await;
        // The beginning of the one stream is counted, and the end of the other.
        let got = server.get().map_or(0, |server| has_carried(server).acknowledged.max(1) - 1);
        let bytes = has_carried(client).received.saturating_sub(got).saturating_sub(1);
        reset(client);
        server.get().inspect(|server| reset(server));
        if bytes == 0 {
            return;
        }
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).push(GivenUp { to, bytes });
    }

    async fn without_progress(
        &self,
        owed: &Owed<'_>,
        client: &TcpStream,
        server: &OnceLock<TcpStream>,
    ) {
        let mut stage = self.stage.subscribe();
        let mut progress = None;
        let mut since = Instant::now();
        loop {
            if !owed.is_open() {
                return std::future::pending().await;
            }
            let now = *stage.borrow_and_update();
            let Stage::Draining(patience) = now else { return };
            let now = Some((has_carried(client), server.get().map(has_carried)));
            if progress != now {
                progress = now;
                since = Instant::now();
            }
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                _ = stage.changed() => {}
                () = sleep(left.min(LOOK_EVERY)) => {}
            }
        }
    }

    /// What was given up, in the order in which it was.
    pub(super) fn given_up(&self) -> Vec<GivenUp> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a connection has carried; nothing where the kernel does not say.
fn has_carried(stream: &TcpStream) -> Carried {
    carried(stream.as_fd()).unwrap_or_default()
}

/// One that may still have to deliver something, until it is dropped or [`Owed::settle`]d.
pub(super) struct Owed<'a> {
    drain: &'a Drain,
    is_open: AtomicBool,
}

impl Owed<'_> {
    /// Everything is handed to the kernel, the end of the stream with it.
    pub(super) fn settle(&self) {
        if self.is_open.swap(false, Ordering::Relaxed) {
            self.drain.owing.fetch_sub(1, Ordering::AcqRel);
            self.drain.fewer.notify_waiters();
        }
    }

    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}
