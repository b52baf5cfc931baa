//! egress and its peers side by side: `cargo xtask bench [--quick]` builds and starts this.
//!
//! Every round gives each variant the same work, in an order of its own; what counts is the ratio to
//! the direct connection of the same round. Needs root: the network is made of namespaces.
use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use benches::world::{Ends, World};

mod load;
mod plot;
mod report;
mod variant;

use report::{Report, Series};
use variant::{Open, Variant};

/// How much is done.
#[derive(Clone, Copy, Debug)]
struct Size {
    rounds: usize,
    connections: usize,
    pings: usize,
    mebibytes: usize,
    idle: usize,
}

const FULL: Size =
    Size { rounds: 9, connections: 3000, pings: 10_000, mebibytes: 512, idle: 10_000 };
const QUICK: Size = Size { rounds: 5, connections: 1000, pings: 3000, mebibytes: 256, idle: 1000 };

/// Everything on one processor: the quiet way to time small things.
const ONE: &str = "0";
const TWO: &str = "0,1";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve"] => load::serve(),
        ["names"] => names(),
        ["load", rest @ ..] => load::run(rest),
        ["knock", port] => variant::knock(port),
        ["--quick"] => compare(QUICK, true),
        [] => compare(FULL, false),
        other => Err(io::Error::other(format!("unknown words {other:?}; use cargo xtask bench"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn names() -> io::Result<()> {
    let at = format!("{}:53", benches::world::NAME_SERVER).parse().map_err(io::Error::other)?;
    benches::dns_wire::serve(at, [93, 184, 216, 34])
}

fn compare(size: Size, quick: bool) -> io::Result<()> {
    let world = World::new()?;
    let mut report = Report::new(quick);
    let own = std::env::current_exe()?;
    let mut ready = Vec::new();
    for variant in Variant::ALL {
        match usable(&world, variant) {
            Ok(()) => ready.push(variant),
            Err(error) => report.missing(variant, &error),
        }
    }
    if !ready.contains(&Variant::Direct) {
        return Err(io::Error::other(
            "not even a direct connection works; is this root, with iproute2?",
        ));
    }
    println!("latency and rate, all on one processor");
    {
        let _servers = servers(&world, &own, ONE)?;
        for round in 0..size.rounds {
            println!("  round {} of {}", round + 1, size.rounds);
            for &variant in &shuffled(&ready, round) {
                let open = Open::new(variant, &world, ONE)?;
                let [rate, p50, p99] =
                    numbers(open.load(&world, ONE, "connect", size.connections)?)
                        .map_err(|error| about(variant, &error))?;
                report.add(Series::Rate, variant, rate);
                report.add(Series::ConnectP50, variant, p50);
                report.add(Series::ConnectP99, variant, p99);
                let [p50, p99] = numbers(open.load(&world, ONE, "ping", size.pings)?)
                    .map_err(|error| about(variant, &error))?;
                report.add(Series::PingP50, variant, p50);
                report.add(Series::PingP99, variant, p99);
                open.close(&world);
            }
        }
    }
    println!("bulk, on two processors");
    {
        let _servers = servers(&world, &own, TWO)?;
        for round in 0..size.rounds {
            println!("  round {} of {}", round + 1, size.rounds);
            for &variant in &shuffled(&ready, round) {
                let open = Open::new(variant, &world, TWO)?;
                for (series, work) in Series::BULK {
                    let moved = numbers(open.load(&world, TWO, work, size.mebibytes)?);
                    let [rate, busy] = moved.unwrap_or_else(|error| {
                        report.note(format!("{}, {work}: {error}", variant.name()));
                        [f64::NAN; 2]
                    });
                    report.add(series, variant, rate);
                    report.add(Series::Cpu, variant, busy / (size.mebibytes as f64 / 1024.0));
                }
                open.close(&world);
            }
        }
        println!("{} idle connections beside a busy one", size.idle);
        for &variant in &ready {
            let open = Open::new(variant, &world, TWO)?;
            match idle(&world, &open, size.idle) {
                Ok([alone, beside, memory]) => {
                    report.add(Series::BusyAlone, variant, alone);
                    report.add(Series::BusyBeside, variant, beside);
                    report.add(Series::Idle, variant, memory);
                }
                Err(error) => report.note(format!(
                    "{} with {} idle connections: {error}",
                    variant.name(),
                    size.idle
                )),
            }
            open.close(&world);
        }
    }
    drop(world);
    report.write(Path::new(env!("CARGO_MANIFEST_DIR")))
}

fn about(variant: Variant, error: &io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", variant.name()))
}

/// Whether the variant carries anything here.
fn usable(world: &World, variant: Variant) -> io::Result<()> {
    let _servers = servers(world, &std::env::current_exe()?, TWO)?;
    let open = Open::new(variant, world, TWO)?;
    let tried = numbers::<3>(open.load(world, TWO, "connect", 3)?);
    open.close(world);
    tried.map(drop)
}

fn servers(world: &World, own: &Path, processors: &str) -> io::Result<[Ends; 2]> {
    let server = Ends(world.far(processors).arg(own).arg("serve").spawn()?);
    let names = Ends(world.far(processors).arg(own).arg("names").spawn()?);
    // The first look-up waits for them as any program would.
    thread::sleep(Duration::from_millis(300));
    Ok([server, names])
}

/// The numbers that a load prints.
fn numbers<const N: usize>(mut command: Command) -> io::Result<[f64; N]> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(said.lines().last().unwrap_or("it printed nothing").to_owned())
    })
}

/// p99 of a busy connection alone and beside the idle ones, in microseconds, and what one of these
/// costs in the way's own processes, in kibibytes.
fn idle(world: &World, open: &Open, count: usize) -> io::Result<[f64; 3]> {
    let mut command = open.load(world, TWO, "idle", count)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut load = Ends(command.spawn()?);
    let mut input = load.0.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut output = BufReader::new(load.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).lines();
    let mut line = move || {
        output.next().transpose()?.ok_or_else(|| io::Error::other("the load ended before its time"))
    };
    line()?;
    let processes = open.processes(load.0.id());
    let before = resident_kib(&processes);
    writeln!(input)?;
    line()?;
    let after = resident_kib(&processes);
    writeln!(input)?;
    let said = line()?;
    let p99: Vec<f64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    let &[alone, beside] = p99.as_slice() else { return Err(io::Error::other(said)) };
    Ok([alone, beside, (after - before).max(0.0) / count as f64])
}

/// Resident memory of processes and their children; the load itself (`load`) is left out.
fn resident_kib(processes: &[u32]) -> f64 {
    let mut all = processes.to_vec();
    let mut at = 0;
    while let Some(&process) = all.get(at) {
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        all.extend(
            children.unwrap_or_default().split(' ').filter_map(|id| id.trim().parse::<u32>().ok()),
        );
        at += 1;
    }
    let is_load = |process: &u32| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let first = line.split(|octet| *octet == 0).next().unwrap_or_default();
        first.ends_with(b"/peers")
    };
    let resident = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()
    };
    all.iter().filter(|process| !is_load(process)).filter_map(resident).sum()
}

/// Another order in each round, the same in each run.
fn shuffled(variants: &[Variant], round: usize) -> Vec<Variant> {
    let mut order = variants.to_vec();
    let mut seed = round as u64 + 1;
    for at in (1..order.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, (seed >> 33) as usize % (at + 1));
    }
    order
}

/// Now, for the report.
fn seconds_since(begun: Instant) -> u64 {
    begun.elapsed().as_secs()
}
