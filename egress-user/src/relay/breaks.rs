//! How a connection breaks, as each of its two directions can know it.
use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// Waits until `stream` is broken (EPOLLERR), and says how.
pub(super) async fn failure(stream: &TcpStream) -> io::Error {
    broken(stream).await.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
}

/// None where the error, which is reported once, was another direction's.
async fn broken(stream: &TcpStream) -> Option<io::Error> {
    if let Err(error) = stream.ready(Interest::ERROR).await {
        return Some(error);
    }
    match stream.take_error() {
        Ok(error) => error,
        Err(error) => Some(error),
    }
}

/// Waits until `stream`, of which not everything is read, is broken, and says how: for ever where it broke behind its
/// own end, as what it sent is whole.
pub async fn cut(stream: &TcpStream) -> io::Error {
    match broken(stream).await {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => error,
        None if is_doomed(stream) => io::ErrorKind::ConnectionReset.into(),
        _ => std::future::pending().await,
    }
}

/// Whether the other direction found `stream` broken. The kernel reports a reset once: if a write
/// had it, the next read says end of stream, and a cut answer would look complete.
pub(super) fn is_doomed(stream: &TcpStream) -> bool {
    matches!(stream.linger(), Ok(Some(Duration::ZERO)))
}
