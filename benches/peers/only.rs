//! A look at some ways and works while one of them is being changed: ratios on standard output, no report.
use std::io;

use serde_json::Value;

use super::{process, talk, variant::Variant, way::Way};

/// `only WAYS WORKS ROUNDS MILLISECONDS`, with commas: ways by any part of their names, after the direct one.
///
/// # Errors
/// When a way does not start, or a signal asked for the end.
pub(crate) fn run(words: &[&str]) -> io::Result<()> {
    let [ways, works, rounds, milliseconds] = words else {
        return Err(io::Error::other("only WAYS WORKS ROUNDS MILLISECONDS"));
    };
    talk::watch_signals()?;
    let number = |text: &str| text.parse::<u32>().map_err(io::Error::other);
    let (rounds, milliseconds) = (number(rounds)?, number(milliseconds)?);
    let two = process::processors()?;
    let one: Vec<usize> = two.iter().copied().take(1).collect();
    let wanted: Vec<&str> = ways.split(',').collect();
    let mut open = Vec::new();
    for variant in Variant::ALL {
        if variant == Variant::Direct || wanted.iter().any(|part| variant.name().contains(part)) {
            open.push(Way::open(variant, &two, "")?);
        }
    }
    for work in works.split(',') {
        let processors =
            if work.starts_with("up") || work.starts_with("down") { &two } else { &one };
        let mut all: Vec<Vec<[f64; 2]>> = vec![Vec::new(); open.len()];
        for _ in 0..rounds {
            for (way, values) in open.iter_mut().zip(&mut all) {
                way.pin(processors)?;
                let before = way.used_seconds();
                let answer = way.ask(work, milliseconds)?;
                let used = way.used_seconds() - before;
                let number =
                    |value: Option<&Value>| value.and_then(Value::as_f64).unwrap_or(f64::NAN);
                let figure = match answer.get("at") {
                    Some(at) => number(at.get(50)),
                    None => number(answer.get("rate")),
                };
                let each = number(answer.get("octets").or(answer.get("count")));
                values.push([figure, used / each * 1e9]);
            }
        }
        let Some((direct, _)) = all.split_first() else { continue };
        println!("{work}");
        for (way, values) in open.iter().zip(&all) {
            let mut ratios: Vec<[f64; 2]> =
                values.iter().zip(direct).map(|(a, b)| [a[0] / b[0], a[1] / b[1]]).collect();
            let mut quartiles = |which: usize| {
                ratios.sort_by(|a, b| a[which].total_cmp(&b[which]));
                let at = |part: usize| {
                    ratios.get(ratios.len() * part / 4).map_or(f64::NAN, |pair| pair[which])
                };
                format!("{:.2} ({:.2}-{:.2})", at(2), at(1), at(3))
            };
            println!("  {:<22} {}  cpu {}", way.variant.name(), quartiles(0), quartiles(1));
        }
    }
    Ok(())
}
