//! The single works. Each ends by itself after the time that it is given, and by its sockets' time
//! limits where a way stands still.
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use benches::dns_wire::query;
use serde_json::{Value, json};

use super::{ASKED, CHUNK, NONE, OPAQUE, PATIENCE, PING, Want, via::Via};

/// Clients that connect at the same time when connections are counted.
const CONNECTORS: usize = 8;
/// Below the rate of queries that egress takes from one sandbox for long.
const LOOKUP_EVERY: Duration = Duration::from_micros(1_100);

/// Microseconds from connect to the server's first byte, one connection after the other.
pub(super) fn connect(via: Via, time: Duration) -> io::Result<Vec<f64>> {
    let begun = Instant::now();
    let mut times = Vec::with_capacity(1 << 14);
    while begun.elapsed() < time {
        times.push(connect_once(via)?);
    }
    Ok(times)
}

fn connect_once(via: Via) -> io::Result<f64> {
    let opening = Instant::now();
    let mut stream = via.wanting(Want::Answer)?;
    let took = opening.elapsed().as_secs_f64() * 1e6;
    // The server closes first: what waits for the last packets is its port, and not the client's.
    let _ = stream.read(&mut [0; 1]);
    Ok(took)
}

/// The same of a protocol that is not TLS.
pub(super) fn opaque(time: Duration) -> io::Result<Vec<f64>> {
    let target: SocketAddr = OPAQUE.parse().map_err(io::Error::other)?;
    let begun = Instant::now();
    let mut times = Vec::with_capacity(1 << 14);
    while begun.elapsed() < time {
        let opening = Instant::now();
        let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&ASKED)?;
        stream.read_exact(&mut [0; NONE.len()])?;
        times.push(opening.elapsed().as_secs_f64() * 1e6);
        let _ = stream.read(&mut [0; 1]);
    }
    Ok(times)
}

/// Connections a second, several at the same time.
pub(super) fn rate(via: Via, time: Duration) -> io::Result<f64> {
    let begun = Instant::now();
    let counts = together(CONNECTORS, || {
        let mut count = 0_u32;
        while begun.elapsed() < time {
            connect_once(via)?;
            count += 1;
        }
        Ok(count)
    })?;
    Ok(f64::from(counts.iter().sum::<u32>()) / begun.elapsed().as_secs_f64())
}

/// Microseconds of round trips, until the time is over or there are enough.
pub(super) fn pings(
    stream: &mut TcpStream,
    time: Option<Duration>,
    most: usize,
) -> io::Result<Vec<f64>> {
    let begun = Instant::now();
    let mut bytes = [7; PING];
    let mut times = Vec::with_capacity(1 << 16);
    while times.len() < most && time.is_none_or(|time| begun.elapsed() < time) {
        let sending = Instant::now();
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        times.push(sending.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// What one stream moved, or all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    bytes: u64,
    /// Bytes a second.
    rate: f64,
}

impl Moved {
    pub(super) fn json(self) -> Value {
        json!({ "rate": self.rate / 1e6, "bytes": self.bytes })
    }
}

/// So many streams at the same time.
pub(super) fn bulk(
    via: Via,
    time: Duration,
    streams: usize,
    one: fn(Via, Duration) -> io::Result<Moved>,
) -> io::Result<Moved> {
    let all = together(streams, || one(via, time))?;
    Ok(all.iter().fold(Moved::default(), |sum, one| Moved {
        bytes: sum.bytes + one.bytes,
        rate: sum.rate + one.rate,
    }))
}

fn together<T: Send>(count: usize, work: impl Fn() -> io::Result<T> + Sync) -> io::Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, io::Result<T>>| {
            thread.join().map_err(|_| io::Error::other("a stream's thread broke"))?
        };
        threads.into_iter().map(join).collect()
    })
}

/// Reads what comes until the time is over.
pub(super) fn down(via: Via, time: Duration) -> io::Result<Moved> {
    let mut stream = via.wanting(Want::Down)?;
    let mut chunk = vec![0; CHUNK];
    let begun = Instant::now();
    let mut bytes = 0;
    while begun.elapsed() < time {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes += read as u64,
        }
    }
    Ok(Moved { bytes, rate: bytes as f64 / begun.elapsed().as_secs_f64() })
}

/// Sends until the time is over. What counts is what the server has read: it says when it has all.
pub(super) fn up(via: Via, time: Duration) -> io::Result<Moved> {
    let mut stream = via.wanting(Want::Up)?;
    let mut chunk = vec![3; CHUNK];
    let begun = Instant::now();
    let mut bytes = 0;
    loop {
        let last = begun.elapsed() >= time;
        if let (true, Some(byte)) = (last, chunk.first_mut()) {
            // A mark instead of an end: some peers take a half-closed connection for an ended one.
            *byte = 0;
        }
        stream.write_all(&chunk)?;
        bytes += CHUNK as u64;
        if last {
            break;
        }
    }
    stream.read_exact(&mut [0; 1])?;
    Ok(Moved { bytes, rate: bytes as f64 / begun.elapsed().as_secs_f64() })
}

/// Microseconds of answers about each of these names, one after the other.
pub(super) fn lookups(names: impl Iterator<Item = String>) -> io::Result<Vec<f64>> {
    let server: SocketAddr =
        format!("{}:53", benches::world::NAME_SERVER).parse().map_err(io::Error::other)?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    let mut datagram = [0; 512];
    names
        .zip(0_usize..)
        .map(|(name, number)| {
            let begun = Instant::now();
            socket.send(&query(u16::try_from(number).unwrap_or_default(), &name))?;
            socket.recv(&mut datagram)?;
            let took = begun.elapsed();
            if let Some(rest) = LOOKUP_EVERY.checked_sub(took) {
                thread::sleep(rest);
            }
            Ok(took.as_secs_f64() * 1e6)
        })
        .collect()
}
