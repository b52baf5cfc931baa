//! The work that every variant is given: the same program, the same octets.
//!
//! A connection begins with a TLS hello, since egress lets nothing else out on this port; the server
//! takes it for a request, whose last octet says what is wanted. From the server's first octet on the
//! streams are plain: what is measured is the way, not the encryption.
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// What the policy allows, and the hello names.
pub(crate) const NAME: &str = "curl.test";
pub(crate) const TARGET: &str = "93.184.216.34:443";
/// A hello of curl, as captured.
static HELLO: &[u8] = include_bytes!("../../egress-user/tests/data/hello/curl-openssl3.bin");

const CHUNK: usize = 256 << 10;
/// A round trip's payload.
const PING: usize = 100;
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the client gets to the target.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Via {
    /// It connects to the target.
    Target,
    /// It asks an HTTP proxy for a tunnel.
    Connect(SocketAddr),
    /// It connects to a forwarder.
    Forward(SocketAddr),
}

impl Via {
    fn parse(text: &str) -> io::Result<Self> {
        let address = |text: &str| text.parse().map_err(io::Error::other);
        match text.split_once('=') {
            None => Ok(Self::Target),
            Some(("connect", at)) => address(at).map(Self::Connect),
            Some((_, at)) => address(at).map(Self::Forward),
        }
    }

    /// As a word of the load's command line.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Target => "target".to_owned(),
            Self::Connect(at) => format!("connect={at}"),
            Self::Forward(at) => format!("forward={at}"),
        }
    }

    fn open(self) -> io::Result<TcpStream> {
        let target: SocketAddr = TARGET.parse().map_err(io::Error::other)?;
        let at = match self {
            Self::Target => target,
            Self::Connect(at) | Self::Forward(at) => at,
        };
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if let Self::Connect(_) = self {
            write!(stream, "CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n")?;
            let mut answer = Vec::new();
            let mut octet = [0; 1];
            while !answer.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut octet)?;
                answer.extend(octet);
            }
            if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.0 200") {
                return Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
            }
        }
        Ok(stream)
    }

    /// A connection whose server has answered; what is wanted is one of [`serve`]'s.
    fn wanting(self, what: u8) -> io::Result<TcpStream> {
        let mut stream = self.open()?;
        stream.write_all(&[HELLO, &[what]].concat())?;
        stream.read_exact(&mut [0; 1])?;
        Ok(stream)
    }
}

/// Answers for ever.
pub(crate) fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(TARGET)?;
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        // A connection that breaks is the client's to tell of.
        thread::Builder::new().stack_size(64 << 10).spawn(move || drop(converse(stream)))?;
    }
    Ok(())
}

fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut hello = [0; 2048];
    let mut length = 0;
    while length < HELLO.len() + 1 {
        let read = stream.read(hello.get_mut(length..).unwrap_or_default())?;
        if read == 0 {
            return Ok(());
        }
        length += read;
    }
    stream.write_all(&[1])?;
    match hello.get(length - 1) {
        Some(b'p') => loop {
            let mut octets = [0; PING];
            stream.read_exact(&mut octets)?;
            stream.write_all(&octets)?;
        },
        Some(b'u') => {
            let mut octets = [0; 8];
            stream.read_exact(&mut octets)?;
            let mut chunk = vec![0; CHUNK];
            let mut left = u64::from_le_bytes(octets);
            while left > 0 {
                match stream.read(&mut chunk)? {
                    0 => return Ok(()),
                    read => left = left.saturating_sub(read as u64),
                }
            }
            stream.write_all(&[2])
        }
        Some(b'd') => {
            let mut octets = [0; 8];
            stream.read_exact(&mut octets)?;
            let chunk = vec![0; CHUNK];
            let mut left = u64::from_le_bytes(octets);
            while left > 0 {
                let now = left.min(CHUNK as u64);
                stream.write_all(chunk.get(..now as usize).unwrap_or_default())?;
                left -= now;
            }
            Ok(())
        }
        // Until the client goes.
        Some(b'i') => stream.read(&mut [0; 1]).map(drop),
        _ => Ok(()),
    }
}

/// `load WORK COUNT VIA`: does it and prints numbers.
pub(crate) fn run(words: &[&str]) -> io::Result<()> {
    let [work, count, via] = words else { return Err(io::Error::other("load WORK COUNT VIA")) };
    let count: usize = count.parse().map_err(io::Error::other)?;
    let via = Via::parse(via)?;
    if let Via::Target = via {
        // Under egress the address opens with the look-up.
        let _ = std::net::ToSocketAddrs::to_socket_addrs(&(NAME, 443));
    }
    match *work {
        "connect" => connect(via, count),
        "ping" => ping(via, count),
        "up" => bulk(via, count, 1, up),
        "up8" => bulk(via, count, 8, up),
        "down" => bulk(via, count, 1, down),
        "down8" => bulk(via, count, 8, down),
        "idle" => idle(via, count),
        other => Err(io::Error::other(format!("no work is called {other}"))),
    }
}

/// Connections a second, then microseconds from connect to the first octet: the median, p99.
fn connect(via: Via, count: usize) -> io::Result<()> {
    let (begun, mut times) = (Instant::now(), Vec::with_capacity(count));
    for _ in 0..count {
        let opening = Instant::now();
        let mut stream = via.wanting(b'c')?;
        times.push(opening.elapsed().as_secs_f64() * 1e6);
        // The server closes first: its port is one, the client's are many.
        let _ = stream.read(&mut [0; 1])?;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{rate} {} {}", benches::stats::median(&times), benches::stats::part(&times, 0.99));
    Ok(())
}

/// Microseconds of a round trip: the median, p99.
fn ping(via: Via, count: usize) -> io::Result<()> {
    let mut stream = via.wanting(b'p')?;
    let times = pings(&mut stream, count)?;
    println!("{} {}", benches::stats::median(&times), benches::stats::part(&times, 0.99));
    Ok(())
}

fn pings(stream: &mut TcpStream, count: usize) -> io::Result<Vec<f64>> {
    let mut octets = [7; PING];
    (0..count)
        .map(|_| {
            let begun = Instant::now();
            stream.write_all(&octets)?;
            stream.read_exact(&mut octets)?;
            Ok(begun.elapsed().as_secs_f64() * 1e6)
        })
        .collect()
}

/// Megabytes a second of so many mebibytes in all, and the seconds that processors 0 and 1 worked.
fn bulk(
    via: Via,
    mebibytes: usize,
    streams: usize,
    one: fn(Via, u64) -> io::Result<()>,
) -> io::Result<()> {
    let each = (mebibytes << 20) / streams;
    let (begun, busy) = (Instant::now(), busy_seconds());
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..streams).map(|_| scope.spawn(move || one(via, each as u64))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| io::Error::other("a stream's thread broke"))?
        })
    })?;
    let rate = (each * streams) as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!("{rate} {}", busy_seconds() - busy);
    Ok(())
}

/// Seconds that processors 0 and 1 have worked since boot, for programs and the kernel.
fn busy_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("cpu0 ") || line.starts_with("cpu1 "));
    let ticks: f64 = lines
        .map(|line| {
            let fields: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            // user nice system idle iowait irq softirq
            [0, 1, 2, 5, 6].iter().filter_map(|&at| fields.get(at)).sum::<f64>()
        })
        .sum();
    ticks / 100.0
}

fn up(via: Via, octets: u64) -> io::Result<()> {
    let mut stream = via.wanting(b'u')?;
    // A length instead of an end: some peers take a half-closed connection for an ended one.
    stream.write_all(&octets.to_le_bytes())?;
    let chunk = vec![3; CHUNK];
    let mut left = octets;
    while left > 0 {
        let now = left.min(CHUNK as u64);
        stream.write_all(chunk.get(..now as usize).unwrap_or_default())?;
        left -= now;
    }
    stream.read_exact(&mut [0; 1])
}

fn down(via: Via, octets: u64) -> io::Result<()> {
    let mut stream = via.wanting(b'd')?;
    stream.write_all(&octets.to_le_bytes())?;
    let mut chunk = vec![0; CHUNK];
    let mut left = octets;
    while left > 0 {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => left = left.saturating_sub(read as u64),
        }
    }
    Ok(())
}

/// p99 of a busy connection alone, then with so many idle ones beside it; `ready` between the two,
/// while a line of input is waited for with all of them open.
fn idle(via: Via, count: usize) -> io::Result<()> {
    const PINGS: usize = 4000;
    let mut busy = via.wanting(b'p')?;
    let alone = pings(&mut busy, PINGS)?;
    println!("before");
    io::stdin().read_line(&mut String::new())?;
    let idle = (0..count).map(|_| via.wanting(b'i')).collect::<io::Result<Vec<_>>>()?;
    let beside = pings(&mut busy, PINGS)?;
    println!("ready");
    io::stdin().read_line(&mut String::new())?;
    let p99 = |times: &[f64]| benches::stats::part(times, 0.99);
    println!("{} {}", p99(&alone), p99(&beside));
    drop(idle);
    Ok(())
}
