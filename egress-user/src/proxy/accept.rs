//! The transparent proxy: connections that the kernel side has redirected.

use std::{
    convert::Infallible,
    net::SocketAddr,
    os::fd::AsFd,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use egress_common::Reason;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    admission::{Admission, Permit},
    budget::{Budget, EARLY_BYTES, UNJUDGED_BYTES},
    connection::Connection,
    drain::{Drain, Owed},
    held::Held,
    outbound::Outbound,
    refuse::reset,
    write_all,
};
use crate::{
    clock::boottime_ns,
    dns::Renewals,
    flow::{FORGOTTEN_AFTER, Flow, Flows, OriginalDestination, PeerAddress},
    judge::Evidence,
    launch::{PROBE_GREETING, PROBE_TARGET},
    pins::{Pins, RENEW_EVERY, direct_ports},
    points::reach,
    policy::{Name, Policy, Transport},
    record::{Event, GivenUp, Limit, Renewal, Subject},
    sandbox::{Ending, Live, SandboxState},
    sys::{self, descriptors::is_readable},
};

/// Connections of one sandbox at once; each holds two descriptors and about 3 KiB. Beyond it new
/// ones wait in the listeners' queues until others end, as at a server that is full.
pub const MAX_CONNECTIONS: usize = 16_384;

/// Connections at once before it is known how many there may be: the probe's.
const AT_START: usize = 8;

/// Wait after a failed accept: what makes it fail (no descriptors) does not pass at once.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// The transparent proxy of one sandbox, behind all of its listeners.
pub struct Transparent {
    pub(super) sandbox: Arc<SandboxState>,
    pub(super) flows: Arc<dyn Flows>,
    connections: Admission,
    /// There was no room for a connection, which is told once.
    was_full: AtomicBool,
    /// Listeners that wait for room.
    waiting: AtomicUsize,
    pub(super) drain: Drain,
    pub(super) held: Held,
    pub(super) outbound: Outbound,
    pub(super) early: Arc<Budget>,
    pub(super) unjudged: Arc<Budget>,
    /// The start-up probe is answered; later its address is one like any other.
    proving: AtomicBool,
    renewals: OnceLock<Renewals>,
}

/// A connection for which something vouches.
pub(super) struct Listed<'a> {
    pub(super) policy: Arc<Policy>,
    pub(super) evidence: Arc<Evidence>,
    pub(super) live: Live<'a>,
}

impl Transparent {
    /// Nothing is served until a listener is handed to [`Transparent::serve`]. Of `outbound` every sandbox of a
    /// process takes.
    pub fn new(sandbox: Arc<SandboxState>, flows: Arc<dyn Flows>, outbound: Outbound) -> Arc<Self> {
        let connections = Admission::new(AT_START);
        let proving = AtomicBool::new(true);
        Arc::new(Self {
            sandbox,
            flows,
            connections,
            was_full: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            drain: Drain::default(),
            held: Held::default(),
            outbound,
            early: Budget::new(EARLY_BYTES),
            unjudged: Budget::new(UNJUDGED_BYTES),
            proving,
            renewals: OnceLock::new(),
        })
    }

    /// Serves a listener, a task a connection, for ever. Best on a runtime of one thread, one
    /// for each listener: a connection that stays on its thread costs a third less to set up.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Infallible {
        let listener = Arc::new(listener);
        self.held.serves(&listener);
        self.drain.owe();
        let queue = self.drain.owed();
        let mut begun = pin!(self.drain.begun());
        let mut is_running = true;
        loop {
            if !is_running && !is_readable(listener.as_fd()) {
                // Nobody is left who could connect.
                queue.settle();
            }
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = &mut begun, if is_running => {
                    is_running = false;
                    continue;
                }
            };
            let (client, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "accept on the transparent listener");
                    sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let at = client.local_addr().ok();
            let Some((client, to)) = self.unheld(client, peer, at) else { continue };
            let permit = self.permit().await;
            self.begin(client, to, permit);
        }
    }

    /// Accepts a connection where one waits: that of a connect that has just been let in, as a rule, whose two ends are
    /// `expected`. Within the runtime that serves the listener.
    pub(super) fn accept_one(self: &Arc<Self>, listener: &TcpListener, expected: [SocketAddr; 2]) {
        // Who waits for room is the first in the queue.
        if self.waits_for_room() {
            return;
        }
        let accepted = sys::sockets::accept(listener.as_fd())
            .and_then(|(client, peer)| Ok((TcpStream::from_std(client)?, peer)));
        // Its error is the next accept's, too.
        let Ok((client, peer)) = accepted else { return };
        let [source, destination] = expected;
        let at = if peer == source { Some(destination) } else { client.local_addr().ok() };
        let Some((client, to)) = self.unheld(client, peer, at) else { return };
        if let Some(permit) = self.try_permit() {
            return self.begin(client, to, permit);
        }
        let proxy = Arc::clone(self);
        self.drain.owe();
        tokio::spawn(async move {
            let owed = proxy.drain.owed();
            let permit = proxy.permit().await;
            proxy.begin(client, to, permit);
            drop(owed);
        });
    }

    /// A connection that was accepted, and where it wants to go; none where somebody waits for it, who has it
    /// then, or where it is nobody's.
    fn unheld(
        self: &Arc<Self>,
        client: TcpStream,
        peer: SocketAddr,
        at: Option<SocketAddr>,
    ) -> Option<(TcpStream, SocketAddr)> {
        let flow = at.and_then(|at| self.flows.take_tcp(PeerAddress(peer), at));
        let Some(Flow { original: OriginalDestination(to), cookie, .. }) = flow else {
            tracing::debug!(%peer, "connection of nobody's socket closed");
            reset(&client);
            return None;
        };
        Held::accepted(self, cookie, to, client).map(|client| (client, to))
    }

    /// Has a connection followed, as a task of its own.
    fn begin(self: &Arc<Self>, client: TcpStream, to: SocketAddr, permit: Permit) {
        let proxy = Arc::clone(self);
        // Here, so that it is before the queue is empty.
        self.drain.owe();
        tokio::spawn(async move {
            let _permit = permit;
            proxy.connection(client, to, proxy.drain.owed()).await;
        });
    }

    async fn connection(&self, client: TcpStream, to: SocketAddr, owed: Owed<'_>) {
        if to == PROBE_TARGET && self.proving.load(Ordering::Relaxed) {
            // `run` makes sure that this works before it starts the command.
            let _ = write_all(&client, PROBE_GREETING).await;
            return;
        }
        self.sandbox.journal.note_attempt(to.port());
        let listed = match self.listed(to) {
            Err(refused) => {
                let server = OnceLock::new();
                tokio::select! {
                    biased;
                    listed = self.listed_anew(to, refused) => listed,
                    () = self.drain.give_up(&owed, &client, &server, to) => return,
                }
            }
            listed => listed,
        };
        match listed {
            Ok(listed) => {
                let server = OnceLock::new();
                let connection = Connection::new(self, client, server, listed, owed);
                self.follow(connection, to).await;
            }
            Err(refused) => {
                self.sandbox.journal.refused(*self.sandbox.as_asked(to.ip(), refused));
                reset(&client);
            }
        }
    }

    /// Runs a connection to its end, whoever brings it.
    pub(super) async fn follow(&self, connection: Connection<'_>, to: SocketAddr) {
        reach("worker:connection");
        let Connection { client, server, live, owed, .. } = &connection;
        tokio::select! {
            biased;
            ending = live.ended() => {
                if ending == Ending::Reset {
                    reset(client);
                    server.get().inspect(|server| reset(server));
                }
            }
            () = connection.run() => {}
            () = self.drain.give_up(owed, client, server, to) => {}
        }
        // Both ends know of the end by now: who waits for a connection of his own goes before the two closes.
        tokio::task::yield_now().await;
    }

    /// What vouches for a connection by the policy of now, and its place in the list of those that it judges.
    pub(super) fn listed(&self, to: SocketAddr) -> Result<Listed<'_>, Box<Event>> {
        loop {
            let version = self.sandbox.policy.now();
            let gathered = Evidence::gather(&version.policy, self.pins(), to, boottime_ns());
            let evidence = Arc::new(gathered?);
            let policy = Arc::clone(&version.policy);
            if let Some(live) = self.sandbox.connections.add(Arc::clone(&evidence), version) {
                return Ok(Listed { policy, evidence, live });
            }
        }
    }

    /// The same of a connection that nothing vouches for: the names that the address was pinned for once are
    /// looked up again, and one of them may have it still.
    async fn listed_anew(
        &self,
        to: SocketAddr,
        refused: Box<Event>,
    ) -> Result<Listed<'_>, Box<Event>> {
        let (Some(renewals), true) =
            (self.renewals.get(), refused.reason() == Some(Reason::NotPinned))
        else {
            return Err(refused);
        };
        let policy = self.sandbox.policy();
        let opens = |name: &&Name| {
            policy.name(name).is_ok_and(|grant| grant.opens(to.port(), Transport::Tcp))
        };
        let names = self.pins().expired_names(to.ip(), boottime_ns());
        let names: Vec<Name> = names.iter().filter(opens).cloned().collect();
        if names.is_empty() {
            return Err(refused);
        }
        // Not in the memory of every connection.
        let found = Box::pin(renewals.renew(&names)).await;
        self.listed(to).map_err(|mut refused| {
            refused.grounds.renewal = Some(if found { Renewal::Moved } else { Renewal::Failed });
            refused
        })
    }

    /// Connections to addresses whose pins have ended wait for these lookups. Once; without, they are refused.
    pub fn renew_by(&self, renewals: Renewals) {
        let _ = self.renewals.set(renewals);
    }

    /// Waits until there is room for one more connection. Only this one waits here: the others do in
    /// the listener's queue, where they take no descriptor.
    async fn permit(&self) -> Permit {
        if let Some(permit) = self.try_permit() {
            return permit;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let permit = self.connections.take().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        permit
    }

    /// The place of one more connection, if there is room. Where there is none, that is told once.
    pub(super) fn try_permit(&self) -> Option<Permit> {
        let permit = self.connections.try_take();
        if permit.is_none() && !self.was_full.swap(true, Ordering::Relaxed) {
            let limit = Subject::Limit(Limit::Connections);
            self.sandbox.journal.refused(Event::refused(limit, Reason::RateLimited));
        }
        permit
    }

    /// Whether a connection that was accepted waits for room, and all behind it in its listener's queue.
    pub(super) fn waits_for_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Says how many connections there may be at once, at most [`MAX_CONNECTIONS`]. May change: where more
    /// are there already, they live on, and no new one comes until fewer are.
    pub fn admit(&self, connections: usize) {
        self.connections.set_limit(connections.min(MAX_CONNECTIONS));
    }

    /// The path is proved: no connection is the probe's from here on.
    pub fn proved(&self) {
        self.proving.store(false, Ordering::Relaxed);
    }

    /// To be called when the command has ended: from here on a connection that makes no progress for
    /// `patience` is given up.
    pub fn drain(&self, patience: Duration) {
        self.drain.begin(patience);
    }

    /// Waits until everything that the command wrote is judged, and refused, handed to the kernel with
    /// the end of the stream behind it, or given up. Behind [`Transparent::drain`].
    pub async fn drained(&self) {
        self.drain.settled().await;
    }

    /// Gives up what is still to be delivered, by resets.
    pub fn give_up(&self) {
        self.drain.end();
    }

    /// What was given up.
    pub fn given_up(&self) -> Vec<GivenUp> {
        self.drain.given_up()
    }

    /// Notes that direct connections were made, of which user space sees nothing while all is well.
    pub fn tried_direct(&self) {
        for pin in self.pins().list(boottime_ns()) {
            for (first, last) in direct_ports(&pin.grant).iter() {
                self.sandbox.journal.note_attempts(first..=last);
            }
        }
    }

    /// Keeps pins alive while connections under them live, and the records of connections from
    /// staying behind them. For ever.
    pub async fn keep_pins(self: Arc<Self>) {
        let mut ticks = interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_open_since = Instant::now();
        loop {
            ticks.tick().await;
            self.pins().renew(boottime_ns());
            if self.connections.is_full() {
                is_open_since = Instant::now();
            } else if is_open_since.elapsed() > 2 * FORGOTTEN_AFTER {
                is_open_since = Instant::now();
                self.flows.forget();
            }
        }
    }

    pub(super) fn pins(&self) -> &Pins {
        self.sandbox.pins()
    }
}
