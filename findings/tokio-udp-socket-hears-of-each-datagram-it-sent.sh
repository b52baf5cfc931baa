#!/usr/bin/env bash
# tokio 1.54.1: a `UdpSocket` that only ever waits to receive makes the runtime's I/O driver wake for each
# datagram that it sends: sockets are registered for writability as well as for readability, edge-triggered,
# and Linux tells that a socket can be written each time a packet of it has gone (sock_def_write_space).
#
# One would guess that a socket which never filled its send buffer causes no write events, as none was ever
# awaited. For a server of small answers (DNS) the answers cost as many wake-ups as the questions. An `AsyncFd`
# of the same descriptor with `Interest::READABLE` hears of arrivals alone.
#
# Counted by the runtime's own metric, io_driver_ready_count (it needs --cfg tokio_unstable). Needs cargo; no
# rights. Exit 0: it behaves as told here; 1: it has changed.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "trial"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["macros", "net", "rt", "time"] }
TOML
cat >src/main.rs <<'RUST'
use std::{net::UdpSocket, sync::Arc, time::Duration};
use tokio::{io::{Interest, unix::AsyncFd}, runtime::Handle, time::sleep};

const SENT: u64 = 200;

fn events() -> u64 {
    Handle::current().metrics().io_driver_ready_count()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = sink.local_addr().unwrap();
    let new = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Arc::new(socket)
    };
    // Both are waited on for datagrams, of which none comes.
    let raw = new();
    // SAFETY: the socket lives, and is the same, as long as it is watched.
    let watched =
        unsafe { AsyncFd::register_with_interest(Arc::clone(&raw), Interest::READABLE) }.unwrap();
    let socket = Arc::new(tokio::net::UdpSocket::from_std(Arc::into_inner(new()).unwrap()).unwrap());
    let receiving = Arc::clone(&socket);
    tokio::spawn(async move { receiving.recv(&mut [0; 1]).await.unwrap() });
    tokio::spawn(async move { drop(watched.readable().await.unwrap()) });
    sleep(Duration::from_millis(5)).await;

    let before = events();
    for _ in 0..SENT {
        raw.send_to(b"x", to).unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    let by_async_fd = events() - before;
    let before = events();
    for _ in 0..SENT {
        socket.send_to(b"x", to).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    println!("{by_async_fd} {}", events() - before);
}
RUST
RUSTFLAGS="--cfg tokio_unstable" cargo run --quiet >out
read -r by_async_fd by_socket <out
echo "tokio 1.54.1, 200 datagrams sent: $by_async_fd events at an AsyncFd for reading, $by_socket at a UdpSocket"
# Seen: "0 events at an AsyncFd for reading, 200 at a UdpSocket".
[ "$by_async_fd" -le 2 ] && [ "$by_socket" -ge 190 ]
