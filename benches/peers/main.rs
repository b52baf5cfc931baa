//! egress and its peers side by side: `cargo xtask bench [--quick]` builds and starts this.
//!
//! In every round each variant is given the same work, in an order of its own; what counts is the
//! ratio to the direct connection of the same round. Needs root: the network is made of namespaces.
//! docs/benchmarks.md says what is measured and how.
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::ExitCode,
};

use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::geteuid,
};

mod growth;
mod load;
mod micro;
mod only;
mod process;
mod report;
mod rounds;
mod talk;
mod variant;
mod way;

use report::Report;
use rounds::{FULL, QUICK, Size};

/// Thousands of connections, twice in a proxy.
const DESCRIPTORS: u64 = 100_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve"] => load::serve::serve(),
        ["names"] => names(),
        ["load", rest @ ..] => load::run(rest),
        ["only", rest @ ..] => only::run(rest),
        ["--quick"] => compare(QUICK, growth::QUICK, true),
        ["growth"] => grow(),
        [] => compare(FULL, growth::FULL, false),
        other => Err(io::Error::other(format!("unknown words {other:?}; use cargo xtask bench"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            if talk::is_stop(&error) { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

fn names() -> io::Result<()> {
    let at = format!("{}:53", benches::world::NAME_SERVER);
    let socket = UdpSocket::bind(at.parse::<SocketAddr>().map_err(io::Error::other)?)?;
    std::thread::Builder::new()
        .spawn(move || benches::dns_wire::answer(&socket, [93, 184, 216, 34]))?;
    load::serve::ready_until_the_end()
}

/// A look at growth alone, while it is being changed.
fn grow() -> io::Result<()> {
    talk::watch_signals()?;
    most_descriptors()?;
    let mut report = Report::new(true);
    growth::run(growth::FULL, &mut report)?;
    report.write(Path::new(env!("CARGO_MANIFEST_DIR")))
}

fn compare(size: Size, steps: growth::Steps, quick: bool) -> io::Result<()> {
    talk::watch_signals()?;
    if !geteuid().is_root() {
        return Err(io::Error::other(
            "network namespaces are made as root: sudo cargo xtask bench",
        ));
    }
    let descriptors = most_descriptors()?;
    let mut report = Report::new(quick);
    rounds::run(size, &mut report)?;
    rounds::idle(size, descriptors, &mut report)?;
    growth::run(steps, &mut report)?;
    micro::run(quick, &mut report)?;
    report.write(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// Raises the limit of open files as far as this machine lets root, for this program and its children.
fn most_descriptors() -> io::Result<u64> {
    if setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS).is_ok() {
        return Ok(DESCRIPTORS);
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
