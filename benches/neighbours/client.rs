//! The programs in the sandboxes, and the far side's servers that they talk to.
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use benches::{
    dns_wire::query,
    stats::part,
    world::{NAME_SERVER, SERVER},
};

/// A hello of curl, as captured, for `curl.test`.
static HELLO: &[u8] = include_bytes!("../../egress-user/tests/data/hello/curl-openssl3.bin");
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: proxied.test\r\nConnection: close\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Of the name server, where nobody listens: no sandbox may go there, and outside it answers with a reset at once.
const CLOSED: u16 = 9;
/// Between two rounds of whoever measures: fewer lookups than the 1,000 a second that a sandbox may ask for.
const EVERY: Duration = Duration::from_micros(1_300);
/// Of those that do a little.
const NOW_AND_THEN: Duration = Duration::from_millis(50);
/// What takes longer counts as this.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the name server may take to be there.
const STARTED_WITHIN: Duration = Duration::from_secs(10);
/// Threads of each server.
const SERVING: usize = 16;
/// Threads of a flood of connects.
const CONNECTING: usize = 4;

/// Answers connections on both ports, in threads.
pub(crate) fn answer_connections(address: Ipv4Addr) -> io::Result<()> {
    for (port, asked, answer) in
        [(443, HELLO.len(), server_hello()), (80, REQUEST.len(), RESPONSE.into())]
    {
        let listener = TcpListener::bind((address, port))?;
        for _ in 0..SERVING {
            let (listener, answer) = (listener.try_clone()?, answer.clone());
            thread::spawn(move || {
                let mut said = vec![0; asked];
                for mut stream in listener.incoming().flatten() {
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    if stream.read_exact(&mut said).is_ok() {
                        let _ = stream.write_all(&answer);
                    }
                }
            });
        }
    }
    Ok(())
}

/// Of TLS 1.2, and nothing behind it.
fn server_hello() -> Vec<u8> {
    let mut answer = vec![22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    answer.resize(43, 0x5a);
    // No session; TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, no compression.
    answer.extend([0, 0xc0, 0x2f, 0]);
    answer
}

fn server(port: u16) -> SocketAddr {
    SocketAddr::new(SERVER.parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port)
}

fn asking() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect((NAME_SERVER, 53))?;
    Ok(socket)
}

/// Does what it is told, until nobody tells it any more.
pub(crate) fn run(folder: &Path, name: &str) -> io::Result<()> {
    let pipe = |end| folder.join(format!("{name}.{end}"));
    let told = BufReader::new(File::open(pipe("to"))?);
    let mut done = File::options().write(true).open(pipe("from"))?;
    let socket = asking()?;
    let mut datagram = [0; 512];
    for name in ["warm.test", "curl.test", "proxied.test"] {
        let begun = Instant::now();
        // Until the name server is there.
        while socket.send(&query(1, name)).and_then(|_| socket.recv(&mut datagram)).is_err() {
            if begun.elapsed() > STARTED_WITHIN {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(NOW_AND_THEN);
        }
    }
    writeln!(done, "ready")?;
    for line in told.lines() {
        let line = line?;
        let (what, time) = line.split_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
        let time = Duration::from_millis(time.parse().map_err(io::Error::other)?);
        let said = match what {
            "measure" => measured(time, EVERY)?,
            "little" => measured(time, NOW_AND_THEN)?,
            "connects" => connects(time),
            "lookups" => lookups(time)?,
            _ => events(time),
        };
        writeln!(done, "{said}")?;
    }
    Ok(())
}

/// p50 and p99 of lookups, of connects past the proxy and of those by way of it, in microseconds.
fn measured(time: Duration, every: Duration) -> io::Result<String> {
    let socket = asking()?;
    let mut datagram = [0; 512];
    let (begun, mut times) = (Instant::now(), [vec![], vec![], vec![]]);
    for number in 0_u16.. {
        let opening = Instant::now();
        if begun.elapsed() >= time {
            break;
        }
        let at = usize::from(number % 4);
        let is_done = match at {
            1 => exchange(443, HELLO),
            3 => exchange(80, REQUEST),
            _ => socket.send(&query(number, "warm.test")).and_then(|_| {
                // What answers an earlier question, which was given up, is passed over.
                loop {
                    socket.recv(&mut datagram)?;
                    if datagram.starts_with(&number.to_be_bytes()) {
                        return Ok(());
                    }
                }
            }),
        };
        let took = if is_done.is_ok() { opening.elapsed() } else { PATIENCE };
        let kind = match at {
            1 => 1,
            3 => 2,
            _ => 0,
        };
        if let Some(times) = times.get_mut(kind) {
            times.push(took.as_secs_f64() * 1e6);
        }
        thread::sleep(every.saturating_sub(opening.elapsed()));
    }
    let parts = times.iter().flat_map(|times| [part(times, 0.5), part(times, 0.99)]);
    Ok(parts.map(|part| format!("{part:.1} ")).collect())
}

/// From connect to the first byte of the answer.
fn exchange(port: u16, say: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(server(port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(say)?;
    stream.read_exact(&mut [0; 16])
}

/// Connections by way of the proxy, as many as there can be. Gives how many a second.
fn connects(time: Duration) -> String {
    let begun = Instant::now();
    let count: usize = thread::scope(|scope| {
        let connecting = || {
            let mut count = 0;
            while begun.elapsed() < time {
                count += usize::from(exchange(80, REQUEST).is_ok());
            }
            count
        };
        let threads: Vec<_> = (0..CONNECTING).map(|_| scope.spawn(connecting)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    rate(count, begun)
}

/// Questions without a pause, of sockets that change.
fn lookups(time: Duration) -> io::Result<String> {
    let questions: Vec<Vec<u8>> = (0..256)
        .map(|number| {
            query(
                number,
                &format!("n{number}.{}.test", ["flood", "refused"][usize::from(number % 2)]),
            )
        })
        .collect();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        let socket = asking()?;
        for question in &questions {
            count += usize::from(socket.send(question).is_ok());
        }
    }
    Ok(rate(count, begun))
}

/// Connects that are refused, each with an event.
fn events(time: Duration) -> String {
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        count += usize::from(TcpStream::connect((NAME_SERVER, CLOSED)).is_err());
    }
    rate(count, begun)
}

fn rate(count: usize, begun: Instant) -> String {
    format!("{:.0}", count as f64 / begun.elapsed().as_secs_f64())
}
