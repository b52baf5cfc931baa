//! What the windows say together.
use std::{collections::BTreeMap, fmt};

use benches::stats::{median, spread};

use super::{FLOODERS, FLOODS};

/// What is measured, in the order of a client's words.
const KINDS: [&str; 3] = ["DNS", "connect, kernel path", "connect, proxy path"];

/// By flood and flooder, of each round: p50 and p99 of each kind.
#[derive(Default)]
pub(crate) struct Report {
    windows: BTreeMap<(&'static str, &'static str), Vec<[f64; 2 * KINDS.len()]>>,
    rates: BTreeMap<(&'static str, &'static str), Vec<f64>>,
}

impl Report {
    /// Takes what a client has said of its window, and what the flooder said.
    pub(crate) fn add(&mut self, flood: &'static str, who: &'static str, said: &str, rate: &str) {
        let mut window = [0.0; 2 * KINDS.len()];
        for (at, word) in window.iter_mut().zip(said.split_whitespace()) {
            *at = word.parse().unwrap_or(f64::NAN);
        }
        self.windows.entry((flood, who)).or_default().push(window);
        self.rates.entry((flood, who)).or_default().extend(rate.trim().parse::<f64>());
    }

    fn column(&self, flood: &'static str, who: &'static str, at: usize) -> Vec<f64> {
        let windows = self.windows.get(&(flood, who)).map(Vec::as_slice).unwrap_or_default();
        windows.iter().filter_map(|window| window.get(at).copied()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratios = |a: &[f64], b: &[f64]| {
            let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b).collect();
            spread(&ratios)
        };
        writeln!(f, "p50 / p99 in us; ratios of p99 within a round, with quartiles")?;
        for flood in FLOODS {
            let rate = |who| self.rates.get(&(flood, who)).map_or(0.0, |rates| median(rates));
            let rates: Vec<String> =
                FLOODERS.iter().map(|who| format!("{who} {:.0}", rate(*who))).collect();
            writeln!(f, "\nflood of {flood}, a second: {}", rates.join(", "))?;
            for (kind, name) in KINDS.into_iter().enumerate() {
                let (half, most) = (2 * kind, 2 * kind + 1);
                write!(f, "  {name:<22}")?;
                for who in ["quiet"].into_iter().chain(FLOODERS) {
                    let (p50, p99) = (self.column(flood, who, half), self.column(flood, who, most));
                    write!(f, " {who} {:.0}/{:.0}", median(&p50), median(&p99))?;
                }
                let house = self.column(flood, "house", most);
                let by = |who| ratios(&house, &self.column(flood, who, most));
                writeln!(
                    f,
                    "\n{:25}house by other {}, by outside {}, by quiet {}",
                    "",
                    by("other"),
                    by("outside"),
                    by("quiet")
                )?;
            }
        }
        Ok(())
    }
}
