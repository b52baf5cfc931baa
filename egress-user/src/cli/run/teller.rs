//! What the kernel side tells of a run, as it happens.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use egress_common::event::Event;
use egress_user::{
    direct::Direct,
    kernel::{self, Events, Told},
    proxy::Transparent,
    sandbox::SandboxState,
    sys,
};
use tokio::runtime::Runtime;

/// Notes what the kernel side tells.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) sandbox: Arc<SandboxState>,
    pub(super) proxy: Arc<Transparent>,
    pub(super) direct: Option<Arc<Direct>>,
}

impl Teller {
    /// As it happens, so that the ring does not fill.
    pub(super) fn follow(
        self,
        runtime: &Runtime,
        events: &Arc<Mutex<Events>>,
    ) -> anyhow::Result<()> {
        let _entered = runtime.enter();
        if let Some(direct) = &self.direct {
            runtime.spawn(direct.clone().keep());
        }
        let ring: OwnedFd =
            lock(events).as_fd().try_clone_to_owned().context("watch the events")?;
        let ring = sys::descriptors::watch(ring).context("watch the events")?;
        let events = events.clone();
        runtime.spawn(async move {
            while let Ok(mut ready) = ring.readable().await {
                ready.clear_ready();
                // A program that does nothing but get refused must not keep the others'
                // connections waiting: their tasks run in between.
                while !self.note_some(&events) {
                    tokio::task::yield_now().await;
                }
            }
        });
        Ok(())
    }

    /// Notes a few events; true when there are no more. Within a runtime.
    pub(super) fn note_some(&self, events: &Mutex<Events>) -> bool {
        const FEW: usize = 64;
        let mut events = lock(events);
        for _ in 0..FEW {
            match events.take() {
                None => return true,
                Some(Told::Refused(event)) => self.note(&event),
                Some(Told::Hello(hello)) => {
                    if let Some(direct) = &self.direct {
                        direct.told(hello);
                    }
                }
            }
        }
        false
    }

    fn note(&self, event: &Event) {
        let refused = kernel::describe(event, |to| self.proxy.explain(to));
        match kernel::datagram_connect(event) {
            Some(to) if self.sandbox.is_pinned(to.ip()) => {
                self.sandbox.journal.refused_datagram_connect(to.port(), refused);
            }
            _ => self.sandbox.journal.refused(refused),
        }
    }
}

pub(super) fn lock(events: &Mutex<Events>) -> MutexGuard<'_, Events> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}
