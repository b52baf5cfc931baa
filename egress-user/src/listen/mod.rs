//! The doors by which connections come in; today one, the transparent listener.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

use std::io;

use tokio::net::TcpStream;

mod connection;
mod dialling;
mod direct;
mod evidence;
mod first;
mod http;
mod refuse;
mod sockets;
mod transparent;

pub use sockets::{ListenError, Listeners};
pub use transparent::Transparent;

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
