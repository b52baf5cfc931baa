//! The doors by which connections come in; today one, the transparent listener.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::io;

use tokio::net::TcpStream;

mod begun;
mod budget;
mod connection;
mod dialling;
mod direct;
mod drain;
mod evidence;
mod first;
mod handshake;
mod http;
mod http2;
mod refuse;
mod sockets;
mod transparent;

pub use drain::GivenUp;
pub use sockets::{ListenError, Listeners};
pub use transparent::{MAX_CONNECTIONS, Transparent};

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
