//! What came out: `REPORT.md`, `report.json` and the plots.
use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    time::Instant,
};

use benches::stats::part;
use serde_json::{Value, json};

use super::{growth::Growth, variant::Variant};

mod goals;
mod machine;
mod plot;
mod plots;
mod text;

/// A figure of every variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    Rate,
    ConnectP50,
    ConnectP99,
    PingP50,
    PingP99,
    Dns,
    Down,
    Down8,
    Up,
    Up8,
    CpuDown,
    CpuUp,
    Idle,
    BusyAlone,
    BusyBeside,
    BusyGrowth,
}

impl Series {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "connections/s",
            Self::ConnectP50 => "connect to first byte, p50",
            Self::ConnectP99 => "connect to first byte, p99",
            Self::PingP50 => "round trip of 100 bytes, p50",
            Self::PingP99 => "round trip of 100 bytes, p99",
            Self::Dns => "DNS answer, p50",
            Self::Down => "download, 1 stream",
            Self::Down8 => "download, 8 streams",
            Self::Up => "upload, 1 stream",
            Self::Up8 => "upload, 8 streams",
            Self::CpuDown => "CPU per GB, download",
            Self::CpuUp => "CPU per GB, upload",
            Self::Idle => "memory of an idle connection",
            Self::BusyAlone => "busy connection alone, p99",
            Self::BusyBeside => "busy connection beside idle ones, p99",
            Self::BusyGrowth => "beside by alone",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Rate => "1/s",
            Self::Down | Self::Down8 | Self::Up | Self::Up8 => "MB/s",
            Self::CpuDown | Self::CpuUp => "s/GB",
            Self::Idle => "KiB",
            Self::BusyGrowth => "times",
            _ => "us",
        }
    }
}

/// A middle value and the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) middle: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of those values that are numbers; nothing without any.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if values.is_empty() {
            return None;
        }
        let at = |where_| part(&values, where_);
        Some(Self { low: at(0.25), middle: at(0.5), high: at(0.75) })
    }
}

/// A figure that belongs to no variant.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
}

/// Everything measured.
pub(crate) struct Report {
    quick: bool,
    begun: Instant,
    values: Vec<(Series, Variant, Vec<f64>)>,
    /// Percentiles 0 to 100 of each round.
    distributions: Vec<(Series, Variant, Vec<Vec<f64>>)>,
    pub(crate) singles: Vec<Single>,
    growths: Vec<Growth>,
    missing: Vec<(Variant, String)>,
    notes: Vec<String>,
    /// How many idle connections.
    pub(crate) idle: u32,
}

impl Report {
    pub(crate) fn new(quick: bool) -> Self {
        Self {
            quick,
            begun: Instant::now(),
            values: Vec::new(),
            distributions: Vec::new(),
            singles: Vec::new(),
            growths: Vec::new(),
            missing: Vec::new(),
            notes: Vec::new(),
            idle: 0,
        }
    }

    /// One round's value; NaN where there is none, so that the rounds of two variants stay side by side.
    pub(crate) fn add(&mut self, series: Series, variant: Variant, value: f64) {
        entry(&mut self.values, series, variant).push(value);
    }

    /// One round's percentiles.
    pub(crate) fn distribution(&mut self, series: Series, variant: Variant, at: Vec<f64>) {
        entry(&mut self.distributions, series, variant).push(at);
    }

    pub(crate) fn single(&mut self, name: &'static str, unit: &'static str, values: Vec<f64>) {
        self.singles.push(Single { name, unit, values });
    }

    pub(crate) fn grown(&mut self, growth: Growth) {
        self.growths.push(growth);
    }

    /// A variant that is not there is told of, never left out in silence.
    pub(crate) fn missing(&mut self, variant: Variant, why: &io::Error) {
        eprintln!("  {}: not available: {why}", variant.name());
        self.missing.push((variant, why.to_string()));
    }

    pub(crate) fn note(&mut self, note: String) {
        eprintln!("  {note}");
        // Once, though it may be so in every round.
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether anything was measured of it.
    fn has(&self, variant: Variant) -> bool {
        self.values.iter().any(|(_, v, _)| *v == variant)
    }

    /// All of which anything was measured.
    pub(crate) fn shown(&self) -> Vec<Variant> {
        Variant::ALL.into_iter().filter(|&variant| self.has(variant)).collect()
    }

    fn of(&self, series: Series, variant: Variant) -> &[f64] {
        let found = self.values.iter().find(|(s, v, _)| *s == series && *v == variant);
        found.map_or(&[], |(.., values)| values)
    }

    /// Each round's value by the direct connection's of the same round.
    fn ratios(&self, series: Series, variant: Variant) -> Vec<f64> {
        let pairs = self.of(series, variant).iter().zip(self.of(series, Variant::Direct));
        pairs.filter(|(_, direct)| **direct > 0.0).map(|(value, direct)| value / direct).collect()
    }

    /// The middle of the rounds' percentiles, 0 to 100.
    fn percentiles(&self, series: Series, variant: Variant) -> Vec<f64> {
        let found = self.distributions.iter().find(|(s, v, _)| *s == series && *v == variant);
        let rounds = found.map_or(&[][..], |(.., rounds)| rounds);
        let middle = |n: usize| {
            let values: Vec<f64> = rounds.iter().filter_map(|at| at.get(n).copied()).collect();
            Spread::of(&values).map(|spread| spread.middle)
        };
        (0..=100).filter_map(middle).collect()
    }

    fn find_single(&self, name: &str) -> Option<&Single> {
        self.singles.iter().find(|single| single.name == name)
    }

    /// Writes everything below this folder; a quick look below `target/bench` instead.
    ///
    /// # Errors
    /// When files cannot be written or drawn.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let text = self.text();
        println!("\n{text}");
        // A quick look changes nothing that is kept.
        let to = if self.quick { folder.join("../target/bench") } else { folder.to_owned() };
        fs::create_dir_all(to.join("plots"))?;
        fs::write(to.join("REPORT.md"), &text)?;
        fs::write(to.join("report.json"), format!("{:#}\n", self.json()))?;
        let mut files =
            vec![to.clone(), to.join("plots"), to.join("REPORT.md"), to.join("report.json")];
        files.extend(self.draw(&to.join("plots"))?);
        // This runs as root in somebody's checkout.
        let owner = fs::metadata(folder)?;
        for file in files {
            chown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        println!("written to {}", to.display());
        Ok(())
    }

    fn json(&self) -> Value {
        let values = self.values.iter().map(|(series, variant, values)| {
            json!({ "figure": series.name(), "unit": series.unit(), "variant": variant.name(), "rounds": values })
        });
        let curves = self.distributions.iter().map(|(series, variant, _)| {
            let name = series.name().trim_end_matches(", p50");
            let at = self.percentiles(*series, *variant);
            json!({ "figure": name, "unit": series.unit(), "variant": variant.name(), "percentiles": at })
        });
        let singles = self
            .singles
            .iter()
            .map(|one| json!({ "figure": one.name, "unit": one.unit, "rounds": one.values }));
        let missing = self
            .missing
            .iter()
            .map(|(variant, why)| json!({ "variant": variant.name(), "why": why }));
        let growths = self.growths.iter().map(|growth| {
            let lines = growth.lines.iter().map(|line| json!({ "name": line.name, "points": line.points }));
            json!({ "figure": growth.title, "of": growth.of, "unit": growth.unit, "lines": lines.collect::<Vec<_>>() })
        });
        json!({
            "machine": machine::lines(),
            "quick": self.quick,
            "missing": missing.collect::<Vec<_>>(),
            "notes": self.notes,
            "values": values.collect::<Vec<_>>(),
            "distributions": curves.collect::<Vec<_>>(),
            "single": singles.collect::<Vec<_>>(),
            "growth": growths.collect::<Vec<_>>(),
        })
    }
}

fn entry<T>(
    all: &mut Vec<(Series, Variant, Vec<T>)>,
    series: Series,
    variant: Variant,
) -> &mut Vec<T> {
    let at = all.iter().position(|(s, v, _)| *s == series && *v == variant).unwrap_or(all.len());
    if at == all.len() {
        all.push((series, variant, Vec::new()));
    }
    &mut all[at].2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_one_round_and_a_hole_stays_a_hole() {
        let mut report = Report::new(true);
        for (direct, squid) in [(100.0, 50.0), (10.0, f64::NAN), (200.0, 50.0)] {
            report.add(Series::Down, Variant::Direct, direct);
            report.add(Series::Down, Variant::Squid, squid);
        }
        let ratios = report.ratios(Series::Down, Variant::Squid);
        assert_eq!((ratios.len(), ratios[0], ratios[2]), (3, 0.5, 0.25));
        assert!(ratios[1].is_nan());
        let spread = Spread::of(&ratios).unwrap();
        assert!((0.25..=0.5).contains(&spread.middle));
        assert_eq!(Spread::of(&[f64::NAN]), None);
    }

    #[test]
    fn percentiles_are_the_middle_of_the_rounds() {
        let mut report = Report::new(true);
        for base in [0.0, 1000.0, 5.0] {
            let at = (0..=100).map(|n| base + f64::from(n)).collect();
            report.distribution(Series::PingP50, Variant::Direct, at);
        }
        let at = report.percentiles(Series::PingP50, Variant::Direct);
        assert_eq!((at.len(), at[0], at[99]), (101, 5.0, 104.0));
    }
}
