//! Who waits for what: the connects that are held, by their sockets' cookies.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use egress_common::abi::capacity;
use foldhash::fast::RandomState;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::super::{accept::Transparent, drain::Owed, refuse::reset};
use crate::hold::Injector;

/// Most connects of a sandbox that are held at once. Beyond it a SYN is dropped; the program sends it again.
const MOST: usize = capacity::FLOWS as usize;

/// What one sandbox's proxy has of connects that are held.
#[derive(Default)]
pub(in super::super) struct Held {
    /// None: nothing is held here, and every connect is let in at once.
    pub(super) injector: OnceLock<Arc<Injector>>,
    /// By family (IPv4 or not) and port.
    listeners: Mutex<HashMap<(bool, u16), Weak<TcpListener>>>,
    /// The kernel draws cookies in their order: nobody can choose them to collide.
    waiting: Mutex<HashMap<u64, Waiting, RandomState>>,
}

struct Waiting {
    /// Of the SYN, and where it wants to go: a socket can connect more than once.
    sequence: u32,
    to: SocketAddr,
    /// Dropped when the program has given up.
    accepted: oneshot::Sender<Accepted>,
}

/// A connect's own place among those that are held; dropping it leaves.
pub(super) struct Place {
    proxy: Arc<Transparent>,
    cookie: u64,
    sequence: u32,
    accepted: oneshot::Receiver<Accepted>,
}

/// A connection that was accepted, and still owes what its program wrote ([`super::super::drain::Drain::owe`]).
/// Dropped, it is reset.
pub(in super::super) struct Accepted {
    proxy: Arc<Transparent>,
    client: Option<TcpStream>,
}

impl Accepted {
    /// The connection, and what is owed of it.
    pub(super) fn take(mut self, proxy: &Transparent) -> Option<(TcpStream, Owed<'_>)> {
        self.client.take().map(|client| (client, proxy.drain.owed()))
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            reset(client);
            drop(self.proxy.drain.owed());
        }
    }
}

impl Held {
    /// Hands a connection that was accepted to whoever waits for it; gives it back where nobody does.
    pub(in super::super) fn accepted(
        proxy: &Arc<Transparent>,
        cookie: u64,
        to: SocketAddr,
        client: TcpStream,
    ) -> Option<TcpStream> {
        let waiting = proxy.held.waiting().remove(&cookie);
        // An earlier connect of the socket was for somebody else.
        let Some(waiting) = waiting.filter(|waiting| waiting.to == to) else { return Some(client) };
        // Here, so that it is before the listener's queue is empty.
        proxy.drain.owe();
        let accepted = Accepted { proxy: Arc::clone(proxy), client: Some(client) };
        let Err(mut unwanted) = waiting.accepted.send(accepted) else { return None };
        let client = unwanted.client.take();
        drop(proxy.drain.owed());
        client
    }

    /// The program has given up.
    pub(super) fn gone(&self, cookie: u64) {
        drop(self.waiting().remove(&cookie));
    }

    /// A listener is served: from here on connects to it may be let in.
    pub(in super::super) fn serves(&self, listener: &Arc<TcpListener>) {
        let Ok(at) = listener.local_addr() else { return };
        self.listeners().insert((at.is_ipv4(), at.port()), Arc::downgrade(listener));
    }

    pub(super) fn listener(&self, is_v4: bool, port: u16) -> Option<Arc<TcpListener>> {
        self.listeners().get(&(is_v4, port)).and_then(Weak::upgrade)
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<(bool, u16), Weak<TcpListener>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting, RandomState>> {
        // Nothing that is done under the lock can leave it half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A place for a connect; none where its SYN has one already, or all are taken.
    pub(super) fn enter(
        proxy: &Arc<Transparent>,
        cookie: u64,
        sequence: u32,
        to: SocketAddr,
    ) -> Option<Self> {
        let (sender, accepted) = oneshot::channel();
        let mut waiting = proxy.held.waiting();
        match waiting.get(&cookie) {
            Some(known) if known.sequence == sequence => return None,
            None if waiting.len() >= MOST => return None,
            // In the place of an earlier connect of the socket, whose end was not heard of: it ends by this.
            Some(_) | None => waiting.insert(cookie, Waiting { sequence, to, accepted: sender }),
        };
        drop(waiting);
        Some(Self { proxy: Arc::clone(proxy), cookie, sequence, accepted })
    }

    pub(super) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Where it has been accepted already.
    pub(super) fn accepted_already(&mut self) -> Option<Accepted> {
        self.accepted.try_recv().ok()
    }

    /// Waits until it is accepted; none when its program has given up. Not to be asked again behind that.
    pub(super) async fn accepted(&mut self) -> Option<Accepted> {
        (&mut self.accepted).await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.proxy.held.waiting();
        if waiting.get(&self.cookie).is_some_and(|waiting| waiting.sequence == self.sequence) {
            waiting.remove(&self.cookie);
        }
    }
}
