//! A sandbox's proxy with everything around it scripted.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use tokio::net::{TcpListener, TcpSocket};

use super::{
    super::{Outbound, Transparent},
    peer::{Peer, within},
};
use crate::{
    clock::boottime_ns,
    config::{self, Flags},
    flow::{Flow, Flows, OriginalDestination, PeerAddress},
    pins::{NEVER_NS, Opening, PinStore},
    policy::{Name, Policy},
    sandbox::{PolicyWatch, SandboxState},
};

/// The kernel's records: who wanted to go where.
#[derive(Default)]
pub(super) struct Records(Mutex<HashMap<SocketAddr, SocketAddr>>);

impl Flows for Records {
    fn take_tcp(&self, peer: PeerAddress, _at: SocketAddr) -> Option<Flow> {
        let original = OriginalDestination(self.0.lock().unwrap().remove(&peer.0)?);
        Some(Flow { original, cookie: 0, tgid: 1, uid: 1 })
    }

    fn udp(&self, _peer: PeerAddress) -> Option<Flow> {
        None
    }
}

/// The kernel's map of what is open, and until when.
#[derive(Default)]
pub(super) struct Store(Mutex<HashMap<IpAddr, u64>>);

impl Store {
    pub(super) fn expiry(&self, address: IpAddr) -> Option<u64> {
        self.0.lock().unwrap().get(&address).copied()
    }
}

impl PinStore for Store {
    fn pin(&self, address: IpAddr, opening: &Opening) -> io::Result<()> {
        self.0.lock().unwrap().insert(address, opening.expires_ns);
        Ok(())
    }

    fn unpin(&self, address: IpAddr) {
        self.0.lock().unwrap().remove(&address);
    }
}

pub(super) struct World {
    pub(super) proxy: Arc<Transparent>,
    pub(super) sandbox: Arc<SandboxState>,
    pub(super) store: Arc<Store>,
    records: Arc<Records>,
    listens_at: SocketAddr,
}

impl World {
    /// Under the policy of this file; the start-up probe is over, and there is room for many.
    pub(super) async fn new(text: &str) -> Self {
        let world = Self::starting(text).await;
        world.proxy.proved();
        world.proxy.admit(100);
        world
    }

    /// Before the start-up probe.
    pub(super) async fn starting(text: &str) -> Self {
        let policy = Arc::new(PolicyWatch::new(Arc::new(policy(text))));
        let store = Arc::new(Store::default());
        let sandbox = SandboxState::new(1, policy, store.clone());
        let records = Arc::new(Records::default());
        let proxy = Transparent::new(sandbox.clone(), records.clone(), Outbound::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        crate::relay::prepare(&listener);
        let listens_at = listener.local_addr().unwrap();
        tokio::spawn(Arc::clone(&proxy).serve(listener));
        Self { proxy, sandbox, store, records, listens_at }
    }

    /// Pins the address for the name, for ever.
    pub(super) fn pin(&self, name: &str, address: IpAddr) {
        self.pin_until(name, address, NEVER_NS);
    }

    pub(super) fn pin_until(&self, name: &str, address: IpAddr, expires_ns: u64) {
        let name = Name::parse(name).unwrap();
        let grant = self.sandbox.policy().name(&name).unwrap();
        let wanted = [(address, expires_ns)];
        self.sandbox.pins().pin(&name, &grant, &wanted, boottime_ns()).unwrap();
    }

    /// How many connections hold the pins of the address.
    pub(super) fn held(&self, address: IpAddr) -> u32 {
        let listed = self.sandbox.pins().list(boottime_ns());
        listed.iter().find(|pin| pin.address == address).map_or(0, |pin| pin.held)
    }

    /// A program's connection to an address, which the kernel side redirects here.
    pub(super) async fn client(&self, to: SocketAddr) -> Peer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        self.records.0.lock().unwrap().insert(socket.local_addr().unwrap(), to);
        Peer::new(within("the proxy", socket.connect(self.listens_at)).await.unwrap())
    }

    /// A connection of which the kernel side knows nothing.
    pub(super) async fn stranger(&self) -> Peer {
        let socket = TcpSocket::new_v4().unwrap();
        Peer::new(within("the proxy", socket.connect(self.listens_at)).await.unwrap())
    }

    /// The reasons in the journal, each as often as it is there, in alphabetical order.
    pub(super) fn reasons(&self) -> Vec<&'static str> {
        let entries = self.sandbox.journal.entries();
        let mut reasons: Vec<_> = entries
            .iter()
            .flat_map(|(event, count)| {
                (0..*count).map(|_| event.reason().map_or("allowed", |reason| reason.name()))
            })
            .collect();
        reasons.sort_unstable();
        reasons
    }
}

/// A policy from the text of its file.
pub(super) fn policy(text: &str) -> Policy {
    let loaded = config::parse(text, "egress.toml").unwrap();
    config::assemble_layers(vec![loaded], &Flags::default()).unwrap().policy
}

/// A server's address, of which nothing else in this process listens.
pub(super) struct Site {
    pub(super) at: SocketAddr,
    listener: TcpListener,
}

impl Site {
    pub(super) async fn listen(port: u16) -> Self {
        Self::at(fresh(port))
    }

    pub(super) fn at(at: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(at).unwrap();
        Self { at, listener: socket.listen(64).unwrap() }
    }

    pub(super) async fn accept(&self) -> Peer {
        Peer::new(within("a connection", self.listener.accept()).await.unwrap().0)
    }

    /// Nobody has come.
    pub(super) async fn is_alone(&self) {
        super::peer::turns().await;
        let came = tokio::time::timeout(std::time::Duration::ZERO, self.listener.accept()).await;
        assert!(came.is_err(), "{came:?}");
    }
}

/// A server whose queue is full: what is sent to it is dropped without an answer.
pub(super) struct Silent {
    pub(super) at: SocketAddr,
    listener: TcpListener,
    filling: Vec<std::net::TcpStream>,
}

impl Silent {
    pub(super) fn new(port: u16) -> Self {
        let at = fresh(port);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(at).unwrap();
        let listener = socket.listen(0).unwrap();
        // A queue of 0 takes one.
        let filling = vec![std::net::TcpStream::connect(at).unwrap()];
        Self { at, listener, filling }
    }

    /// From here on it answers: the connections behind that of this test's.
    pub(super) async fn wake(self) -> Site {
        let _ = within("our own connection", self.listener.accept()).await.unwrap();
        drop(self.filling);
        Site { at: self.at, listener: self.listener }
    }
}

/// An address of loopback that no other test, nor another run of them at the same time, uses.
pub(super) fn fresh(port: u16) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let run = 64 + u8::try_from(std::process::id() % 128).unwrap();
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    SocketAddr::new(Ipv4Addr::new(127, run, high, low).into(), port)
}
