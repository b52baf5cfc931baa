//! What came out: `REPORT.md`, `report.json` and the plots.
use std::{fmt::Write as _, fs, io, path::Path, process::Command, time::Instant};

use benches::stats::{median, spread};
use serde_json::{Value, json};

use super::{plot, seconds_since, variant::Variant};

/// A figure of every variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    Rate,
    ConnectP50,
    ConnectP99,
    PingP50,
    PingP99,
    Down,
    Down8,
    Up,
    Up8,
    Cpu,
    Idle,
    BusyAlone,
    BusyBeside,
}

impl Series {
    /// Those of bulk transfers, with the load's word for each.
    pub(crate) const BULK: [(Self, &'static str); 4] =
        [(Self::Down, "down"), (Self::Down8, "down8"), (Self::Up, "up"), (Self::Up8, "up8")];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "connections/s",
            Self::ConnectP50 => "connect to first octet, p50",
            Self::ConnectP99 => "connect to first octet, p99",
            Self::PingP50 => "round trip of 100 octets, p50",
            Self::PingP99 => "round trip of 100 octets, p99",
            Self::Down => "download, 1 stream",
            Self::Down8 => "download, 8 streams",
            Self::Up => "upload, 1 stream",
            Self::Up8 => "upload, 8 streams",
            Self::Cpu => "CPU per GiB",
            Self::Idle => "memory per idle connection",
            Self::BusyAlone => "busy connection alone, p99",
            Self::BusyBeside => "busy connection beside idle ones, p99",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Rate => "1/s",
            Self::Down | Self::Down8 | Self::Up | Self::Up8 => "MB/s",
            Self::Cpu => "s",
            Self::Idle => "KiB",
            _ => "us",
        }
    }
}

/// Everything measured.
pub(crate) struct Report {
    quick: bool,
    begun: Instant,
    values: Vec<(Series, Variant, Vec<f64>)>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(quick: bool) -> Self {
        Self { quick, begun: Instant::now(), values: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn add(&mut self, series: Series, variant: Variant, value: f64) {
        let found = self.values.iter_mut().find(|(s, v, _)| *s == series && *v == variant);
        match found {
            Some((.., values)) => values.push(value),
            None => self.values.push((series, variant, vec![value])),
        }
    }

    /// A variant that is not there is told of, never left out in silence.
    pub(crate) fn missing(&mut self, variant: Variant, why: &io::Error) {
        self.note(format!("{}: not available: {why}", variant.name()));
    }

    pub(crate) fn note(&mut self, note: String) {
        eprintln!("  {note}");
        self.notes.push(note);
    }

    fn of(&self, series: Series, variant: Variant) -> &[f64] {
        let found = self.values.iter().find(|(s, v, _)| *s == series && *v == variant);
        found.map_or(&[], |(.., values)| values)
    }

    /// Each round's value by the direct connection's of the same round.
    pub(crate) fn ratios(&self, series: Series, variant: Variant) -> Vec<f64> {
        let direct = self.of(series, Variant::Direct);
        let values = self.of(series, variant);
        values
            .iter()
            .zip(direct)
            .filter(|(value, direct)| !value.is_nan() && **direct > 0.0)
            .map(|(a, b)| a / b)
            .collect()
    }

    fn shown(&self) -> Vec<Variant> {
        let measured = |variant: &Variant| !self.of(Series::Rate, *variant).is_empty();
        Variant::ALL.into_iter().filter(measured).collect()
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let text = self.text();
        print!("{text}");
        // A quick look changes nothing that is kept.
        let folder = if self.quick { folder.join("../target/bench") } else { folder.to_owned() };
        fs::create_dir_all(folder.join("plots"))?;
        fs::write(folder.join("REPORT.md"), &text)?;
        fs::write(folder.join("report.json"), format!("{:#}\n", self.json()))?;
        for (file, title, series, best) in [
            (
                "throughput",
                "Bulk, part of a direct connection's",
                &[Series::Down, Series::Up, Series::Down8, Series::Up8][..],
                "more is better",
            ),
            (
                "latency",
                "Latency, times a direct connection's",
                &[Series::ConnectP50, Series::ConnectP99, Series::PingP50, Series::PingP99],
                "less is better",
            ),
            (
                "connections",
                "Connections a second, part of direct",
                &[Series::Rate],
                "more is better",
            ),
            (
                "cpu",
                "CPU time a byte, times a direct connection's",
                &[Series::Cpu],
                "less is better",
            ),
        ] {
            let rows: Vec<_> = self
                .shown()
                .into_iter()
                .filter(|v| *v != Variant::Direct)
                .map(|variant| {
                    let bars = series.iter().map(|&s| median(&self.ratios(s, variant))).collect();
                    (variant.name(), bars)
                })
                .collect();
            let names: Vec<_> = series.iter().map(|s| s.name()).collect();
            let path = folder.join(format!("plots/{file}.svg"));
            plot::bars(&path, title, best, &names, &rows).map_err(io::Error::other)?;
        }
        let idle: Vec<_> = self
            .shown()
            .into_iter()
            .filter(|v| *v != Variant::Direct)
            .map(|variant| (variant.name(), vec![median(self.of(Series::Idle, variant))]))
            .collect();
        plot::bars(
            &folder.join("plots/memory.svg"),
            "Memory of an idle connection, KiB",
            "less is better",
            &["KiB"],
            &idle,
        )
        .map_err(io::Error::other)?;
        println!("written to {}", folder.display());
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = String::from("# egress beside its peers\n\n");
        let kind = if self.quick { "cargo xtask bench --quick" } else { "cargo xtask bench" };
        let _ =
            writeln!(text, "Made by `{kind}` in {} s. {}\n", seconds_since(self.begun), machine());
        let _ = writeln!(
            text,
            "Ratios to a direct connection of the same round: the middle of all rounds, and the quartiles. Latency and rates with everything on one processor, bulk on two. \
             Absolute figures are in `report.json`; on a shared machine they mean little.\n"
        );
        let shown = self.shown();
        for part in [
            &[
                Series::Rate,
                Series::ConnectP50,
                Series::ConnectP99,
                Series::PingP50,
                Series::PingP99,
            ][..],
            &[Series::Down, Series::Down8, Series::Up, Series::Up8, Series::Cpu],
        ] {
            let _ = writeln!(
                text,
                "| | {} |",
                part.iter().map(|s| s.name()).collect::<Vec<_>>().join(" | ")
            );
            let _ = writeln!(text, "|---|{}", "---|".repeat(part.len()));
            for &variant in &shown {
                let cells: Vec<_> =
                    part.iter().map(|&s| spread(&self.ratios(s, variant))).collect();
                let _ = writeln!(text, "| {} | {} |", variant.name(), cells.join(" | "));
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "| | {} |",
            [Series::Idle, Series::BusyAlone, Series::BusyBeside].map(Series::name).join(" | ")
        );
        let _ = writeln!(text, "|---|---|---|---|");
        for &variant in &shown {
            let value = |series| median(self.of(series, variant));
            let _ = writeln!(
                text,
                "| {} | {:.1} KiB | {:.0} us | {:.0} us |",
                variant.name(),
                value(Series::Idle),
                value(Series::BusyAlone),
                value(Series::BusyBeside)
            );
        }
        text.push_str(&self.goals());
        if !self.notes.is_empty() {
            let _ = writeln!(
                text,
                "\n{}",
                self.notes.iter().map(|n| format!("- {n}")).collect::<Vec<_>>().join("\n")
            );
        }
        text
    }

    /// What the project wants to reach, beside what it has.
    fn goals(&self) -> String {
        let (kernel, proxy) = (Variant::EgressKernel, Variant::EgressProxy);
        let ratio = |series, variant| median(&self.ratios(series, variant));
        let beside = |variant| {
            median(self.of(Series::BusyBeside, variant))
                / median(self.of(Series::BusyAlone, variant)).max(1.0)
        };
        let rows = [
            ("kernel path, download of one stream", ratio(Series::Down, kernel), ">=", 0.98),
            ("kernel path, upload of one stream", ratio(Series::Up, kernel), ">=", 0.98),
            ("kernel path, round trip p50", ratio(Series::PingP50, kernel), "<=", 1.02),
            (
                "kernel path, connect to first octet p50",
                ratio(Series::ConnectP50, kernel),
                "<=",
                1.05,
            ),
            ("kernel path, connections/s", ratio(Series::Rate, kernel), ">=", 0.95),
            ("proxy path, download of one stream", ratio(Series::Down, proxy), ">=", 0.70),
            ("proxy path, upload of one stream", ratio(Series::Up, proxy), ">=", 0.70),
            ("proxy path, connect to first octet p50", ratio(Series::ConnectP50, proxy), "<=", 2.2),
            ("proxy path, connect to first octet p99", ratio(Series::ConnectP99, proxy), "<=", 2.5),
            ("proxy path, KiB an idle connection", median(self.of(Series::Idle, proxy)), "<=", 3.0),
            ("proxy path, busy p99 beside the idle ones, times alone", beside(proxy), "<=", 1.2),
        ];
        let mut text =
            String::from("\n## Goals\n\n| figure | goal | measured | |\n|---|---|---|---|\n");
        for (what, value, relation, goal) in rows {
            if value == 0.0 {
                let _ = writeln!(text, "| {what} | {relation} {goal} | not measured | |");
                continue;
            }
            let met = if relation == ">=" { value >= goal } else { value <= goal };
            let word = if met { "met" } else { "**missed**" };
            let _ = writeln!(text, "| {what} | {relation} {goal} | {value:.2} | {word} |");
        }
        text
    }

    fn json(&self) -> Value {
        let values = self.values.iter().map(|(series, variant, values)| {
            json!({ "figure": series.name(), "unit": series.unit(), "variant": variant.name(), "rounds": values })
        });
        json!({ "machine": machine(), "notes": self.notes, "values": values.collect::<Vec<_>>() })
    }
}

/// Kernel, processors and versions.
fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // A machine's own suffix is nobody's business.
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut versions = Vec::new();
    for (program, word) in Variant::ALL.into_iter().filter_map(Variant::version) {
        let Ok(output) = Command::new(program).arg(word).output() else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let number = text
            .split_whitespace()
            .map(|w| w.trim_start_matches("nginx/").trim_start_matches("redsocks/"))
            .find(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        let entry = format!("{program} {}", number.unwrap_or("of an unknown version"));
        if !versions.contains(&entry) {
            versions.push(entry);
        }
    }
    format!(
        "Linux {kernel}, {processors} processors; egress {}, {}.",
        env!("CARGO_PKG_VERSION"),
        versions.join(", ")
    )
}
