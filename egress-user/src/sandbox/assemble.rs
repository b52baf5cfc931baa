//! What serves a sandbox, put together: the same whether this process has made the sandbox or was handed it.

use std::{path::PathBuf, sync::Arc};

use egress_common::sandbox::Sandbox as Record;

use super::{
    PolicyWatch, Sandbox, SandboxState,
    serve::{Served, Tasks, serve},
    start::{StartError, failed},
};
use crate::{
    clock::boottime_ns,
    config::DnsSettings,
    direct::Direct,
    dns::NameServers,
    host::{Listeners, Writer},
    kernel::SandboxRecord,
    launch::PROBE_TARGET,
    own::Keeper,
    pins::{NEVER_NS, Opening, ports_of},
    policy::{Mode, Policy, PortSet},
    record::Observer,
    supervisor::Supervisor,
};

/// What a sandbox is to be served by.
pub(super) struct Service {
    pub(super) policy: Policy,
    pub(super) dns: DnsSettings,
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// Who the command is to the machine's files.
    pub(super) writer: Writer,
}

/// It serves; its path is not proved yet, and has no rule until then: a policy may well allow, or deny, the addresses
/// that the probe tries.
pub(super) struct Unproved {
    policy: Arc<Policy>,
    record: Arc<SandboxRecord>,
    state: Arc<SandboxState>,
    served: Served,
}

/// Its path is proved.
pub(super) struct Proved {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) upstream: Arc<NameServers>,
    pub(super) tasks: Tasks,
}

impl Unproved {
    /// Serves the sandbox with this id by these listeners.
    pub(super) fn serve(
        service: Service,
        supervisor: &Supervisor,
        id: u64,
        listeners: Listeners,
    ) -> Result<Self, StartError> {
        let Service { policy, dns, observer, writer } = service;
        let (policy, maps) = (Arc::new(policy), supervisor.maps.clone());
        let record = Arc::new(SandboxRecord::new(maps.clone(), describe(id, &listeners)?)?);
        let watched = Arc::new(PolicyWatch::new(policy.clone()));
        let store = Arc::new(maps.pin_sink(id, watched.clone()));
        let state = SandboxState::new(id, watched, store);
        if let Some(observer) = observer {
            state.journal.set_observer(observer);
        }
        let served = serve(supervisor, &state, listeners, &dns, writer)?;
        Ok(Self { policy, record, state, served })
    }

    /// Opens the probe's target for as long as `prove` takes.
    pub(super) fn prove<T>(&self, prove: impl FnOnce() -> T) -> Result<T, StartError> {
        let ports = ports_of(&PortSet::only([PROBE_TARGET.port()]));
        let store = self.state.pins().store();
        store
            .pin(PROBE_TARGET.ip(), &Opening::proxied(NEVER_NS, ports))
            .map_err(failed("pin the probe's target"))?;
        let proved = prove();
        store.unpin(PROBE_TARGET.ip());
        Ok(proved)
    }

    /// Behind the proof: its rules, and what goes past the proxy. Its processes are in `cgroup` and below, for whoever may
    /// look into them.
    pub(super) fn proved(
        self,
        supervisor: &Supervisor,
        name: String,
        cgroup: PathBuf,
    ) -> Result<Proved, StartError> {
        let Self { policy, record, state, served } = self;
        let Served { proxy, dns, upstream, tasks, listeners } = served;
        let maps = &supervisor.maps;
        proxy.proved();
        maps.add_rules(state.id, &policy)?;
        state.watch_own(supervisor.own.clone());
        let keeper = Arc::new(Keeper::new(state.clone(), maps.clone()));
        let may_be_direct = supervisor.can_end && policy.settings().mode != Mode::Limited;
        let direct =
            may_be_direct.then(|| Direct::new(state.clone(), maps.clone(), record.clone(), cgroup));
        if let Some(direct) = &direct {
            keeper.set_direct(direct.clone());
            tasks.add(supervisor.tasks.spawn(direct.clone().keep()).abort_handle());
        }
        let begun_ns = boottime_ns();
        let sandbox = Arc::new(Sandbox {
            state,
            name,
            begun_ns,
            record,
            proxy,
            dns,
            keeper,
            direct,
            listeners,
        });
        if let Some(injector) = &supervisor.injector {
            sandbox.proxy.hold_by(injector.clone());
            sandbox.record.set_holds();
        }
        // Its keeper is told of the machine's own addresses before anything is open.
        supervisor.add(&sandbox);
        Ok(Proved { sandbox, upstream, tasks })
    }
}

impl Sandbox {
    /// The last before the command: what the policy says holds.
    pub(super) fn open(&self, supervisor: &Supervisor) -> Result<(), StartError> {
        self.dns.pin_hosts();
        self.write_record()?;
        match supervisor.share_out() {
            true => Ok(()),
            false => Err(StartError::Descriptors { limit: supervisor.descriptor_limit() }),
        }
    }
}

/// Its ports; its flags come from the policy, once the path is proved.
fn describe(id: u64, listeners: &Listeners) -> Result<Record, StartError> {
    let mut record = Record { id, ..Record::NONE };
    listeners.describe(&mut record).map_err(failed("read the listeners' ports"))?;
    Ok(record)
}
