//! What the kernel side tells, given to the sandbox that it is of.

use std::{
    io,
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Registry, ring};
use crate::kernel::{Events, KernelEvent};

/// Most events that are given out before other tasks have their turn: a program that does nothing but get
/// refused must not keep others' lookups waiting.
const AT_ONCE: usize = 128;

/// Wait when more than [`AT_ONCE`] have come at once: what a flood leaves in the ring meanwhile is read in one
/// go, and wakes the threads of all sandboxes once.
const FLOODED: Duration = Duration::from_millis(1);

/// Reads the one ring of all sandboxes.
pub(super) struct Dispatcher {
    events: Mutex<Events>,
    registry: Arc<Registry>,
}

impl Dispatcher {
    pub(super) fn new(events: Events, registry: Arc<Registry>) -> Self {
        Self { events: Mutex::new(events), registry }
    }

    /// As they come, so that the ring does not fill. Within a runtime.
    pub(super) fn follow(self: Arc<Self>) -> io::Result<()> {
        let this = Arc::clone(&self);
        let events = self.lock();
        ring::follow(events.as_fd(), move || this.give_some(), || tokio::time::sleep(FLOODED))
    }

    /// Gives out everything that is there. Within a runtime.
    pub(super) fn catch_up(&self) {
        while !self.give_some() {}
    }

    /// Gives out a few; true when there are no more.
    fn give_some(&self) -> bool {
        let mut events = self.lock();
        for _ in 0..AT_ONCE {
            let Some(event) = events.take() else { return true };
            self.give(event);
        }
        false
    }

    fn give(&self, event: KernelEvent) {
        let (id, time_ns) = match &event {
            KernelEvent::Refused(event) => (event.sandbox, event.time_ns),
            KernelEvent::Hello(hello) => (hello.event.sandbox, hello.event.time_ns),
        };
        match self.registry.find(id) {
            // What the proof of its path was refused, as it should be, is no news.
            Some(sandbox) if time_ns >= sandbox.begun_ns => sandbox.on_event(event),
            _ => tracing::debug!(id, "an event of no sandbox that lives"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
