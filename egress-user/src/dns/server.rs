//! The UDP side of the DNS listener.

use std::{io, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{net::UdpSocket, task::JoinSet};

use super::{answer::Carrier, limits::Admission, service::Service};
use crate::{flow::PeerAddress, record::Limit};

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
    pub async fn serve_udp(self: Arc<Self>, socket: std::net::UdpSocket) -> io::Result<()> {
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let mut tasks = JoinSet::new();
        let mut datagram = vec![0; DATAGRAM];
        let mut taken = 0;
        loop {
            while tasks.try_join_next().is_some() {}
            taken += 1;
            if taken > AT_ONCE {
                taken = 1;
                tokio::task::yield_now().await;
            }
            let (length, peer) = match socket.recv_from(&mut datagram).await {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(%error, "receive on the DNS listener");
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            if self.flows.udp(PeerAddress(peer)).is_none() {
                tracing::debug!(%peer, "DNS query of nobody's socket dropped");
                continue;
            }
            let admission = self.admit();
            if admission == Admission::Ignore {
                self.counters().dropped();
                tokio::time::sleep(FLOODED).await;
                continue;
            }
            let message = datagram.get(..length).unwrap_or_default();
            let Ok(permit) = Arc::clone(&self.queries).try_acquire_owned() else {
                self.note_limit(Limit::QueriesAtOnce);
                if let Some(response) = self.overloaded(message, Carrier::Udp) {
                    // The asker asks again when this one is lost, as with any datagram.
                    drop(socket.try_send_to(&response, peer));
                }
                continue;
            };
            let (service, socket, message) =
                (Arc::clone(&self), Arc::clone(&socket), message.to_vec());
            let mut answering = Box::pin(async move {
                let _permit = permit;
                let answered = service.answer(&message, Carrier::Udp, admission).await;
                let Some(response) = answered else { return };
                if let Err(error) = socket.send_to(&response, peer).await {
                    tracing::debug!(%error, %peer, "send a DNS answer");
                }
            });
            // Tasks stand in line before other sandboxes' listeners: one only for what has to wait.
            if (&mut answering).now_or_never().is_none() {
                tasks.spawn(answering);
            }
        }
    }
}

#[cfg(test)]
mod tests;
