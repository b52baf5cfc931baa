//! How a sandbox starts: everything is in place, and proved with the kernel's real hooks, before the command
//! exists. The order is in docs/architecture.md.

use std::{io, path::Path, sync::Arc};

use egress_common::sandbox::Sandbox as Record;

use super::{
    Handle, PolicyWatch, Sandbox, SandboxState, Spec,
    handle::AttachedCgroup,
    serve::{Served, serve},
};
use crate::{
    clock::boottime_ns,
    direct::Direct,
    dns::ServersError,
    host::{Cgroup, CgroupError, ListenError, Listeners},
    kernel::{Devices, KernelError, SandboxRecord},
    launch::{Init, InitError, Note, PROBE_TARGET, StdioError, check_stdio, check_stdio_devices},
    own::Keeper,
    pins::{NEVER_NS, Opening, ports_of},
    policy::{Mode, PortSet},
    status::{self, StatusServer},
    supervisor::{Supervisor, SupervisorError},
    text::Printable,
};

/// Why a sandbox could not be started; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What all sandboxes share.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// The kernel side.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its listeners.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its first process, or its command.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Its name servers.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// What it would be handed.
    #[error(transparent)]
    Stdio(#[from] StdioError),
    /// No room for a connection.
    #[error("{limit} descriptors are too few to serve a connection; raise the limit (`ulimit -n`)")]
    Descriptors {
        /// How many this process may have.
        limit: u64,
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

pub(super) fn failed<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |source| StartError::System { what, source: source.into() }
}

impl Sandbox {
    /// Starts a command in a sandbox of its own, with the standard streams, the environment and the working
    /// directory of this process.
    ///
    /// # Errors
    /// [`StartError`]: nothing is started then.
    pub fn start(spec: Spec, supervisor: &Arc<Supervisor>) -> Result<Handle, StartError> {
        let _turn = supervisor.turn();
        check_stdio()?;
        let devices = Devices::known(Path::new("/proc")).ok();
        devices.as_ref().map_or(Ok(()), check_stdio_devices)?;
        let Spec { policy, dns, drain, command, observer } = spec;
        let maps = supervisor.maps.clone();
        let cgroup = Cgroup::create(&supervisor.host.cgroup2, &supervisor.host.pins)?;
        let listeners = supervisor.open_listeners()?;
        let pins = supervisor.host.pins.join(cgroup.name());
        let attached = supervisor.programs.attach(cgroup.id()?, cgroup.outer(), &pins)?;
        let cgroup = AttachedCgroup::new(cgroup, attached, maps.clone())?;
        let policy = Arc::new(policy);
        let described = describe(cgroup.id(), &listeners)?;
        // Without a rule until the path is proved: a policy may well allow, or deny, the addresses that the
        // probe tries.
        let record = Arc::new(SandboxRecord::new(maps.clone(), described)?);

        let writer =
            command.writer().map_err(failed("find out which files the command is handed"))?;
        let mut init = Init::spawn(cgroup.cgroup(), &command)?;
        let watched = Arc::new(PolicyWatch::new(policy.clone()));
        let store = Arc::new(maps.pin_sink(described.id, watched.clone()));
        let state = SandboxState::new(described.id, watched, store);
        if let Some(observer) = observer {
            state.journal.set_observer(observer);
        }
        let served = serve(supervisor, &state, listeners, &dns, writer)?;
        let notes = prove(&state, &mut init)?;
        // By the init's /proc where ours shows processes alone.
        let devices = match devices {
            Some(_) => supervisor.open_devices(Path::new("/proc"))?,
            None => supervisor.open_devices(&init.proc())?,
        };
        check_stdio_devices(devices)?;
        let Served { proxy, dns, upstream, tasks, listeners } = served;
        proxy.proved();
        maps.add_rules(described.id, &policy)?;
        state.watch_own(supervisor.own.clone());
        let keeper = Arc::new(Keeper::new(state.clone(), maps.clone()));
        let may_be_direct = supervisor.can_end && policy.settings().mode != Mode::Limited;
        let direct = may_be_direct.then(|| {
            let inner = cgroup.cgroup().inner();
            Direct::new(state.clone(), maps.clone(), record.clone(), inner)
        });
        if let Some(direct) = &direct {
            keeper.set_direct(direct.clone());
            tasks.add(supervisor.tasks.spawn(direct.clone().keep()).abort_handle());
        }
        let name = cgroup.cgroup().name().to_owned();
        let begun_ns = boottime_ns();
        let sandbox =
            Arc::new(Self { state, name, begun_ns, record, proxy, dns, keeper, direct, listeners });
        if let Some(injector) = &supervisor.injector {
            sandbox.proxy.hold_by(injector.clone());
            sandbox.record.set_holds();
        }
        // Its keeper is told of the machine's own addresses before anything is open.
        supervisor.add(&sandbox);
        let program = Printable::of_bytes(command.program.as_encoded_bytes());
        let mut handle = Handle {
            supervisor: supervisor.clone(),
            status: tell_status(supervisor, &sandbox, cgroup.cgroup(), program),
            sandbox,
            upstream,
            init,
            drain,
            notes,
            cgroup: Some(cgroup),
            _tasks: tasks,
        };
        handle.sandbox.dns.pin_hosts();
        handle.sandbox.write_record()?;
        if !supervisor.share_out() {
            return Err(StartError::Descriptors { limit: supervisor.descriptor_limit() });
        }
        handle.init.start()?;
        Ok(handle)
    }
}

/// Its ports; its flags come from the policy, once the path is proved.
fn describe(id: u64, listeners: &Listeners) -> Result<Record, StartError> {
    let mut record = Record { id, ..Record::NONE };
    listeners.describe(&mut record).map_err(failed("read the listeners' ports"))?;
    Ok(record)
}

/// Proves the path with the kernel's real hooks before the command exists.
fn prove(state: &SandboxState, init: &mut Init) -> Result<Vec<Note>, StartError> {
    let ports = ports_of(&PortSet::only([PROBE_TARGET.port()]));
    state
        .pins()
        .store()
        .pin(PROBE_TARGET.ip(), &Opening::proxied(NEVER_NS, ports))
        .map_err(failed("pin the probe's target"))?;
    let proved = init.probe();
    state.pins().store().unpin(PROBE_TARGET.ip());
    Ok(proved?)
}

/// Answers `egress status` until dropped. A sandbox without it is as safe, and only harder to look into.
fn tell_status(
    supervisor: &Supervisor,
    sandbox: &Arc<Sandbox>,
    cgroup: &Cgroup,
    program: Printable,
) -> Result<StatusServer, io::Error> {
    let source = status::Source {
        id: sandbox.name.clone(),
        program,
        started_ns: sandbox.begun_ns,
        state: sandbox.state.clone(),
        dns: sandbox.dns.clone(),
    };
    let _entered = supervisor.tasks.enter();
    let is_alive = |id: &str| cgroup.has_neighbour(id);
    StatusServer::open(status::PLACE.as_ref(), is_alive, Arc::new(source))
}
