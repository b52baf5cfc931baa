//! A sandbox that a broker has made, in the process that serves it.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use nix::unistd::Uid;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    Sandbox,
    account::account,
    assemble::{Proved, Service, Unproved},
    serve::Tasks,
    start::{StartError, failed},
};
use crate::{
    config::DnsSettings,
    confine::{self, Role},
    dns::NameServers,
    kernel::Maps,
    launch::Note,
    points::reach,
    policy::Policy,
    record::{Observer, Summary},
    status::{self, StatusServer},
    supervisor::{Parts, Supervisor},
    text::Printable,
    worker::{Broker, Division, Event, Handed},
};

/// What it is to be served by.
pub struct Serving {
    /// What it may reach.
    pub policy: Policy,
    /// How its names are looked up.
    pub dns: DnsSettings,
    /// How long a connection may be without progress when the command has ended.
    pub drain: Duration,
    /// Who hears of what is decided.
    pub observer: Option<Arc<dyn Observer>>,
    /// The program that runs in it.
    pub program: Printable,
}

/// A sandbox of a broker's. The process serves it until the broker has ended it.
pub struct Served {
    broker: Arc<Broker>,
    supervisor: Arc<Supervisor>,
    sandbox: Arc<Sandbox>,
    upstream: Arc<NameServers>,
    events: UnboundedReceiver<Event>,
    drain: Duration,
    notes: Vec<Note>,
    status_error: Option<String>,
    _status: Option<StatusServer>,
    _tasks: Tasks,
}

impl Served {
    /// Serves the sandbox that the broker hands over, has its path proved and its command started. `gone` is called
    /// when the broker is gone, before this process ends: with true where it has said why.
    ///
    /// # Errors
    /// [`StartError`]; the broker is to know once that was told ([`crate::worker::failed`]).
    pub fn start(
        serving: Serving,
        division: Division,
        gone: impl Fn(bool) + Send + 'static,
    ) -> Result<Self, StartError> {
        let Division { socket, writer, descriptors, run } = division;
        let (broker, handed) =
            Broker::meet(socket, gone).map_err(failed("take over the sandbox"))?;
        reach("worker:given");
        let Handed { given, maps, listeners, injector, status } = handed;
        let supervisor = Supervisor::of(Parts {
            rights: None,
            maps: Maps::of(&maps)?,
            injector,
            can_end: given.can_end,
            chooses_errno: given.chooses_errno,
            descriptors,
            sandboxes: 1,
        })?;
        let Serving { policy, dns, drain, observer, program } = serving;
        let service = Service { policy, dns, observer, writer };
        let unproved = Unproved::serve(service, &supervisor, given.sandbox, listeners)?;
        reach("worker:serves");
        // From here on something may arrive that others wrote.
        confine::enter(Role::Reader)
            .map_err(failed("confine the process that serves the sandbox"))?;
        let notes = unproved.prove(|| broker.probe())?;
        let proved = unproved.proved(&supervisor, given.name.clone(), PathBuf::new())?;
        let Proved { sandbox, upstream, tasks } = proved;
        let source = status::Source {
            id: given.name.clone(),
            program,
            pid: run,
            started_ns: sandbox.begun_ns,
            state: sandbox.state.clone(),
            dns: sandbox.dns.clone(),
        };
        let answering = status.map(|listener| {
            let _entered = supervisor.tasks.enter();
            StatusServer::answer(listener, Uid::from_raw(0), Arc::new(source))
        });
        let status_error = match &answering {
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(_)) => None,
            None => Some(given.status_error.clone()),
        };
        sandbox.open(&supervisor)?;
        let events = broker.events().ok_or(io::ErrorKind::AlreadyExists);
        let served = Self {
            broker: broker.clone(),
            supervisor,
            sandbox,
            upstream,
            events: events.map_err(failed("hear of the end"))?,
            drain,
            notes,
            status_error,
            _status: answering.and_then(Result::ok),
            _tasks: tasks,
        };
        reach("worker:open");
        served.broker.start();
        reach("worker:started");
        #[cfg(debug_assertions)]
        crate::worker::misbehave::as_asked(&served.broker, |line| tracing::error!("{line}"));
        Ok(served)
    }

    /// Whether refused calls give what the policy's `refusal_errno` says ([`Supervisor::chooses_errno`]).
    pub fn chooses_errno(&self) -> bool {
        self.supervisor.chooses_errno()
    }

    /// Why `egress status` does not show it, where it does not.
    pub fn status_error(&self) -> Option<&str> {
        self.status_error.as_deref()
    }

    /// What the command did not get of what it was to inherit, where that is to be told.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Serves until the broker has ended the sandbox; gives what there is to tell of it, and whom to tell that it was
    /// told ([`Broker::finished`]).
    pub fn until_ended(mut self) -> (Summary, Arc<Broker>) {
        let supervisor = self.supervisor.clone();
        let is_empty = supervisor.block_on(self.deliver());
        let broker = self.broker.clone();
        (self.sum_up(is_empty), broker)
    }

    /// Until the sandbox has ended; false where something of it does not die.
    async fn deliver(&mut self) -> bool {
        let (sandbox, drain) = (self.sandbox.clone(), self.drain);
        let proxy = sandbox.proxy.clone();
        let mut is_draining = false;
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.recv() => event,
                () = delivered(&sandbox, drain), if is_draining => {
                    is_draining = false;
                    reach("worker:drained");
                    self.broker.drained();
                    continue;
                }
            };
            match event {
                Some(Event::Drain { is_interrupted }) => {
                    reach("worker:drain");
                    proxy.drain(self.drain);
                    if is_interrupted {
                        proxy.give_up();
                    }
                    is_draining = true;
                }
                Some(Event::GiveUp) => proxy.give_up(),
                Some(Event::Ended { is_empty }) => return is_empty,
                // The process ends.
                None => std::future::pending().await,
            }
        }
    }

    fn sum_up(self, is_empty: bool) -> Summary {
        let counts = self.supervisor.maps.remove_sandbox(self.sandbox.state.id);
        account(&self.sandbox, &self.supervisor, &self.upstream, is_empty, counts)
    }
}

/// Waits until everything that the command wrote is delivered or given up.
async fn delivered(sandbox: &Sandbox, within: Duration) {
    sandbox.proxy.drained().await;
    if let Some(direct) = &sandbox.direct {
        direct.delivered(within).await;
    }
}
