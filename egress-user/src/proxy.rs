//! The proxy: connections that the kernel side redirects to a listener, judged by what they say and relayed.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::io;

use tokio::net::TcpStream;

use crate::relay;

mod accept;
mod admission;
mod answers;
mod budget;
mod connection;
mod dialling;
mod drain;
mod ending;
mod first_bytes;
mod forward;
mod handshake;
mod held;
mod http1;
mod http2;
mod judging;
mod lease;
mod opaque;
mod outbound;
mod refuse;

pub use accept::{MAX_CONNECTIONS, Transparent};
pub use outbound::Outbound;

/// Writes everything to a shared stream.
async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads more of a shared stream behind what is held, at most `N` bytes, which are at most
/// [`relay::READ_LIMIT_BYTES`]; false at its end. The buffer is the thread's: a connection that waits has none.
async fn read_more<const N: usize>(stream: &TcpStream, held: &mut Vec<u8>) -> io::Result<bool> {
    const { assert!(N <= relay::READ_LIMIT_BYTES) };
    loop {
        stream.readable().await?;
        let read: io::Result<bool> = relay::with_buffer(|buffer| {
            let chunk = buffer.get_mut(..N).unwrap_or_default();
            let length = stream.try_read(chunk)?;
            held.extend_from_slice(chunk.get(..length).unwrap_or_default());
            Ok(length > 0)
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests;
