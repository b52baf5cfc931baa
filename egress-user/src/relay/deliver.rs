//! What is handed to the kernel and not yet with the peer: a reset would throw it away.
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::sys::sockets::unacknowledged;

/// A peer that takes nothing for so long is not waited for: without a proxy it would have had the reset
/// at once.
pub const WITHIN: Duration = Duration::from_secs(1);

/// Time between two looks; no event tells that a send queue is empty.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `stream`'s peer has acknowledged everything, or is gone, or takes nothing for a second.
/// What comes from it meanwhile is passed over: it is for somebody who is gone.
pub async fn delivered(stream: &TcpStream) {
    let left = || unacknowledged(stream.as_fd()).unwrap_or(0);
    let mut queued = left();
    let mut since = Instant::now();
    while queued > 0 && since.elapsed() < WITHIN && is_alive(stream) {
        sleep(LOOK_EVERY).await;
        let now = left();
        if now != queued {
            queued = now;
            since = Instant::now();
        }
    }
}

/// Empties the receive queue, which tells whether the peer has broken off.
fn is_alive(stream: &TcpStream) -> bool {
    loop {
        let mut passed_over = [0; 4096];
        match stream.try_read(&mut passed_over) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
