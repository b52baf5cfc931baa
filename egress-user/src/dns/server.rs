//! The UDP side of the DNS listener.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{io::unix::AsyncFd, task::JoinSet, time::sleep};

use super::{answer::Carrier, limits::Admission, service::Service};
use crate::{flow::PeerAddress, record::Limit, sys};

/// Most queries of a sandbox that are being answered at once, over all its listeners. Each costs
/// a task and its message, at most 64 KiB and commonly under 4. Beyond it queries get SERVFAIL.
pub const MAX_QUERIES: usize = 512;

/// Bytes of the largest datagram.
const DATAGRAM: usize = u16::MAX as usize;

/// Wait after a failed receive or accept: what makes them fail (no memory, no descriptors) does
/// not pass at once, and a loop must not spin on it.
pub(super) const AFTER_ERROR: Duration = Duration::from_millis(50);

/// Wait while a sandbox asks for more than will even be refused.
pub(super) const FLOODED: Duration = Duration::from_millis(2);

/// Most queries of one listener that are taken up before others have their turn: a sandbox that floods must
/// not keep another's lookups waiting.
const AT_ONCE: u32 = 16;

impl Service {
    /// Answers the queries that arrive on this socket until dropped: at once where nobody has to be asked, else
    /// with a task each; dropping drops the tasks too. The socket must be nonblocking.
    ///
    /// Only sockets that the kernel side knows get an answer: [`crate::flow::Flows::udp`].
    ///
    /// # Errors
    /// When the socket cannot be registered with the runtime.
    pub async fn serve_udp(self: Arc<Self>, socket: UdpSocket) -> io::Result<()> {
        let mut arrivals = watched(&socket)?;
        let mut listener = Listener {
            socket: Arc::new(socket),
            tasks: JoinSet::new(),
            datagram: vec![0; DATAGRAM],
        };
        loop {
            listener.serve_until_flooded(&self, &arrivals).await;
            // What arrives meanwhile wakes nobody: told of each datagram of a flood, the threads of all sandboxes
            // would have used up their share of the processors when another one's query comes.
            drop(arrivals);
            sleep(FLOODED).await;
            arrivals = loop {
                match watched(&listener.socket) {
                    Ok(arrivals) => break arrivals,
                    Err(error) => tracing::debug!(%error, "watch the DNS listener again"),
                }
                sleep(AFTER_ERROR).await;
            };
        }
    }
}

fn watched(socket: &UdpSocket) -> io::Result<AsyncFd<OwnedFd>> {
    sys::watched::watch(socket.as_fd().try_clone_to_owned()?)
}

/// A socket that is served.
struct Listener {
    socket: Arc<UdpSocket>,
    /// Queries for which somebody else has been asked.
    tasks: JoinSet<()>,
    datagram: Vec<u8>,
}

impl Listener {
    async fn serve_until_flooded(&mut self, service: &Arc<Service>, arrivals: &AsyncFd<OwnedFd>) {
        let mut taken = 0;
        loop {
            while self.tasks.try_join_next().is_some() {}
            taken += 1;
            if taken > AT_ONCE {
                taken = 1;
                tokio::task::yield_now().await;
            }
            let (length, peer) = match self.receive(arrivals).await {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(%error, "receive on the DNS listener");
                    sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            if service.flows.udp(PeerAddress(peer)).is_none() {
                tracing::debug!(%peer, "DNS query of nobody's socket dropped");
                continue;
            }
            let admission = service.admit();
            if admission == Admission::Ignore {
                service.counters().dropped();
                return;
            }
            let message = self.datagram.get(..length).unwrap_or_default();
            let Ok(permit) = Arc::clone(&service.queries).try_acquire_owned() else {
                service.note_limit(Limit::QueriesAtOnce);
                if let Some(response) = service.overloaded(message, Carrier::Udp) {
                    respond(&self.socket, &response, peer);
                }
                continue;
            };
            let (service, socket, message) =
                (Arc::clone(service), Arc::clone(&self.socket), message.to_vec());
            let mut answering = Box::pin(async move {
                let _permit = permit;
                if let Some(response) = service.answer(&message, Carrier::Udp, admission).await {
                    respond(&socket, &response, peer);
                }
            });
            // Tasks stand in line before other sandboxes' listeners: one only for what has to wait.
            if (&mut answering).now_or_never().is_none() {
                self.tasks.spawn(answering);
            }
        }
    }

    async fn receive(&mut self, arrivals: &AsyncFd<OwnedFd>) -> io::Result<(usize, SocketAddr)> {
        loop {
            let mut ready = arrivals.readable().await?;
            let (socket, datagram) = (&self.socket, &mut self.datagram);
            if let Ok(received) = ready.try_io(|_| socket.recv_from(datagram)) {
                return received;
            }
        }
    }
}

/// An answer that cannot be sent at once is lost, as any datagram may be: the asker asks again.
fn respond(socket: &UdpSocket, response: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(response, peer) {
        tracing::debug!(%error, %peer, "send a DNS answer");
    }
}

#[cfg(test)]
mod tests;
