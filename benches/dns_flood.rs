//! DNS under `egress run`: what a lookup costs more than asking the name server itself, how many one
//! processor answers, and what a flood from one sandbox does to another. Needs root:
//! `cargo build --release -p egress-user && sudo cargo bench -p benches --bench dns_flood`.
//!
//! Rounds of direct and filtered asking alternate, so that the machine's moods hit both alike.
use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use benches::{
    dns_wire::{query, serve},
    stats::{median, part},
    world::{Ends, NAME_SERVER, SERVER, World},
};

const ROUNDS: usize = 7;
/// Below the 1000 a second that a sandbox may ask for long.
const ASKED: usize = 900;
const FLOOD_PER_SECOND: u64 = 50_000;
const FLOOD: Duration = Duration::from_secs(12);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.get(1..) {
        Some(["serve"]) => name_server(),
        Some(["ask", count]) => ask(count.parse().unwrap_or(1)),
        Some(["flood"]) => flood(server()),
        Some(["flood", "unread"]) => flood(unread()),
        // cargo's own `--bench`.
        _ => compare(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "dns_flood: {error}; it needs root, iproute2, util-linux and a release build"
            );
            ExitCode::from(2)
        }
    }
}

fn name_server() -> io::Result<()> {
    let address = SERVER.parse::<std::net::Ipv4Addr>().map_err(io::Error::other)?;
    let _unread = UdpSocket::bind(unread())?;
    serve(server(), address.octets())
}

/// Takes what nobody reads: what a flood costs by itself.
fn unread() -> SocketAddr {
    SocketAddr::new(SERVER.parse().unwrap_or([0, 0, 0, 0].into()), 9)
}

fn server() -> SocketAddr {
    SocketAddr::new(NAME_SERVER.parse().unwrap_or([0, 0, 0, 0].into()), 53)
}

/// Asks for one name again and again, and prints microseconds, one answer a line.
fn ask(count: usize) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect(server())?;
    let mut datagram = [0; 512];
    let mut lines = String::new();
    for number in 0..count {
        // The rate that a sandbox may keep up.
        let begun = Instant::now();
        socket.send(&query(u16::try_from(number).unwrap_or_default(), "warm.test"))?;
        socket.recv(&mut datagram)?;
        let took = begun.elapsed();
        lines.push_str(&format!("{:.1}\n", took.as_secs_f64() * 1e6));
        if let Some(rest) = Duration::from_micros(1_100).checked_sub(took) {
            std::thread::sleep(rest);
        }
    }
    io::stdout().write_all(lines.as_bytes())
}

/// Sends as many questions as it is told, evenly, and takes no answers.
fn flood(to: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(to)?;
    let questions: Vec<Vec<u8>> =
        (0..256).map(|number| query(number, &format!("n{number}.flood.test"))).collect();
    println!("flooding");
    let (begun, mut sent, mut failed) = (Instant::now(), 0_u64, 0_u64);
    while begun.elapsed() < FLOOD {
        let due = u64::try_from(begun.elapsed().as_micros()).unwrap_or_default() * FLOOD_PER_SECOND
            / 1_000_000;
        for question in questions.iter().cycle().take(usize::try_from(due - sent).unwrap_or(0)) {
            failed += u64::from(socket.send(question).is_err());
            sent += 1;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    println!("{:.0} {failed}", sent as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

fn compare() -> io::Result<()> {
    let world = World::new()?;
    let own = std::env::current_exe()?;
    let egress = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/egress");
    let policy = world.folder().join("policy.toml");
    fs::write(
        &policy,
        "[network.domains]\n\"warm.test\" = \"allow\"\n\"**.flood.test\" = \"allow\"\n",
    )?;
    let all = "0-1023";
    let _server = Ends(world.far(all).arg(&own).arg("serve").spawn()?);
    let filtered = || {
        let mut command = world.client(all);
        command.arg(&egress).args(["run", "--policy"]).arg(&policy).arg("--").arg(&own);
        command.stderr(Stdio::null());
        command
    };
    let direct = || {
        let mut command = world.client(all);
        command.arg(&own);
        command
    };
    times(direct(), 20)?;
    let (mut bare, mut through) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(times(direct(), ASKED)?);
        through.push(times(filtered(), ASKED)?);
    }
    let each = |rounds: &[Vec<f64>], at| rounds.iter().map(|r| part(r, at)).collect::<Vec<_>>();
    let line = |what: &str, rounds: &[Vec<f64>]| {
        let (p50, p99) = (median(&each(rounds, 0.5)), median(&each(rounds, 0.99)));
        println!("{what:<34} p50 {p50:>7.1} us   p99 {p99:>7.1} us");
        (p50, p99)
    };
    let (asked, _) = line("the name server itself", &bare);
    let (warm, quiet) = line("a warm name under egress run", &through);
    println!("{:<34} p50 {:>7.1} us", "added", warm - asked);

    // The same datagrams from a program without a filter, to a socket that nobody reads: what any
    // program that is as busy does to others on this machine.
    let mut unfiltered = direct();
    let (beside, _) = beside_flood(unfiltered.args(["flood", "unread"]), &filtered)?;
    let (_, busy) = line("beside an unfiltered flood", &beside);
    let (beside, rate) = beside_flood(filtered().arg("flood"), &filtered)?;
    let (_, under) = line("beside a flood from another run", &beside);
    println!("flood: {rate} (questions a second, sends that failed)");
    println!(
        "p99: {:.2} of quiet, {:.2} of beside the unfiltered one",
        under / quiet,
        under / busy
    );
    Ok(())
}

/// Times while the flood goes on, and what it says of itself.
fn beside_flood(
    flood: &mut Command,
    asking: &dyn Fn() -> Command,
) -> io::Result<(Vec<Vec<f64>>, String)> {
    let mut flooding = flood.stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(flooding.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).lines();
    said.next().transpose()?;
    let (begun, mut rounds) = (Instant::now(), Vec::new());
    while begun.elapsed() < FLOOD - Duration::from_secs(3) {
        rounds.push(times(asking(), ASKED)?);
    }
    let rate = said.next().transpose()?.unwrap_or_default();
    flooding.wait()?;
    Ok((rounds, rate))
}

fn times(mut command: Command, count: usize) -> io::Result<Vec<f64>> {
    let output = command.args(["ask", &count.to_string()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if times.len() == count {
        return Ok(times);
    }
    Err(io::Error::other(format!(
        "{} of {count} questions were answered: {}",
        times.len(),
        String::from_utf8_lossy(&output.stderr)
    )))
}
