//! How costs grow with what there is: rules, pins, idle connections, sandboxes. Each is measured
//! beside a direct connection at the same moment, so that a machine that changes speed bends no line.
use std::io;

use serde_json::Value;

use super::{
    process,
    report::Report,
    talk::{self, Talk},
    variant::Variant,
    way::{self, Way},
};

/// A line of a chart: values at each size, a round each.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(u32, Vec<f64>)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    /// Of the plot's file.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    /// What grows.
    pub(crate) of: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// Sizes, and how much is done at each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    rules: &'static [u32],
    pins: &'static [u32],
    idle: &'static [u32],
    sandboxes: &'static [u32],
    rounds: usize,
    /// Of each work, in milliseconds.
    time: u32,
}

pub(crate) const FULL: Steps = Steps {
    rules: &[10, 1000, 10_000, 100_000],
    // A sandbox may have 4,096: half of each kind.
    pins: &[2, 20, 200, 4000],
    idle: &[1, 100, 1000, 5000],
    sandboxes: &[1, 10, 100, 1000],
    rounds: 5,
    time: 400,
};
pub(crate) const QUICK: Steps = Steps {
    rules: &[10, 10_000],
    pins: &[2, 500],
    idle: &[1, 500],
    sandboxes: &[1, 10],
    rounds: 2,
    time: 150,
};

/// Pings of which the p99 of a busy connection is taken.
const BUSY: u32 = 3000;

/// Measures all of them.
///
/// # Errors
/// When a signal asked for the end.
pub(crate) fn run(steps: Steps, report: &mut Report) -> io::Result<()> {
    for (what, measure) in [
        ("pins", pins as fn(Steps) -> io::Result<Vec<Growth>>),
        ("rules", rules),
        ("idle connections", idle),
        ("sandboxes", sandboxes),
    ] {
        println!("  growth with {what}");
        match measure(steps) {
            Ok(charts) => charts.into_iter().for_each(|chart| report.grown(chart)),
            Err(error) if talk::is_stop(&error) => return Err(error),
            Err(error) => report.note(format!("growth with {what}: {error}")),
        }
    }
    Ok(())
}

/// The two paths and the direct one, each on one processor.
struct Beside {
    direct: Way,
    kernel: Way,
    proxy: Way,
}

impl Beside {
    fn open(rules: &str) -> io::Result<Self> {
        let one: Vec<usize> = process::processors()?.into_iter().take(1).collect();
        let open = |variant| Way::open(variant, &one, rules);
        Ok(Self {
            direct: open(Variant::Direct)?,
            kernel: open(Variant::EgressKernel)?,
            proxy: open(Variant::EgressProxy)?,
        })
    }

    /// Kernel path and proxy path, a value a round, each by the direct connection's of its round.
    fn ratios(
        &mut self,
        work: &str,
        amount: u32,
        at: usize,
        rounds: usize,
    ) -> io::Result<[Vec<f64>; 2]> {
        let mut ratios = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            let direct = percentile(&self.direct.ask(work, amount)?, at);
            ratios[0].push(percentile(&self.kernel.ask(work, amount)?, at) / direct);
            ratios[1].push(percentile(&self.proxy.ask(work, amount)?, at) / direct);
        }
        Ok(ratios)
    }
}

fn percentile(answer: &Value, at: usize) -> f64 {
    answer.get("at").and_then(|all| all.get(at)).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// Lines of a chart, and what is added to them at each size.
struct Lines(Vec<Line>);

impl Lines {
    fn new(names: &[&'static str]) -> Self {
        Self(names.iter().map(|&name| Line { name, points: Vec::new() }).collect())
    }

    fn add(&mut self, size: u32, values: impl IntoIterator<Item = Vec<f64>>) {
        for (line, values) in self.0.iter_mut().zip(values) {
            line.points.push((size, values));
        }
    }

    fn chart(
        self,
        file: &'static str,
        title: &'static str,
        of: &'static str,
        unit: &'static str,
    ) -> Growth {
        Growth { file, title, of, unit, lines: self.0 }
    }
}

const PATHS: [&str; 2] = ["kernel path", "proxy path"];
const BY_DIRECT: &str = "times direct";

fn rules(steps: Steps) -> io::Result<Vec<Growth>> {
    let mut lines = Lines::new(&PATHS);
    for &size in steps.rules {
        let mut ways = Beside::open(&benches::rules_text(size))?;
        lines.add(size, ways.ratios("connect", steps.time, 50, steps.rounds)?);
    }
    let title = "Connect to first byte, by how many rules the policy has";
    Ok(vec![lines.chart("growth-rules", title, "rules", BY_DIRECT)])
}

fn pins(steps: Steps) -> io::Result<Vec<Growth>> {
    let (mut own, mut shared) = (Lines::new(&PATHS), Lines::new(&PATHS));
    let mut ways = Beside::open("\"**.many.test\" = \"allow\"\n")?;
    for (work, lines) in [("names", &mut own), ("shared", &mut shared)] {
        for &size in steps.pins {
            // Half of what a sandbox may have each: names with an address of their own, then such
            // that share the server's.
            ways.kernel.ask(work, size / 2)?;
            ways.proxy.ask(work, size / 2)?;
            lines.add(size / 2, ways.ratios("connect", steps.time, 50, steps.rounds)?);
        }
    }
    Ok(vec![
        own.chart(
            "growth-pins",
            "Connect to first byte, by how many pins the sandbox has",
            "pins",
            BY_DIRECT,
        ),
        shared.chart(
            "growth-names",
            "Connect to first byte, by how many names the address is pinned for",
            "names",
            BY_DIRECT,
        ),
    ])
}

fn idle(steps: Steps) -> io::Result<Vec<Growth>> {
    let (mut connect, mut busy) = (Lines::new(&PATHS), Lines::new(&PATHS));
    let mut ways = Beside::open("")?;
    let mut open = 0;
    for &size in steps.idle {
        for way in [&mut ways.direct, &mut ways.kernel, &mut ways.proxy] {
            way.ask("idle", size - open)?;
        }
        open = size;
        connect.add(size, ways.ratios("connect", steps.time, 50, steps.rounds)?);
        busy.add(size, ways.ratios("busy", BUSY, 99, steps.rounds)?);
    }
    Ok(vec![
        connect.chart(
            "growth-idle-connect",
            "Connect to first byte, by how many idle connections there are",
            "idle connections",
            BY_DIRECT,
        ),
        busy.chart(
            "growth-idle-busy",
            "p99 of a busy connection's round trip, by how many idle connections there are",
            "idle connections",
            BY_DIRECT,
        ),
    ])
}

fn sandboxes(steps: Steps) -> io::Result<Vec<Growth>> {
    let mut connect = Lines::new(&PATHS);
    let mut memory = Lines::new(&["memory of egress for each, shared pages counted once"]);
    let mut start = Lines::new(&["one more sandbox"]);
    let mut ways = Beside::open("")?;
    // One of them is the way's own.
    let mut others: Vec<Talk> = Vec::new();
    for &size in steps.sandboxes {
        let mut starts = Vec::new();
        while others.len() + 1 < usize::try_from(size).unwrap_or(0) {
            talk::go_on()?;
            let begun = std::time::Instant::now();
            let mut command = ways.proxy.client();
            command.arg(way::egress()).args(["run", "--allow", "other.test", "--"]);
            command.args(["sh", "-c", "echo on; exec cat >&2"]).stderr(std::process::Stdio::null());
            let other = Talk::start(&mut command)?;
            other.line(way::START)?;
            starts.push(begun.elapsed().as_secs_f64() * 1e3);
            others.push(other);
        }
        connect.add(size, ways.ratios("connect", steps.time, 50, steps.rounds)?);
        if !others.is_empty() {
            let roots: Vec<u32> = others.iter().map(Talk::id).collect();
            let egress = process::running(&process::tree(&roots), &way::egress());
            let each = process::resident_kib(&egress) / roots.len() as f64;
            memory.add(size, [vec![each]]);
            start.add(size, [starts]);
        }
    }
    Ok(vec![
        connect.chart(
            "growth-sandboxes",
            "Connect to first byte, by how many sandboxes run",
            "sandboxes",
            BY_DIRECT,
        ),
        memory.chart("growth-memory", "Memory, by how many sandboxes run", "sandboxes", "KiB"),
        start.chart("growth-start", "Time to start one more sandbox", "sandboxes", "ms"),
    ])
}
