//! How a sandbox starts: everything is in place, and proved with the kernel's real hooks, before the command
//! exists. The order is in docs/architecture.md.

use std::{io, path::Path, sync::Arc};

use super::{
    Handle, Sandbox, Spec,
    assemble::{Proved, Service, Unproved},
    handle::AttachedCgroup,
};
use crate::{
    dns::ServersError,
    host::{Cgroup, CgroupError, ListenError},
    kernel::{Devices, KernelError},
    launch::{Init, InitError, StdioError, check_stdio, check_stdio_devices},
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
        let rights = supervisor.rights()?;
        let cgroup = Cgroup::create(&rights.host.cgroup2, &rights.host.pins)?;
        let listeners = supervisor.open_listeners()?;
        let pins = rights.host.pins.join(cgroup.name());
        let attached = rights.programs.attach(cgroup.id()?, cgroup.outer(), &pins)?;
        let cgroup = AttachedCgroup::new(cgroup, attached, supervisor.maps.clone())?;
        let writer =
            command.writer().map_err(failed("find out which files the command is handed"))?;
        let service = Service { policy, dns, observer, writer };
        let mut init = Init::spawn(cgroup.cgroup(), &command)?;
        let unproved = Unproved::serve(service, supervisor, cgroup.id(), listeners)?;
        let notes = unproved.prove(|| init.probe())??;
        // By the init's /proc where ours shows processes alone.
        let devices = match devices {
            Some(_) => supervisor.open_devices(Path::new("/proc"))?,
            None => supervisor.open_devices(&init.proc())?,
        };
        check_stdio_devices(devices)?;
        let name = cgroup.cgroup().name().to_owned();
        let Proved { sandbox, upstream, tasks } =
            unproved.proved(supervisor, name, cgroup.cgroup().inner())?;
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
        handle.sandbox.open(supervisor)?;
        handle.init.start()?;
        Ok(handle)
    }
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
        pid: std::process::id(),
        started_ns: sandbox.begun_ns,
        state: sandbox.state.clone(),
        dns: sandbox.dns.clone(),
    };
    let _entered = supervisor.tasks.enter();
    let is_alive = |id: &str| cgroup.has_neighbour(id);
    StatusServer::open(status::PLACE.as_ref(), is_alive, Arc::new(source))
}
