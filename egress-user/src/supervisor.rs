//! Several sandboxes in one process: what they share, and who is told what the kernel tells.
//!
//! The programs are loaded once and attached at each sandbox's cgroup. Workers, runtime, name servers, the
//! watch of the machine's addresses and the one who ends sockets are everybody's; policy, pins, journal,
//! listeners and limits are each sandbox's own.

mod descriptors;
mod events;
mod held;
mod name_servers;
mod own;
mod payloads;
mod registry;
mod ring;
mod workers;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tokio::runtime::Runtime;

pub(crate) use self::descriptors::Descriptors;
pub(crate) use self::registry::Registry;
use self::{events::Dispatcher, name_servers::NameServerPool, own::OwnFanout, workers::Workers};
use crate::{
    config::DnsSettings,
    confine,
    dns::{NameServers, ServersError},
    hold::Injector,
    host::{Barred, Host, HostError, ListenError, Listeners, Writer},
    kernel::{Destroyer, Devices, KernelError, Loaded, MapSet, Maps, Programs},
    own as own_addresses,
    sandbox::Sandbox,
    sys,
};

/// Why no sandbox can be made here.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The machine lacks something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The kernel side cannot be put in place.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Nothing may be loaded, whatever it is.
    #[error("{barred}")]
    NotPermitted {
        /// By what, as far as it is known.
        barred: Barred,
        /// What was tried.
        #[source]
        source: KernelError,
    },
    /// Something else that the kernel refused.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> SupervisorError {
    move |source| SupervisorError::System { what, source }
}

fn not_loaded(error: KernelError) -> SupervisorError {
    match error.is_not_permitted() {
        true => SupervisorError::NotPermitted { barred: Barred::of_this_process(), source: error },
        false => error.into(),
    }
}

/// What sandboxes are made with, by a process that has the rights for it.
pub(crate) struct Rights {
    pub(crate) host: Host,
    pub(crate) programs: Programs,
    /// The maps, by their descriptors.
    pub(crate) set: MapSet,
}

/// What a supervisor is made of.
pub(crate) struct Parts {
    pub(crate) rights: Option<Rights>,
    pub(crate) maps: Maps,
    /// None where the rights for it are missing.
    pub(crate) injector: Option<Injector>,
    pub(crate) can_end: bool,
    pub(crate) chooses_errno: bool,
    pub(crate) descriptors: Descriptors,
    /// How many sandboxes there may be at once.
    pub(crate) sandboxes: u32,
}

/// What all sandboxes of this process share.
pub struct Supervisor {
    /// What sandboxes are made with; none in a process that serves one that a broker has made.
    rights: Option<Rights>,
    pub(crate) maps: Arc<Maps>,
    /// Until it is dropped.
    runtime: Option<Runtime>,
    pub(crate) tasks: tokio::runtime::Handle,
    pub(crate) workers: Workers,
    pub(crate) own: Arc<own_addresses::Watch>,
    pub(crate) registry: Arc<Registry>,
    /// Whether the kernel can end connections of this namespace: else none may be direct.
    pub(crate) can_end: bool,
    /// What answers connects that are held; none where the rights for it are missing, and nothing is held.
    pub(crate) injector: Option<Arc<Injector>>,
    chooses_errno: bool,
    fanout: Arc<OwnFanout>,
    dispatcher: Arc<Dispatcher>,
    servers: NameServerPool,
    descriptors: Descriptors,
    devices: OnceLock<Devices>,
    /// How many there may be at once.
    most: u32,
    /// Held while a sandbox starts: what is opened meanwhile is counted.
    starting: Mutex<()>,
}

impl Supervisor {
    /// Loads the programs, and starts what all sandboxes share, for one of them. For the network namespace of the calling
    /// thread, whose addresses and sockets these are.
    ///
    /// Threads are started that inherit the calling thread's signal mask.
    ///
    /// # Errors
    /// [`SupervisorError`]: nothing is left then.
    pub fn start() -> Result<Arc<Self>, SupervisorError> {
        Self::start_for(1)
    }

    /// The same for at most so many sandboxes at once ([`Loaded::load_for`]).
    ///
    /// # Errors
    /// As [`Supervisor::start`].
    pub fn start_for(sandboxes: u32) -> Result<Arc<Self>, SupervisorError> {
        // First: what the caller leaves may be too few to load by.
        let descriptors = Descriptors::raise();
        let host = Host::prepare()?;
        let loaded = Loaded::load_for(sandboxes).map_err(not_loaded)?;
        let chooses_errno = loaded.chooses_errno();
        let (programs, set) = loaded.take()?;
        let maps = Maps::of(&set)?;
        sys::process::return_freed_memory();
        let injector = Injector::open()
            .inspect_err(|error| tracing::debug!(%error, "connects are let in before the dial"));
        let can_end = Destroyer::open()
            .inspect_err(|error| tracing::debug!(%error, "every connection takes the proxy"));
        Self::of(Parts {
            rights: Some(Rights { host, programs, set }),
            maps,
            injector: injector.ok(),
            can_end: can_end.is_ok(),
            chooses_errno,
            descriptors,
            sandboxes,
        })
    }

    /// Starts what sandboxes share.
    ///
    /// # Errors
    /// [`SupervisorError`].
    pub(crate) fn of(parts: Parts) -> Result<Arc<Self>, SupervisorError> {
        let Parts { rights, mut maps, injector, can_end, chooses_errno, descriptors, sandboxes } =
            parts;
        let events = maps
            .take_events()
            .ok_or_else(|| failed("take the kernel's events")(io::ErrorKind::NotFound.into()))?;
        let held = maps.take_held();
        let payloads = maps
            .take_payloads()
            .ok_or_else(|| failed("take the held payloads")(io::ErrorKind::NotFound.into()))?;
        let maps = Arc::new(maps);
        confine::start_helpers().map_err(failed("start the threads that keep rights"))?;
        let workers = Workers::start(held.len()).map_err(failed("start a worker"))?;
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = workers::runtime(processors.min(2)).map_err(failed("start the runtime"))?;
        let fanout = Arc::new(OwnFanout::default());
        let own = own_addresses::Watch::start(fanout.clone())
            .map_err(failed("read the machine's own addresses"))?;
        runtime.spawn(own.clone().follow());
        let registry = Arc::new(Registry::default());
        let dispatcher = Arc::new(Dispatcher::new(events, registry.clone()));
        {
            let _entered = runtime.enter();
            dispatcher.clone().follow().map_err(failed("watch the events"))?;
            payloads::follow(payloads, registry.clone())
                .map_err(failed("watch payloads that are held"))?;
        }
        workers
            .each(held, |held| held::follow(held, registry.clone()))
            .map_err(failed("watch connects that are held"))?;
        Ok(Arc::new(Self {
            rights,
            maps,
            tasks: runtime.handle().clone(),
            runtime: Some(runtime),
            workers,
            own,
            registry,
            can_end,
            injector: injector.map(Arc::new),
            chooses_errno,
            fanout,
            dispatcher,
            servers: NameServerPool::default(),
            descriptors,
            devices: OnceLock::new(),
            most: sandboxes,
            starting: Mutex::new(()),
        }))
    }

    /// Runs what a program has to wait for: how a command ends, for instance.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.tasks.block_on(future)
    }

    /// Whether refused calls give what the policy's `refusal_errno` says. Before Linux 5.18 they give EPERM.
    pub fn chooses_errno(&self) -> bool {
        self.chooses_errno
    }

    /// What sandboxes are made with.
    ///
    /// # Errors
    /// In a process that only serves.
    pub(crate) fn rights(&self) -> Result<&Rights, SupervisorError> {
        let missing = || failed("make a sandbox")(io::ErrorKind::PermissionDenied.into());
        self.rights.as_ref().ok_or_else(missing)
    }

    /// The sandboxes that live.
    pub fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.registry.all()
    }

    /// Opens the devices that the kernel knows for all sandboxes, once. `proc` is a /proc that shows more
    /// than processes.
    pub(crate) fn open_devices(&self, proc: &Path) -> Result<&Devices, SupervisorError> {
        if let Some(devices) = self.devices.get() {
            return Ok(devices);
        }
        let devices =
            Devices::known(proc).map_err(failed("read which devices the kernel knows"))?;
        devices.open(&self.rights()?.set)?;
        Ok(self.devices.get_or_init(|| devices))
    }

    pub(crate) fn name_servers(
        &self,
        settings: &DnsSettings,
        writer: Writer,
    ) -> Result<Arc<NameServers>, ServersError> {
        self.servers.of(settings, writer)
    }

    /// Only one sandbox starts at a time.
    pub(crate) fn turn(&self) -> std::sync::MutexGuard<'_, ()> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the sandbox is told what the kernel tells of it.
    pub(crate) fn add(&self, sandbox: &Arc<Sandbox>) {
        self.fanout.add(sandbox.state.id, sandbox.keeper.clone());
        self.registry.add(sandbox.clone());
    }

    /// It is no more; what the kernel has told of it until now is noted.
    pub(crate) fn remove(&self, sandbox: &Sandbox) {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let dispatcher = self.dispatcher.clone();
        // There, and not in this thread, which has rights: hellos are among what is told.
        self.tasks.spawn(async move {
            dispatcher.catch_up();
            let _ = tell.send(());
        });
        let _ = told.recv();
        self.fanout.remove(sandbox.state.id);
        self.registry.remove(sandbox.state.id);
        self.share_out();
    }

    /// Shares the descriptors out among the sandboxes that live. False when there is no room for a
    /// connection of each.
    pub(crate) fn share_out(&self) -> bool {
        self.descriptors.share_out(&self.registry.all(), &self.workers.outbound)
    }

    /// The limit of descriptors that is shared out.
    pub(crate) fn descriptor_limit(&self) -> u64 {
        self.descriptors.limit()
    }

    /// The listeners of one more sandbox.
    pub(crate) fn open_listeners(&self) -> Result<Listeners, ListenError> {
        let workers = self.workers.count();
        Listeners::open(workers, self.descriptors.listeners6(workers), self.most)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // What still runs there is nobody's any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
