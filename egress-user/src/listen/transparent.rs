//! The transparent door: connections that the kernel side has redirected.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use egress_common::Reason;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    connection::Connection,
    evidence::{Evidence, plain},
    refuse::reset,
    write_all,
};
use crate::{
    audit::{Journal, Refused},
    dns::{PinSink, PinTable, clock::boottime_ns},
    flow::{Flows, PeerAddress},
    own::Watch,
    policy::Policy,
    sandbox::{PROBE_GREETING, PROBE_TARGET},
};

/// Connections of one sandbox at once; each holds two descriptors and about 3 KiB. Beyond it new
/// ones are reset (`rate_limited`).
const MAX_CONNECTIONS: usize = 16_384;

/// Wait after a failed accept: what makes it fail (no descriptors) does not pass at once.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// How often [`PinTable::renew`] is to be called.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The transparent proxy of one sandbox, behind all of its listeners.
pub struct Transparent {
    pub(super) policy: Arc<Policy>,
    pins: Arc<Mutex<PinTable>>,
    sink: Arc<dyn PinSink>,
    flows: Arc<dyn Flows>,
    pub(super) journal: Arc<Journal>,
    connections: Arc<Semaphore>,
    /// Of the machine's own addresses; none until it is set, and in tests.
    own: OnceLock<Arc<Watch>>,
    /// The start-up probe is answered; later its address is one like any other.
    proving: AtomicBool,
}

impl Transparent {
    /// Nothing is served until a listener is handed to [`Transparent::serve`].
    pub fn new(
        policy: Arc<Policy>,
        pins: Arc<Mutex<PinTable>>,
        sink: Arc<dyn PinSink>,
        flows: Arc<dyn Flows>,
        journal: Arc<Journal>,
    ) -> Arc<Self> {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let proving = AtomicBool::new(true);
        let own = OnceLock::new();
        Arc::new(Self { policy, pins, sink, flows, journal, connections, own, proving })
    }

    /// Serves a listener, a task a connection, for ever. Best on a runtime of one thread, one
    /// for each listener: a connection that stays on its thread costs a third less to set up.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Infallible {
        loop {
            let (client, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "accept on the transparent listener");
                    sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                self.journal.refused(plain("connections at once".to_owned(), Reason::RateLimited));
                reset(&client);
                continue;
            };
            let door = Arc::clone(&self);
            tokio::spawn(async move {
                let _permit = permit;
                door.connection(client, peer).await;
            });
        }
    }

    async fn connection(&self, client: TcpStream, peer: SocketAddr) {
        let Some(flow) = self.flows.take_tcp(PeerAddress(peer)) else {
            tracing::debug!(%peer, "connection of nobody's socket closed");
            return reset(&client);
        };
        let to = flow.original.0;
        if to == PROBE_TARGET && self.proving.load(Ordering::Relaxed) {
            // `run` makes sure that this works before it starts the command.
            let _ = write_all(&client, PROBE_GREETING).await;
            return;
        }
        self.journal.tried(to.port());
        let gathered = Evidence::gather(&self.policy, &self.pins(), to, boottime_ns());
        match gathered {
            Ok(evidence) => {
                let connection = Connection { door: self, client, evidence };
                connection.run().await;
            }
            Err(refused) => {
                self.journal.refused(refused);
                reset(&client);
            }
        }
    }

    /// Whoever dials asks this watch whether an address has become the machine's own.
    pub fn watches_own(&self, watch: Arc<Watch>) {
        let _ = self.own.set(watch);
    }

    /// Why nothing may pass by a connection that was just made there: since it was judged, the address may
    /// have become the machine's own. The kernel tells of an address before it can be reached.
    pub(super) fn became_own(&self, to: SocketAddr) -> Option<Refused> {
        if let Some(own) = self.own.get() {
            own.settle();
        }
        if self.policy.closes_own(to.ip()) { self.explain(to) } else { None }
    }

    /// The path is proved: no connection is the probe's from here on.
    pub fn proved(&self) {
        self.proving.store(false, Ordering::Relaxed);
    }

    /// Why a connection there is refused, in the words of the policy; none when it would not be.
    pub fn explain(&self, to: SocketAddr) -> Option<Refused> {
        Evidence::gather(&self.policy, &self.pins(), to, boottime_ns()).err()
    }

    /// Whether a name is pinned there.
    pub fn is_pinned(&self, address: IpAddr) -> bool {
        !self.pins().names_of(address, boottime_ns()).is_empty()
    }

    /// Notes that direct connections were made, of which user space sees nothing while all is well.
    pub fn tried_direct(&self) {
        for pin in self.pins().list(boottime_ns()) {
            pin.grant.direct_ports().iter().for_each(|port| self.journal.tried(port));
        }
    }

    /// Keeps pins alive while connections under them live. For ever.
    pub async fn keep_pins(self: Arc<Self>) {
        let mut ticks = interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.pins().renew(self.sink(), boottime_ns());
        }
    }

    pub(super) fn sink(&self) -> &dyn PinSink {
        self.sink.as_ref()
    }

    pub(super) fn pins(&self) -> MutexGuard<'_, PinTable> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
