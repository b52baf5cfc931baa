//! Direct connections: past the proxy, but not past the policy. The packet hook judges their hellos
//! (`egress-ebpf/src/direct.rs`) and tells of what it does not let pass; here such
//! connections are ended, so that the program has an error at once, and those are waited for whose
//! hello is not whole yet.

mod ender;
mod held;
pub(crate) mod refusal;
mod waiting;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use egress_common::{
    abi::UNVERIFIED_WAIT_MS,
    event::{HelloEvent, LINE, Unverified},
    hello::{self, Finding},
};

use tokio::time::{Instant, sleep};

use self::{
    ender::Ender,
    held::{Held, Judge},
    waiting::Waiting,
};
use crate::{
    kernel::{self, HeldPiece, Maps, SandboxRecord},
    sandbox::SandboxState,
};

/// How long a hello may take from its first byte to its last. Real programs write it at once.
pub const WHOLE_WITHIN: Duration = Duration::from_secs(3);

// Sooner than the kernel gives up what is held back, so that the refusal is told as one.
const _: () = assert!(WHOLE_WITHIN.as_millis() < UNVERIFIED_WAIT_MS as u128);

/// How long whoever takes a right back waits for the connections to end. They end at once, but for those whose
/// program is within a call on the socket.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// Between two looks at what is still to be sent.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Those of one sandbox.
pub struct Direct {
    state: Arc<SandboxState>,
    maps: Arc<Maps>,
    record: Arc<SandboxRecord>,
    ender: Arc<Ender>,
    waiting: Waiting,
    held: Held,
}

impl Direct {
    /// Those of this sandbox. The kernel has to be able to end sockets of this network namespace
    /// ([`kernel::Destroyer::open`]): else no connection may be direct.
    /// Its processes are in `cgroup` and below.
    pub fn new(
        state: Arc<SandboxState>,
        maps: Arc<Maps>,
        record: Arc<SandboxRecord>,
        cgroup: PathBuf,
    ) -> Arc<Self> {
        let ender = Ender::new(maps.clone());
        let held = Held::new(Judge::new(state.clone(), maps.clone(), ender.clone(), cgroup));
        Arc::new(Self { state, maps, record, ender, waiting: Waiting::default(), held })
    }

    /// Deals with what the packet hook holds. Never blocks.
    pub fn on_payload(&self, piece: HeldPiece) {
        self.held.add(piece);
    }

    /// Deals with what the packet hook told.
    pub fn on_event(&self, hello: Box<HelloEvent>) {
        match Finding::from_number(hello.finding) {
            Some(Finding::Incomplete | Finding::Undecided) => {
                if let Some(oldest) = self.waiting.add(hello) {
                    self.end_incomplete(&oldest);
                }
            }
            Some(Finding::Diverted) => {
                // The next connections, to wherever, would fare no better.
                if let Err(error) = self.record.set_diverted() {
                    tracing::debug!(%error, "connections are still direct");
                }
                self.end(&hello, Finding::Diverted);
            }
            // Of another version's kernel side: ended all the same.
            finding => self.end(&hello, finding.unwrap_or(Finding::Malformed)),
        }
    }

    /// Ends connections whose hello takes too long. For ever.
    pub async fn keep(self: Arc<Self>) {
        loop {
            let late = self.waiting.late().await;
            self.end_incomplete(&late);
        }
    }

    /// Ends those that are for such an address and of which no payload has left.
    pub fn end_where(&self, is_closed: impl Fn(IpAddr) -> bool) {
        for (cookie, connection) in self.maps.all_unverified(self.state.id) {
            if is_closed(connection.destination.into()) {
                self.ender.end(cookie);
            }
        }
    }

    /// Ends all of this sandbox that are for such a destination, whatever has passed by them.
    pub fn end_everything_where(&self, is_closed: impl Fn(SocketAddr) -> bool) {
        for (cookie, connection) in self.maps.all_unverified(self.state.id) {
            let to = SocketAddr::new(connection.destination.into(), connection.destination_port);
            if is_closed(to) {
                self.ender.end(cookie);
            }
        }
        match kernel::connections_of(self.state.id) {
            Ok(connections) => {
                // What goes to loopback is the proxy's, or the sandbox's own: never direct.
                let direct = connections.into_iter().filter(|one| {
                    !one.destination.ip().is_loopback() && is_closed(one.destination)
                });
                direct.for_each(|connection| self.ender.end_connection(connection));
            }
            Err(error) => tracing::warn!(%error, "direct connections could not be looked through"),
        }
    }

    /// The command has ended: waits until what it wrote of another protocol than TLS has been looked at to its
    /// last byte, so that the kernel may send it without the filter; at most so long.
    pub async fn delivered(&self, within: Duration) {
        let until = Instant::now() + within;
        let is_followed = |(_, one): &(u64, Unverified)| one.hellos & LINE != 0;
        while self.maps.all_unverified(self.state.id).iter().any(is_followed) {
            if Instant::now() >= until {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until what was to be ended has ended, at most `ENDED_WITHIN`; what takes longer ends later.
    pub fn settle(&self) {
        if !self.ender.settle(ENDED_WITHIN) {
            tracing::warn!("a program keeps connections from ending that have lost their right");
        }
    }

    fn end_incomplete(&self, hello: &HelloEvent) {
        // Meanwhile it may have become whole, or its connection may have ended.
        let unverified = self.maps.unverified(hello.event.cookie);
        let parts = |connection: &Unverified| connection.hellos & !LINE;
        if unverified.is_some_and(|connection| parts(&connection) == u32::from(hello.hellos)) {
            self.end(hello, Finding::from_number(hello.finding).unwrap_or(Finding::Incomplete));
        }
    }

    fn end(&self, hello: &HelloEvent, finding: Finding) {
        let to = SocketAddr::new(hello.event.address.into(), hello.event.port);
        let length = usize::try_from(hello.name_length).unwrap_or_default();
        let name = hello::bytes(&hello.name);
        let name = name.get(..length).filter(|name| !name.is_empty());
        // Judged first: the program may connect again as soon as it has its error.
        let name = name.map(|n| String::from_utf8_lossy(n).into_owned());
        refusal::note(&self.state, to, finding, name);
        self.ender.end(hello.event.cookie);
    }
}
