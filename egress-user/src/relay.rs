//! Bytes both ways between a client and a server, as if they were connected directly.
//!
//! - An end of stream is passed on as one (half-close), a reset as a reset.
//! - A side that doesn't read stops the other: the pump reads nothing while it holds unwritten
//!   bytes. At rest a connection holds no buffer: reads go into one buffer a thread, and only what
//!   the other side's kernel did not take is kept, at most [`READ_LIMIT_BYTES`] a direction.
//! - A direction that stays busy is spliced through a pipe: no byte is copied, and nothing but the
//!   pipe's half MiB is held.
//!
//! The caller composes: it can run the [`pump`] from the server while it still judges the client's
//! bytes, write these, then [`join`] that pump with the one from the client; or [`relay`] both.
//! Sockets that are not given to `relay` go through [`prepare`] first.
#![deny(clippy::indexing_slicing)]

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

use crate::quota::Quota;

mod breaks;
mod deliver;
mod pace;
mod pipe;
mod pump;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
mod watch;

pub use breaks::cut;
pub use deliver::{WITHIN, delivered};
pub use pipe::MAX_PIPES;
pub(crate) use pump::with_buffer;
pub use pump::{READ_LIMIT_BYTES, end, pump, pump_until};
pub use watch::Watch;

/// Which socket of a pump failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one read from.
    Reader,
    /// The one written to.
    Writer,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "read from",
            Self::Writer => "written to",
        })
    }
}

/// One direction of a relay broke. Usual causes: that side reset the connection, its host or its
/// program went away, a keep-alive timed out.
#[derive(Debug, thiserror::Error)]
#[error("the side that is {side} broke the connection")]
pub struct PumpError {
    /// Whose fault it is.
    pub side: Side,
    /// What its socket said.
    #[source]
    pub source: io::Error,
}

impl PumpError {
    /// Whether the side that was written to had ended its own stream before it went away (tcp(7): EPIPE
    /// where it is ECONNRESET otherwise): what came from it is whole, and to be delivered.
    pub fn is_behind_end(&self) -> bool {
        self.side == Side::Writer && self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Bytes written so far in each direction; to be read while the relay runs.
#[derive(Debug, Default)]
pub struct Traffic {
    /// From the client to the server.
    pub up_bytes: AtomicU64,
    /// From the server to the client.
    pub down_bytes: AtomicU64,
}

/// Relays both ways until both have ended or one broke, then closes both connections: by a FIN
/// each, or by a reset if anything broke.
///
/// # Errors
/// The first failure of either direction. [`Traffic`] is right in any case.
pub async fn relay(
    client: TcpStream,
    server: TcpStream,
    traffic: &Traffic,
    pipes: &Arc<Quota>,
) -> Result<(), PumpError> {
    prepare(&client);
    prepare(&server);
    let up = pin!(pump(&client, &server, &traffic.up_bytes, pipes));
    let down = pin!(pump(&server, &client, &traffic.down_bytes, pipes));
    let ended = join(up, down, &client, &server).await;
    if ended.is_err() {
        reset(&client);
        reset(&server);
    }
    ended
}

/// Sets what a pumped socket needs; call it when the socket is new, before its first read, or on the
/// listener, whose accepted sockets have it too.
/// Small writes leave as they came (TCP_NODELAY: delaying is for the ends to decide), and a byte
/// sent as urgent stays in the stream (SO_OOBINLINE), though it is urgent no more.
pub fn prepare(stream: &impl AsFd) {
    // Both fail only on a socket that is broken; the pump then meets that error.
    let _ = setsockopt(stream, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(stream, sockopt::OobInline, &true);
}

/// Waits for both directions of one connection, from the client and from the server. Each may have
/// run before: hand over a pinned reference to it, which is also smaller than the future itself.
///
/// If one side went away while it was written to, what it had sent before may still be on the way
/// (an answer, then a close): the other direction goes on until it ends, which is soon, as its
/// reader is dead. Any other failure ends both at once.
///
/// # Errors
/// The first failure.
pub async fn join<U, D>(
    up: U,
    down: D,
    client: &TcpStream,
    server: &TcpStream,
) -> Result<(), PumpError>
where
    U: Future<Output = Result<(), PumpError>>,
    D: Future<Output = Result<(), PumpError>>,
{
    let mut up = pin!(up);
    let mut down = pin!(down);
    tokio::select! {
        ended = &mut up => match ended {
            Ok(()) => alone(down, client).await,
            Err(error) => {
                // Before the other direction takes what it reads next for an end.
                reset(client);
                reset(server);
                drain(&error, down).await;
                Err(error)
            }
        },
        ended = &mut down => match ended {
            Ok(()) => alone(up, server).await,
            Err(error) => {
                // Before the other direction takes what it reads next for an end.
                reset(client);
                reset(server);
                drain(&error, up).await;
                Err(error)
            }
        },
    }
}

/// Runs a direction behind the end of the other one, which was the one to notice that the socket
/// `writer`, which this one writes to, breaks while there is nothing to write.
///
/// # Errors
/// The direction's own, or that socket's.
pub async fn alone<T>(
    direction: impl Future<Output = Result<T, PumpError>>,
    writer: &TcpStream,
) -> Result<T, PumpError> {
    let mut failing = pin!(breaks::failure(writer));
    let mut direction = pin!(direction);
    tokio::select! {
        biased;
        ended = &mut direction => ended,
        source = &mut failing => Err(PumpError { side: Side::Writer, source }),
    }
}

async fn drain(error: &PumpError, other: impl Future<Output = Result<(), PumpError>>) {
    if error.side == Side::Writer {
        // The connection has failed already; that it fails a second time is no news.
        let _ = other.await;
    }
}

/// Makes the close of `stream`, when it is dropped, a reset (SO_LINGER 0), and unsent bytes
/// forgotten: a peer must not take a broken stream for a complete one.
pub fn reset(stream: &TcpStream) {
    // Fails only on a socket that is no TCP socket any more; then there is nobody to tell.
    let _ = stream.set_zero_linger();
}
