//! The rounds: which work, for whom, in which order.
use std::io;

use serde_json::Value;

use super::{
    process,
    report::{Report, Series},
    talk,
    variant::Variant,
    way::Way,
};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    rounds: usize,
    /// Of each work, in milliseconds.
    time: u32,
    lookups: u32,
    idle: u32,
    idle_rounds: usize,
}

pub(crate) const FULL: Size =
    Size { rounds: 7, time: 700, lookups: 300, idle: 10_000, idle_rounds: 3 };
pub(crate) const QUICK: Size =
    Size { rounds: 3, time: 350, lookups: 150, idle: 1000, idle_rounds: 1 };

/// Pings of which the p99 of a busy connection is taken.
const BUSY: u32 = 5000;

/// The load's word, and what its answer is.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Quantiles: the median, p99.
    Times(&'static str, Series, Option<Series>),
    Rate(&'static str, Series),
    /// A rate, and what processors work for it.
    Bulk(&'static str, Series, Option<Series>),
}

/// With everything on one processor: the quiet way to time small things.
const SMALL: [Work; 4] = [
    Work::Times("ping", Series::PingP50, Some(Series::PingP99)),
    Work::Times("connect", Series::ConnectP50, Some(Series::ConnectP99)),
    Work::Rate("rate", Series::Rate),
    Work::Times("dns", Series::Dns, None),
];
/// On two.
const LARGE: [Work; 4] = [
    Work::Bulk("down", Series::Down, Some(Series::CpuDown)),
    Work::Bulk("up", Series::Up, Some(Series::CpuUp)),
    Work::Bulk("down8", Series::Down8, None),
    Work::Bulk("up8", Series::Up8, None),
];

/// Opens all ways and gives them their rounds.
///
/// # Errors
/// When there is no direct connection to compare with, or a signal asked for the end.
pub(crate) fn run(size: Size, report: &mut Report) -> io::Result<()> {
    let two = process::processors()?;
    let one: Vec<usize> = two.iter().copied().take(1).collect();
    let mut ways = Vec::new();
    for variant in Variant::ALL {
        println!("  starting: {}", variant.name());
        match Way::open(variant, &two, "") {
            Ok(way) => ways.push(way),
            Err(error) if variant == Variant::Direct || talk::is_stop(&error) => {
                return Err(error);
            }
            Err(error) => report.missing(variant, &error),
        }
    }
    for round in 0..size.rounds {
        println!("  round {} of {}", round + 1, size.rounds);
        for (works, processors) in [(SMALL, &one), (LARGE, &two)] {
            for way in &mut ways {
                way.pin(processors)?;
            }
            for (number, work) in works.into_iter().enumerate() {
                for variant in shuffled(&ways, round * works.len() + number) {
                    give(work, variant, &mut ways, size, report)?;
                }
            }
        }
    }
    Ok(())
}

/// Gives one way one work. One that does not come back from it is taken down, and told of.
fn give(
    work: Work,
    variant: Variant,
    ways: &mut Vec<Way>,
    size: Size,
    report: &mut Report,
) -> io::Result<()> {
    let asks_names = matches!(variant, Variant::Direct | Variant::EgressProxy);
    let (Work::Times(word, ..) | Work::Rate(word, _) | Work::Bulk(word, ..)) = work;
    if word == "dns" && !asks_names {
        return Ok(());
    }
    let amount = if word == "dns" { size.lookups } else { size.time };
    let Some(at) = ways.iter().position(|way| way.variant == variant) else { return Ok(()) };
    let Some(way) = ways.get_mut(at) else { return Ok(()) };
    let before = way.used_seconds();
    let answer = match way.ask(word, amount) {
        Ok(answer) => answer,
        Err(error) if talk::is_stop(&error) => return Err(error),
        Err(error) => {
            report.note(format!("{}, {word}: {error}", variant.name()));
            if error.kind() != io::ErrorKind::Other {
                report.note(format!("{}: not available from here on", variant.name()));
                drop(ways.remove(at));
            }
            Value::Null
        }
    };
    let used = way_used(ways, variant).map_or(f64::NAN, |after| after - before);
    let number = |key: &str| answer.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    match work {
        Work::Times(_, p50, p99) => {
            let percentiles = percentiles(&answer);
            let at = |n: usize| percentiles.get(n).copied().unwrap_or(f64::NAN);
            report.add(p50, variant, at(50));
            if let Some(p99) = p99 {
                report.add(p99, variant, at(99));
            }
            report.distribution(p50, variant, percentiles);
        }
        Work::Rate(_, series) => report.add(series, variant, number("rate")),
        Work::Bulk(_, series, cpu) => {
            report.add(series, variant, number("rate"));
            if let Some(cpu) = cpu {
                report.add(cpu, variant, used / (number("bytes") / 1e9));
            }
        }
    }
    Ok(())
}

fn way_used(ways: &[Way], variant: Variant) -> Option<f64> {
    ways.iter().find(|way| way.variant == variant).map(Way::used_seconds)
}

fn percentiles(answer: &Value) -> Vec<f64> {
    let values = answer.get("at").and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// Idle connections beside a busy one, each time in a way that is fresh: memory that was in use
/// before would hide what they cost.
///
/// # Errors
/// When a signal asked for the end.
pub(crate) fn idle(size: Size, descriptors: u64, report: &mut Report) -> io::Result<()> {
    // A proxy has two for each, and some for itself.
    let most = u32::try_from(descriptors.saturating_sub(200) / 2).unwrap_or(u32::MAX);
    let idle = size.idle.min(most);
    if idle < size.idle {
        report.note(format!(
            "{idle} idle connections instead of {}: this machine lets a program have {descriptors} open files",
            size.idle
        ));
    }
    println!("  {idle} idle connections beside a busy one");
    report.idle = idle;
    let one: Vec<usize> = process::processors()?.into_iter().take(1).collect();
    for _ in 0..size.idle_rounds {
        for variant in report.shown() {
            match idle_once(variant, &one, idle) {
                Ok([alone, beside, memory]) => {
                    report.add(Series::BusyAlone, variant, alone);
                    report.add(Series::BusyBeside, variant, beside);
                    report.add(Series::BusyGrowth, variant, beside / alone);
                    report.add(Series::Idle, variant, memory);
                }
                Err(error) if talk::is_stop(&error) => return Err(error),
                Err(error) => {
                    let name = variant.name();
                    report.note(format!("{name} with {idle} idle connections: {error}"));
                }
            }
        }
    }
    Ok(())
}

/// p99 of a busy connection alone and beside the idle ones, in microseconds, and what one of these
/// costs what stands in between, in KiB.
fn idle_once(variant: Variant, processors: &[usize], count: u32) -> io::Result<[f64; 3]> {
    let mut way = Way::open(variant, processors, "")?;
    let p99 = |answer: &Value| percentiles(answer).get(99).copied().unwrap_or(f64::NAN);
    let alone = p99(&way.ask("busy", BUSY)?);
    let before = way.resident_kib();
    way.ask("idle", count)?;
    let memory = (way.resident_kib() - before).max(0.0) / f64::from(count);
    let beside = p99(&way.ask("busy", BUSY)?);
    way.ask("forget", 0)?;
    Ok([alone, beside, memory])
}

/// Another order each time, the same in each run.
fn shuffled(ways: &[Way], time: usize) -> Vec<Variant> {
    let mut order: Vec<_> = ways.iter().map(|way| way.variant).collect();
    shuffle(&mut order, time);
    order
}

fn shuffle<T>(order: &mut [T], time: usize) {
    let mut seed = time as u64 + 1;
    for at in (1..order.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, (seed >> 33) as usize % (at + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::shuffle;

    #[test]
    fn every_place_is_taken_by_everybody() {
        let mut places = [[false; 8]; 8];
        for time in 0..72 {
            let mut order: Vec<usize> = (0..8).collect();
            shuffle(&mut order, time);
            for (place, &who) in order.iter().enumerate() {
                places[place][who] = true;
            }
            order.sort_unstable();
            assert_eq!(order, (0..8).collect::<Vec<_>>());
        }
        assert!(places.iter().flatten().all(|&taken| taken), "{places:?}");
    }
}
