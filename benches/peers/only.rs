//! A look at some ways and works while one of them is being changed, and two builds in turn: ratios on
//! standard output, no report.
use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use benches::stats;
use serde_json::Value;

use super::{
    process, talk,
    variant::Variant,
    way::{self, Way},
};

const USAGE: &str = "only [--binary A --binary B] WAYS WORKS ROUNDS MILLISECONDS";

/// The work that needs no way: `egress run -- true`, from start to end.
const START: &str = "start";

/// Behind a work that is done on one processor otherwise: on two.
const ON_TWO: &str = "@2";

/// Lookups of a round, whose cost does not depend on the time given.
const LOOKUPS: u32 = 300;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    /// None: the one that cargo's release profile has built here. Two: the second by the first.
    binaries: Option<[PathBuf; 2]>,
    ways: Vec<&'a str>,
    works: Vec<&'a str>,
    rounds: u32,
    milliseconds: u32,
}

impl<'a> Request<'a> {
    fn parse(words: &[&'a str]) -> io::Result<Self> {
        let usage = || io::Error::other(USAGE);
        let (binaries, rest) = match words {
            ["--binary", a, "--binary", b, rest @ ..] => (Some([a.into(), b.into()]), rest),
            rest => (None, rest),
        };
        let [ways, works, rounds, milliseconds] = rest else { return Err(usage()) };
        let number = |text: &str| text.parse::<u32>().map_err(|_| usage());
        Ok(Self {
            binaries,
            ways: ways.split(',').collect(),
            works: works.split(',').collect(),
            rounds: number(rounds)?,
            milliseconds: number(milliseconds)?,
        })
    }

    /// Builds are compared on the ways of egress alone: `proxy` is no wish for haproxy there.
    fn wants(&self, variant: Variant) -> bool {
        let is_named = self.ways.iter().any(|part| variant.name().contains(part));
        let is_ours = self.binaries.is_none() || variant.path().is_some();
        variant == Variant::Direct || is_named && is_ours
    }
}

/// `only [--binary A --binary B] WAYS WORKS ROUNDS MILLISECONDS`, with commas: ways by any part of their
/// names, after the direct one. With two binaries every way of egress is opened with each of them, and
/// each round gives the work to both, in turn the one and the other first.
///
/// # Errors
/// When a way does not start, or a signal asked for the end.
pub(crate) fn run(words: &[&str]) -> io::Result<()> {
    let request = Request::parse(words)?;
    talk::watch_signals()?;
    let two = process::processors()?;
    let one: Vec<usize> = two.iter().copied().take(1).collect();
    let builds = match &request.binaries {
        Some(binaries) => binaries.to_vec(),
        None => vec![way::egress()],
    };
    if let [a, b] = builds.as_slice() {
        println!("A: {}\nB: {}", a.display(), b.display());
    }
    let mut open = Vec::new();
    // A way is a network of its own with servers: only for works that go through it.
    if request.works.iter().any(|&work| work != START) {
        for variant in Variant::ALL.into_iter().filter(|&variant| request.wants(variant)) {
            let of_egress = variant.path().is_some();
            for (build, program) in builds.iter().enumerate() {
                if of_egress || build == 0 {
                    let way = Way::with(variant, program, &two, "")?;
                    open.push(Series { variant, build, way: Some(way), rounds: Vec::new() });
                }
            }
        }
    }
    for &work in &request.works {
        if work == START {
            starts(&builds, request.rounds)?;
            continue;
        }
        let (work, is_wide) = match work.strip_suffix(ON_TWO) {
            Some(work) => (work, true),
            None => (work, work.starts_with("up") || work.starts_with("down")),
        };
        let amount = if work == "dns" { LOOKUPS } else { request.milliseconds };
        measure(&mut open, work, amount, if is_wide { &two } else { &one }, request.rounds)?;
        tell(work, &open, builds.len());
    }
    Ok(())
}

/// One way through one build, and what its rounds of a work gave.
#[derive(Debug)]
struct Series {
    variant: Variant,
    build: usize,
    /// None in tests.
    way: Option<Way>,
    rounds: Vec<Figures>,
}

/// What a round of a work gave.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// The median time, or the rate.
    middle: f64,
    /// The 99th percentile, for works of times.
    p99: Option<f64>,
    /// Processor seconds for each byte, connection or round trip.
    used: f64,
}

fn measure(
    open: &mut [Series],
    work: &str,
    amount: u32,
    processors: &[usize],
    rounds: u32,
) -> io::Result<()> {
    for series in &mut *open {
        series.rounds.clear();
    }
    for round in 0..rounds {
        for place in 0..open.len() {
            // In turn from both ends, so that neither build is always the first.
            let at = if round % 2 == 0 { place } else { open.len() - 1 - place };
            let Some(series) = open.get_mut(at) else { continue };
            let Some(way) = &mut series.way else { continue };
            way.pin(processors)?;
            let before = way.used_seconds();
            let answer = way.ask(work, amount)?;
            let used = way.used_seconds() - before;
            series.rounds.push(Figures::of(&answer, used));
        }
    }
    Ok(())
}

impl Figures {
    fn of(answer: &Value, used: f64) -> Self {
        let number = |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or(f64::NAN);
        let each = number(answer.get("bytes").or(answer.get("count")));
        let (middle, p99) = match answer.get("at") {
            Some(at) => (number(at.get(50)), Some(number(at.get(99)))),
            None => (number(answer.get("rate")), None),
        };
        Self { middle, p99, used: used / each }
    }

    fn by(self, other: Self) -> Self {
        Self {
            middle: self.middle / other.middle,
            p99: self.p99.zip(other.p99).map(|(own, its)| own / its),
            used: self.used / other.used,
        }
    }
}

fn tell(work: &str, open: &[Series], builds: usize) {
    println!("{work}");
    let Some((direct, _)) = open.split_first() else { return };
    for series in open {
        let build = match (builds, series.variant.path()) {
            (2, Some(_)) => [", A", ", B"].get(series.build).copied().unwrap_or_default(),
            _ => "",
        };
        row(&format!("{}{build}", series.variant.name()), &ratios(series, direct));
    }
    for second in open.iter().filter(|series| series.build == 1) {
        let first = |one: &&Series| one.variant == second.variant && one.build == 0;
        if let Some(first) = open.iter().find(first) {
            row(&format!("{}, B by A", second.variant.name()), &ratios(second, first));
        }
    }
}

/// Round by round.
fn ratios(own: &Series, other: &Series) -> Vec<Figures> {
    own.rounds.iter().zip(&other.rounds).map(|(own, other)| own.by(*other)).collect()
}

fn row(name: &str, ratios: &[Figures]) {
    let spread = |of: &dyn Fn(&Figures) -> Option<f64>| {
        let values: Vec<_> = ratios.iter().filter_map(of).filter(|one| one.is_finite()).collect();
        (!values.is_empty()).then(|| stats::spread(&values))
    };
    let columns = [
        spread(&|figures| Some(figures.middle)),
        spread(&|figures| figures.p99).map(|text| format!("p99 {text}")),
        spread(&|figures| Some(figures.used)).map(|text| format!("cpu {text}")),
    ];
    let columns: Vec<_> = columns.into_iter().flatten().collect();
    println!("  {name:<28} {}", columns.join("  "));
}

/// `egress run -- true` with each build beside bare `true`.
fn starts(builds: &[PathBuf], rounds: u32) -> io::Result<()> {
    let mut bare = Vec::new();
    let mut all = vec![Vec::new(); builds.len()];
    // The first of each is not counted: what it reads from disk the others find in memory.
    for round in 0..=rounds {
        let direct = timed(&mut Command::new("true"))?;
        for place in 0..builds.len() {
            let at = if round % 2 == 0 { place } else { builds.len() - 1 - place };
            let (Some(program), Some(times)) = (builds.get(at), all.get_mut(at)) else { continue };
            let mut command = Command::new(program);
            command.args(["run", "--user", "nobody", "--", "true"]);
            let time = timed(&mut command)?;
            if round > 0 {
                times.push(time - direct);
            }
        }
        if round > 0 {
            bare.push(direct);
        }
        talk::go_on()?;
    }
    println!(
        "{START} (milliseconds that `run` adds to `true`, which takes {:.1})",
        stats::median(&bare)
    );
    for (times, name) in all.iter().zip(["A", "B"]) {
        println!("  {name:<28} {}", stats::spread(times));
    }
    if let [a, b] = all.as_slice() {
        let ratios: Vec<f64> = b.iter().zip(a).map(|(b, a)| b / a).collect();
        println!("  {:<28} {}", "B by A", stats::spread(&ratios));
    }
    Ok(())
}

/// Milliseconds from its start to its end.
fn timed(command: &mut Command) -> io::Result<f64> {
    let name = Path::new(command.get_program()).display().to_string();
    let begun = Instant::now();
    let status =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let time = begun.elapsed();
    if !status.success() {
        return Err(io::Error::other(format!("{name} run -- true failed ({status}); root?")));
    }
    Ok(time.as_secs_f64() * Duration::from_secs(1).as_millis() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_builds_are_asked_for_before_the_rest() {
        let words = ["--binary", "a", "--binary", "b", "kernel,proxy", "connect", "7", "400"];
        let request = Request::parse(&words).unwrap();
        assert_eq!(request.binaries, Some(["a".into(), "b".into()]));
        assert_eq!((request.ways, request.rounds), (vec!["kernel", "proxy"], 7));
        assert_eq!(Request::parse(&words[4..]).unwrap().binaries, None);
        for wrong in [&words[..2], &words[..7], &words[2..], &["a", "b", "c", "d"]] {
            assert_eq!(Request::parse(wrong).unwrap_err().to_string(), USAGE);
        }
    }

    #[test]
    fn builds_are_compared_round_by_round() {
        let series = |build, times: [f64; 2]| Series {
            variant: Variant::EgressProxy,
            build,
            way: None,
            rounds: times.map(|middle| Figures { middle, p99: Some(middle), used: 1.0 }).to_vec(),
        };
        // The machine was half as fast in the second round: the ratio does not show it.
        let ratios = ratios(&series(1, [11.0, 22.0]), &series(0, [10.0, 20.0]));
        assert_eq!(ratios.iter().map(|one| one.middle).collect::<Vec<_>>(), [1.1, 1.1]);
    }
}
