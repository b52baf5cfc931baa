//! Ends connections of one sandbox, in a thread of its own: the kernel waits for whoever uses the socket, and a
//! program can use it for as long as it likes. That must stop neither the proxy nor another sandbox. There is
//! a thread only while there is something to end.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    confine::ENDERS,
    kernel::{Connected, Destroyer, Maps},
    worker::of_this_process,
};

/// Most connections that wait for their end. What comes later ends by itself
/// ([`egress_common::abi::UNVERIFIED_WAIT_MS`]).
const MAX_QUEUED: usize = 4096;

/// Ends connections of the network namespace of the threads of this process; where it has a broker, this one does.
pub(super) struct Ender {
    maps: Arc<Maps>,
    waiting: Mutex<Waiting>,
    /// Told when there is nothing more to end.
    done: Condvar,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<End>,
    has_thread: bool,
}

/// What is to be ended.
enum End {
    /// One that no server has answered, by its cookie.
    Unverified(u64),
    /// Any.
    Connection(Connected),
}

impl Ender {
    pub(super) fn new(maps: Arc<Maps>) -> Arc<Self> {
        Arc::new(Self { maps, waiting: Mutex::default(), done: Condvar::new() })
    }

    /// Ends the unanswered connection with this socket cookie, soon. Never blocks.
    pub(super) fn end(self: &Arc<Self>, cookie: u64) {
        match of_this_process() {
            Some(broker) => broker.end(cookie),
            None => self.add(End::Unverified(cookie)),
        }
    }

    /// Ends a connection, soon. Never blocks.
    pub(super) fn end_connection(self: &Arc<Self>, connection: Connected) {
        match of_this_process() {
            Some(broker) => broker.end_connection(connection),
            None => self.add(End::Connection(connection)),
        }
    }

    /// Waits until nothing is left to end, at most so long: a program can keep the kernel waiting for its socket.
    /// False where it was too long.
    pub(super) fn settle(&self, within: Duration) -> bool {
        if let Some(broker) = of_this_process() {
            return broker.settle();
        }
        let is_busy = |waiting: &mut Waiting| waiting.has_thread;
        let waited = self.done.wait_timeout_while(self.waiting(), within, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn add(self: &Arc<Self>, end: End) {
        let mut waiting = self.waiting();
        // A revoked right is not to be lost: its connection does not end by itself.
        if matches!(end, End::Unverified(_)) && waiting.queue.len() >= MAX_QUEUED {
            tracing::debug!("too many refused connections at once; this one ends by itself");
            return;
        }
        waiting.queue.push_back(end);
        if waiting.has_thread {
            return;
        }
        let ender = Arc::clone(self);
        // By the thread that has the right to end sockets, which the new one inherits.
        let started = ENDERS.run(move || {
            thread::Builder::new().name("egress-ender".to_owned()).spawn(move || ender.end_all())
        });
        match started.flatten() {
            Ok(_) => waiting.has_thread = true,
            Err(error) => tracing::warn!(%error, "connections cannot be ended"),
        }
    }

    /// Until nothing waits.
    fn end_all(&self) {
        let destroyer = Destroyer::open();
        loop {
            let mut waiting = self.waiting();
            let Some(end) = waiting.queue.pop_front() else {
                waiting.has_thread = false;
                self.done.notify_all();
                return;
            };
            drop(waiting);
            let ended = match &destroyer {
                Ok(destroyer) => self.end_one(destroyer, &end),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection could not be ended");
            }
        }
    }

    fn end_one(&self, destroyer: &Destroyer, end: &End) -> io::Result<()> {
        match end {
            // Gone when it has ended by itself.
            End::Unverified(cookie) => match self.maps.unverified(*cookie) {
                Some(connection) => destroyer.end(*cookie, &connection),
                None => Ok(()),
            },
            End::Connection(connection) => destroyer.end_connection(connection),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
