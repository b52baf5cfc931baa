//! Cost of the hooks at socket(2) and connect(2): `cargo bench -p benches --bench hook`, as root, after
//! `cargo build --release -p egress-user`.
//!
//! The bench runs itself in a sandbox and outside of any: a socket is made, connected to where nothing
//! leads, and closed. "refused" is an address that the policy closes, where the hook alone answers;
//! outside, the same address has no route. What the two differ by is the hooks, with seccomp.
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddrV4},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use criterion::Criterion;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, connect, socket};

const CLIENT: &str = "--client";
/// 240.0.0.0/4 has no route anywhere (RFC 1112 section 4).
const NOWHERE: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);

/// This program again, doing as many rounds as each line of its input says.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Client {
    fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut client = Self { child, input, output: BufReader::new(output) };
        client.ask("connect", 1)?;
        Ok(client)
    }

    fn ask(&mut self, work: &str, times: u64) -> io::Result<Duration> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{work} {times}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        line.trim().parse().map(Duration::from_nanos).map_err(io::Error::other)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None;
        // It ends with its input.
        let _ = self.child.wait();
    }
}

fn serve() -> io::Result<()> {
    let nowhere = SockaddrIn::from(SocketAddrV4::new(NOWHERE, 443));
    for line in io::stdin().lines() {
        let line = line?;
        let (work, times) = line.split_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
        let times: u64 = times.parse().map_err(io::Error::other)?;
        let begun = Instant::now();
        for _ in 0..times {
            let made = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            if work == "connect" {
                use std::os::fd::AsRawFd as _;
                if connect(made.as_raw_fd(), &nowhere).is_ok() {
                    return Err(io::Error::other("240.0.0.1 was reached"));
                }
            }
        }
        println!("{}", begun.elapsed().as_nanos());
    }
    Ok(())
}

fn hooks(criterion: &mut Criterion) -> io::Result<()> {
    let own = std::env::current_exe()?;
    let mut bare = Command::new(&own);
    bare.arg(CLIENT);
    let mut held = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/egress"));
    // The events of so many refusals are no part of what is measured, and are lost where the ring is full.
    held.args(["run", "--allow", "example.com", "--"]).arg(&own).arg(CLIENT).stderr(Stdio::null());
    let mut clients = [("outside", Client::start(bare)?), ("in a sandbox", Client::start(held)?)];
    for work in ["socket", "connect"] {
        let mut group = criterion.benchmark_group(work);
        for (name, client) in &mut clients {
            group.bench_function(*name, |bencher| {
                bencher.iter_custom(|times| client.ask(work, times).unwrap_or(Duration::MAX));
            });
        }
        group.finish();
    }
    Ok(())
}

fn main() -> ExitCode {
    let done = if std::env::args().any(|word| word == CLIENT) {
        serve()
    } else {
        let mut criterion = Criterion::default().configure_from_args();
        let done = hooks(&mut criterion);
        criterion.final_summary();
        done
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "{error}; this bench needs root, and cargo build --release -p egress-user before it"
            );
            ExitCode::from(2)
        }
    }
}
