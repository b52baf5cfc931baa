//! What needs no network: decisions, loading of policies, and what `egress run` adds to a command.
//! The criterion benches beside this folder take them apart; here they stand for the goals.
use std::{
    hint::black_box,
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use egress_user::{
    config::{self, Assembled, Flags},
    policy::Name,
};

use super::{report::Report, talk, way};

pub(crate) const DECISION_FEW: &str = "policy decision, 10 rules";
pub(crate) const DECISION_MANY: &str = "policy decision, 100,000 rules";
pub(crate) const RELOAD: &str = "text of 100,000 rules to policy and kernel entries";
pub(crate) const RUN_TRUE: &str = "`egress run -- true`, more than `true`";

/// Names of which decisions are timed: allowed, and refused.
const NAMES: [&str; 2] = ["a.b.c.group4.example.com", "a.b.c.unknown.example.org"];

/// # Errors
/// When a signal asked for the end.
pub(crate) fn run(quick: bool, report: &mut Report) -> io::Result<()> {
    println!("  decisions, loading, start");
    let times = if quick { 5 } else { 15 };
    match decisions_and_loading(times) {
        Ok([few, many, reload]) => {
            report.single(DECISION_FEW, "ns", few);
            report.single(DECISION_MANY, "ns", many);
            report.single(RELOAD, "ms", reload);
        }
        Err(error) if talk::is_stop(&error) => return Err(error),
        Err(error) => report.note(format!("decisions and loading: {error}")),
    }
    match starts(2 * times) {
        Ok(added) => report.single(RUN_TRUE, "ms", added),
        Err(error) if talk::is_stop(&error) => return Err(error),
        Err(error) => report.note(format!("egress run -- true: {error}")),
    }
    Ok(())
}

fn decisions_and_loading(times: usize) -> io::Result<[Vec<f64>; 3]> {
    let texts = [10, 100_000].map(benches::policy_text);
    let [mut few, mut many, mut reload] = [const { Vec::new() }; 3];
    for _ in 0..times {
        talk::go_on()?;
        for (text, decisions) in texts.iter().zip([&mut few, &mut many]) {
            let begun = Instant::now();
            let assembled = assemble(text)?;
            black_box(assembled.policy.address_entries());
            let took = begun.elapsed();
            decisions.push(nanoseconds_each(&assembled)?);
            if text.len() > 100_000 {
                reload.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    Ok([few, many, reload])
}

fn assemble(text: &str) -> io::Result<Assembled> {
    let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let loaded = config::parse(text, "bench.toml").map_err(|errors| failed(&errors))?;
    config::assemble_layers(vec![loaded], &Flags::default()).map_err(|errors| failed(&errors))
}

fn nanoseconds_each(assembled: &Assembled) -> io::Result<f64> {
    const TIMES: u32 = 20_000;
    let names = NAMES.map(Name::parse);
    let begun = Instant::now();
    for _ in 0..TIMES {
        for name in &names {
            let name = name.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
            let _ = black_box(assembled.policy.name(black_box(name)));
        }
    }
    Ok(begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES) / names.len() as f64)
}

/// Milliseconds that `egress run -- true` takes longer than `true`.
fn starts(times: usize) -> io::Result<Vec<f64>> {
    (0..times)
        .map(|_| {
            talk::go_on()?;
            let bare = timed(&mut Command::new("true"))?;
            let mut held = Command::new(way::egress());
            held.args(["run", "--", "true"]);
            Ok((timed(&mut held)?.as_secs_f64() - bare.as_secs_f64()) * 1e3)
        })
        .collect()
}

fn timed(command: &mut Command) -> io::Result<Duration> {
    let begun = Instant::now();
    // What it has to say is said where it fails.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(benches::world::Ends)?;
    let status = child.0.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    Ok(begun.elapsed())
}
