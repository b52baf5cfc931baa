//! The TCP side of the DNS listener (RFC 7766).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::{
    answer::Carrier,
    limits::Admission,
    server::{AFTER_ERROR, FLOODED},
    service::Service,
};
use crate::{flow::PeerAddress, record::Limit};

/// Most TCP connections of a sandbox to its DNS listeners; more are closed at once. Each may hold
/// one message of 64 KiB that is still arriving, so 4 MiB in all.
pub const MAX_DNS_CONNECTIONS: usize = 64;

/// How long a connection may go without a whole query from it or a whole answer to it. A slow
/// trickle of bytes does not count.
pub const IDLE: Duration = Duration::from_secs(10);

/// Queries of one connection that are answered at once; further ones wait in the socket.
const PIPELINE: usize = 32;

/// Bytes of the length before each message.
const PREFIX: usize = 2;

/// Bytes of the largest message with its length.
const FRAME: usize = PREFIX + u16::MAX as usize;

impl Service {
    /// Answers the queries that arrive on connections to this listener, until dropped; dropping
    /// closes the connections too. The listener must be nonblocking.
    ///
    /// Only connections that the kernel side knows are served: [`crate::flow::Flows::take_tcp`].
    ///
    /// # Errors
    /// When the listener cannot be registered with the runtime.
    pub async fn serve_tcp(self: Arc<Self>, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "accept on the DNS listener");
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            let at = stream.local_addr();
            if at.ok().and_then(|at| self.flows.take_tcp(PeerAddress(peer), at)).is_none() {
                tracing::debug!(%peer, "DNS connection of nobody's socket closed");
                continue;
            }
            let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                self.note_limit(Limit::DnsConnections);
                continue;
            };
            let service = Arc::clone(&self);
            tasks.spawn(async move {
                let _permit = permit;
                if let Err(error) = service.converse(stream).await {
                    tracing::debug!(%error, %peer, "DNS connection");
                }
            });
        }
    }

    /// One connection: reads queries, answers each as soon as it can (RFC 7766 section 6.2.1.1),
    /// and closes when the asker does and has its answers, or is idle.
    async fn converse(self: Arc<Self>, mut stream: TcpStream) -> io::Result<()> {
        let peer: SocketAddr = stream.peer_addr()?;
        // Answers to pipelined queries must not wait for acknowledgements of each other.
        stream.set_nodelay(true)?;
        let mut arrived = Arrived::default();
        let mut answers = JoinSet::new();
        let mut is_open = true;
        let mut deadline = Instant::now() + IDLE;
        loop {
            while answers.len() < PIPELINE
                && let Some(message) = arrived.take_message()
            {
                deadline = Instant::now() + IDLE;
                answers.spawn(Arc::clone(&self).answer_one(message));
            }
            if !is_open && answers.is_empty() {
                return Ok(());
            }
            let may_read = is_open && answers.len() < PIPELINE;
            tokio::select! {
                answered = answers.join_next(), if !answers.is_empty() => {
                    // A panicked task has no answer; the asker asks again.
                    if let Some(Ok(Some(response))) = answered {
                        timeout(IDLE, stream.write_all(&framed(&response))).await??;
                        deadline = Instant::now() + IDLE;
                    }
                }
                read = timeout_at(deadline, arrived.read_from(&mut stream)), if may_read => {
                    match read {
                        Ok(read) => is_open = read? > 0,
                        Err(_idle) if answers.is_empty() => {
                            tracing::debug!(%peer, "idle DNS connection closed");
                            return Ok(());
                        }
                        // The upstream takes its time, which is no fault of the asker.
                        Err(_busy) => deadline = Instant::now() + IDLE,
                    }
                }
            }
        }
    }

    async fn answer_one(self: Arc<Self>, message: Vec<u8>) -> Option<Vec<u8>> {
        let Ok(_permit) = Arc::clone(&self.queries).try_acquire_owned() else {
            self.note_limit(Limit::QueriesAtOnce);
            return self.overloaded(&message, Carrier::Tcp);
        };
        let mut admission = self.admit();
        // What is not answered is not read on: the asker has to wait.
        while admission == Admission::Ignore {
            tokio::time::sleep(FLOODED).await;
            admission = self.admit();
        }
        self.answer(&message, Carrier::Tcp, admission).await
    }
}

/// What has arrived on a connection: whole messages not yet taken, and the start of the next.
#[derive(Default)]
struct Arrived {
    bytes: Vec<u8>,
    /// Bytes of messages that were taken. They go with the next read, not with each message:
    /// moving the rest for every one of 30,000 empty messages would be a cheap way to burn time.
    taken: usize,
}

impl Arrived {
    /// Reads what is there, up to the largest message; 0 at the end. Safe to cancel.
    async fn read_from(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let room = u64::try_from(FRAME.saturating_sub(self.bytes.len())).unwrap_or(0);
        stream.take(room).read_buf(&mut self.bytes).await
    }

    /// The first message that is whole.
    fn take_message(&mut self) -> Option<Vec<u8>> {
        let rest = self.bytes.get(self.taken..)?;
        let prefix: [u8; PREFIX] = *rest.first_chunk()?;
        let end = PREFIX + usize::from(u16::from_be_bytes(prefix));
        let message = rest.get(PREFIX..end)?.to_vec();
        self.taken += end;
        Some(message)
    }
}

/// A response with its length before it, in one write: two segments would cost an asker with
/// Nagle's algorithm a delayed acknowledgement (RFC 7766 section 8).
fn framed(response: &[u8]) -> Vec<u8> {
    let length = u16::try_from(response.len()).unwrap_or(u16::MAX);
    let mut framed = Vec::with_capacity(PREFIX + response.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(response.get(..length.into()).unwrap_or(response));
    framed
}

#[cfg(test)]
mod tests;
