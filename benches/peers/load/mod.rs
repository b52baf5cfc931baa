//! The work that every variant is given: the same program, the same bytes, told over standard input.
//!
//! A connection begins with a TLS hello, since egress lets nothing else out on this port; the server
//! takes it for a request, one byte of whose random says what is wanted. Behind the server's answer, a
//! ServerHello, the streams are plain: what is measured is the way, not the encryption.
use std::{
    io::{self, BufRead, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(crate) mod serve;
pub(crate) mod via;
mod work;

use via::Via;

/// What the policy allows, and the hello names.
pub(crate) const NAME: &str = "curl.test";
pub(crate) const TARGET: &str = "93.184.216.34:443";
/// A port where HTTP is not expected, and what is said there: a client of PostgreSQL asks for TLS, and the server has
/// none. Only who reaches the target itself gets there.
const OPAQUE: &str = "93.184.216.34:5432";
const ASKED: [u8; 8] = *b"\0\0\0\x08\x04\xd2\x16\x2f";
const NONE: [u8; 1] = *b"N";
/// A hello of curl, as captured.
static HELLO: &[u8] = include_bytes!("../../../egress-user/tests/data/hello/curl-openssl3.bin");
/// A ServerHello of TLS 1.2 and nothing behind it: until a server has answered, a filter may look at what
/// the client sends.
const ANSWER: [u8; 47] = {
    let mut answer = [0x5a; 47];
    // Record, message, version; no session; TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, no compression.
    let head = [22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3];
    let end = [0, 0xc0, 0x2f, 0];
    let mut at = 0;
    while at < head.len() {
        answer[at] = head[at];
        at += 1;
    }
    let mut at = 0;
    while at < end.len() {
        answer[43 + at] = end[at];
        at += 1;
    }
    answer
};
/// Where the first byte of its random stands, which nobody reads: record header, handshake header, version.
const WANT: usize = 5 + 4 + 2;

const CHUNK: usize = 256 << 10;
/// A round trip's payload.
const PING: usize = 100;
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Want {
    /// One byte, then the end.
    Answer = b'c',
    /// Every ping back.
    Ping = b'p',
    /// Bytes without end.
    Down = b'd',
    /// Chunks are read, until one says that it is the last.
    Up = b'u',
    /// Nothing more; the server keeps it, without a thread, until it is told to forget.
    Idle = b'i',
    /// The idle ones are forgotten.
    Forget = b'f',
}

impl Want {
    const ALL: [Self; 6] =
        [Self::Answer, Self::Ping, Self::Down, Self::Up, Self::Idle, Self::Forget];
}

/// `load VIA`: does what each line of standard input says, and answers with a line of JSON.
pub(crate) fn run(words: &[&str]) -> io::Result<()> {
    let [via] = words else { return Err(io::Error::other("load VIA")) };
    let via = Via::parse(via)?;
    if let Via::Target = via {
        // Under egress the address opens with the look-up.
        let _ = std::net::ToSocketAddrs::to_socket_addrs(&(NAME, 443));
    }
    let mut kept = Vec::new();
    let mut named = [0; 2];
    for line in io::stdin().lock().lines() {
        let answer = match one(via, &line?, &mut kept, &mut named) {
            Ok(value) => value,
            Err(error) => json!({ "error": error.to_string() }),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn one(
    via: Via,
    line: &str,
    kept: &mut Vec<std::net::TcpStream>,
    named: &mut [u32; 2],
) -> io::Result<Value> {
    let (word, amount) = line.split_once(' ').unwrap_or((line, "0"));
    let amount: u32 = amount.parse().map_err(io::Error::other)?;
    let time = Duration::from_millis(amount.into());
    Ok(match word {
        "ready" => {
            // As many as a bulk load has: what a way makes only once is made now.
            work::connect(via, Duration::from_millis(20))?;
            json!({})
        }
        "connect" => summary(work::connect(via, time)?),
        "opaque" => summary(work::opaque(time)?),
        "rate" => json!({ "rate": work::rate(via, time)? }),
        "ping" => summary(work::pings(&mut via.wanting(Want::Ping)?, Some(time), usize::MAX)?),
        // So many pings on one connection, whatever else is open.
        "busy" => summary(work::pings(
            &mut via.wanting(Want::Ping)?,
            None,
            usize::try_from(amount).unwrap_or(1),
        )?),
        "down" => work::bulk(via, time, 1, work::down)?.json(),
        "down8" => work::bulk(via, time, 8, work::down)?.json(),
        "up" => work::bulk(via, time, 1, work::up)?.json(),
        "up8" => work::bulk(via, time, 8, work::up)?.json(),
        "dns" => summary(work::lookups((0..amount).map(|_| NAME.to_owned()))?),
        // Up to so many names in all have been looked up then, each with an address of its own, or
        // all with the target's.
        "names" | "shared" => {
            let named = if word == "names" { &mut named[0] } else { &mut named[1] };
            let new = *named..amount.max(*named);
            *named = new.end;
            let first = if word == "names" { "n" } else { "s" };
            summary(work::lookups(new.map(|number| format!("{first}{number}.many.test")))?)
        }
        "idle" => {
            let begun = Instant::now();
            for _ in 0..amount {
                kept.push(via.wanting(Want::Idle)?);
            }
            json!({ "seconds": begun.elapsed().as_secs_f64() })
        }
        "forget" => {
            kept.clear();
            drop(via.wanting(Want::Forget)?);
            json!({})
        }
        other => return Err(io::Error::other(format!("no work is called {other:?}"))),
    })
}

/// Times in microseconds, as their quantiles: `at[n]` is the n-th percentile.
fn summary(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    let at = |part: f64| times.get((last as f64 * part).round() as usize).copied();
    let percentiles: Vec<_> = (0..=100).map(|n| at(f64::from(n) / 100.0)).collect();
    json!({ "count": times.len(), "at": percentiles })
}
