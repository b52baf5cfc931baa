//! DNS and the proxy of a sandbox, on what the supervisor runs.

use std::{
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use egress_common::flow::kind;
use tokio::task::AbortHandle;

use super::{
    SandboxState,
    start::{StartError, failed},
};
use crate::{
    config::DnsSettings,
    dns::{self, HOSTS, HostsFile, NameServers, Renewals, Service},
    flow::Flows,
    host::{Listeners, Writer},
    own::has_ipv6_route,
    proxy::Transparent,
    supervisor::Supervisor,
};

/// Tasks of one sandbox; dropped, they end.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Vec<AbortHandle>>);

impl Tasks {
    pub(super) fn add(&self, task: AbortHandle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

/// What answers a sandbox.
pub(super) struct Served {
    pub(super) proxy: Arc<Transparent>,
    pub(super) dns: Arc<Service>,
    pub(super) upstream: Arc<NameServers>,
    pub(super) tasks: Tasks,
    /// How many listeners the proxy has.
    pub(super) listeners: usize,
}

/// Starts DNS and the transparent proxy.
pub(super) fn serve(
    supervisor: &Supervisor,
    state: &Arc<SandboxState>,
    listeners: Listeners,
    settings: &DnsSettings,
    writer: Writer,
) -> Result<Served, StartError> {
    let flows = |tcp_kind| -> Result<Arc<dyn Flows>, StartError> {
        let socket = listeners.v4.dns_tcp.as_fd();
        let flows = supervisor.maps.flows(state.id, tcp_kind, socket);
        Ok(Arc::new(flows.map_err(failed("read the network namespace's cookie"))?))
    };
    let (to_proxy, to_dns) = (flows(kind::TCP)?, flows(kind::DNS_TCP)?);
    let upstream = supervisor.name_servers(settings, writer)?;
    let service = Service::new(
        state.clone(),
        dns::Settings { has_ipv6: has_ipv6_route(), ..dns::Settings::new(settings) },
        upstream.clone(),
        to_dns,
    );
    service.pin_localhost().map_err(failed("pin localhost"))?;
    // As they are now: later the command could write them.
    state.set_hosts(HostsFile::read(HOSTS.as_ref()).map_err(failed("read /etc/hosts"))?);
    state.policy().set_search_domains(dns::search_domains(dns::RESOLV_CONF.as_ref()));
    let proxy = Transparent::new(state.clone(), to_proxy, supervisor.workers.outbound.clone());
    proxy.renew_by(Renewals::new(service.clone(), supervisor.tasks.clone()));
    let tasks = Tasks::default();
    let count = listeners.count();
    for family in [Some(listeners.v4), listeners.v6].into_iter().flatten() {
        let serving = supervisor.workers.serve(&proxy, family.tcp);
        for task in serving.map_err(failed("watch a listener"))? {
            tasks.add(task);
        }
        let runtime = &supervisor.tasks;
        tasks.add(runtime.spawn(service.clone().serve_udp(family.dns_udp)).abort_handle());
        tasks.add(runtime.spawn(service.clone().serve_tcp(family.dns_tcp)).abort_handle());
    }
    tasks.add(supervisor.tasks.spawn(proxy.clone().keep_pins()).abort_handle());
    Ok(Served { proxy, dns: service, upstream, tasks, listeners: count })
}
