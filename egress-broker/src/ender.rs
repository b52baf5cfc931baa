//! Ends connections of one sandbox, in a thread of its own: the kernel waits for whoever uses the socket, and a
//! program can use it for as long as it likes.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use aya::maps::{HashMap, Map, MapData};
use egress_common::{abi::map, event::Unverified};

use crate::{
    kernel::{Connected, Destroyer, KernelError, MapSet},
    sys::pod::Wire,
};

/// Most unanswered connections that wait for their end. What comes later ends by itself
/// ([`egress_common::abi::UNVERIFIED_WAIT_MS`]).
const MAX_UNVERIFIED: usize = 4096;

/// Most connections at all: more than a sandbox can have are asked for by nobody who means well.
const MAX_QUEUED: usize = 1 << 17;

/// Who was asked for, and is another's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOurs;

/// Ends connections of one sandbox in the network namespace of the threads of this process.
pub(crate) struct Ender {
    sandbox: u64,
    unverified: Mutex<HashMap<MapData, u64, Wire<Unverified>>>,
    waiting: Mutex<Waiting>,
    done: Condvar,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<End>,
    has_thread: bool,
}

enum End {
    /// One that no server has answered, by its cookie.
    Unverified(u64),
    /// Any.
    Connection(Connected),
}

impl Ender {
    /// Of the sandbox with this id.
    ///
    /// # Errors
    /// When the map of unanswered connections is not as it should be.
    pub(crate) fn new(sandbox: u64, maps: &MapSet) -> Result<Arc<Self>, KernelError> {
        let fail = |source| KernelError::Map { map: map::UNVERIFIED, source: Box::new(source) };
        let data = MapData::from_fd(maps.open(map::UNVERIFIED)?).map_err(fail)?;
        let unverified = HashMap::try_from(Map::HashMap(data)).map_err(fail)?;
        Ok(Arc::new(Self {
            sandbox,
            unverified: Mutex::new(unverified),
            waiting: Mutex::default(),
            done: Condvar::new(),
        }))
    }

    /// Ends the unanswered connection with this cookie, soon; one that has gone already is as good as ended.
    ///
    /// # Errors
    /// When it is another sandbox's.
    pub(crate) fn end(self: &Arc<Self>, cookie: u64) -> Result<(), NotOurs> {
        match self.find(cookie) {
            Some(connection) if connection.sandbox != self.sandbox => Err(NotOurs),
            Some(_) => {
                self.add(End::Unverified(cookie));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Ends a connection, soon; one that has gone already is as good as ended.
    ///
    /// # Errors
    /// When the socket with these ends and this cookie is in another cgroup than the sandbox's.
    pub(crate) fn end_connection(self: &Arc<Self>, connection: Connected) -> Result<(), NotOurs> {
        match connection.cgroup() {
            Ok(Some(cgroup)) if cgroup == self.sandbox => {
                self.add(End::Connection(connection));
                Ok(())
            }
            Ok(Some(_)) => Err(NotOurs),
            // Gone; or the kernel does not tell whose it is, and it stays.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Whether the unanswered connection with this cookie lives.
    ///
    /// # Errors
    /// When it is another sandbox's.
    pub(crate) fn has(&self, cookie: u64) -> Result<bool, NotOurs> {
        match self.find(cookie) {
            Some(connection) if connection.sandbox != self.sandbox => Err(NotOurs),
            found => Ok(found.is_some()),
        }
    }

    /// Waits until nothing is left to end, at most so long. False where it was too long.
    pub(crate) fn settle(&self, within: Duration) -> bool {
        let is_busy = |waiting: &mut Waiting| waiting.has_thread;
        let waited = self.done.wait_timeout_while(self.waiting(), within, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn find(&self, cookie: u64) -> Option<Unverified> {
        let unverified = self.unverified.lock().unwrap_or_else(PoisonError::into_inner);
        unverified.get(&cookie, 0).ok().map(|connection| connection.0)
    }

    fn add(self: &Arc<Self>, end: End) {
        let mut waiting = self.waiting();
        let most = if matches!(end, End::Unverified(_)) { MAX_UNVERIFIED } else { MAX_QUEUED };
        if waiting.queue.len() >= most {
            return;
        }
        waiting.queue.push_back(end);
        if !waiting.has_thread {
            let ender = Arc::clone(self);
            let started = thread::Builder::new().name("egress-ender".to_owned());
            waiting.has_thread = started.spawn(move || ender.end_all()).is_ok();
        }
    }

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
            if let Ok(destroyer) = &destroyer {
                // One that has ended by itself, or that the kernel cannot end, is left.
                let _ = self.end_one(destroyer, &end);
            }
        }
    }

    fn end_one(&self, destroyer: &Destroyer, end: &End) -> io::Result<()> {
        match end {
            End::Unverified(cookie) => match self.find(*cookie) {
                Some(connection) if connection.sandbox == self.sandbox => {
                    destroyer.end(*cookie, &connection)
                }
                _ => Ok(()),
            },
            // By its cookie too, so that no other socket is meant that has these ends by now.
            End::Connection(connection) => destroyer.end_connection(connection),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
