//! `REPORT.md`.
use std::fmt::Write as _;

use super::{Report, Series, Spread, machine};
use crate::variant::Variant;

/// Ratios to the direct connection.
const RATIOS: [&[Series]; 3] = [
    &[Series::Down, Series::Down8, Series::Up, Series::Up8],
    &[Series::CpuDown, Series::CpuUp, Series::Rate],
    &[Series::ConnectP50, Series::ConnectP99, Series::PingP50, Series::PingP99],
];

impl Report {
    pub(super) fn text(&self) -> String {
        let mut text = String::from("# egress beside its peers\n\n");
        let kind = if self.quick { "cargo xtask bench --quick" } else { "cargo xtask bench" };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "Made by `{kind}` in {} s; [docs/benchmarks.md](../docs/benchmarks.md) says what is measured and how.\n",
            self.begun.elapsed().as_secs()
        );
        for line in machine::lines() {
            let _ = writeln!(text, "- {line}");
        }
        for (variant, why) in &self.missing {
            let _ = writeln!(text, "- **{}: not available**: {why}", variant.name());
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text.push_str(&self.goals());
        let _ = writeln!(
            text,
            "\n## Beside a direct connection\n\nRatios to the direct connection of the same round: the middle of the rounds, and the quartiles. \
             Bulk on two processors;\nthe rest with everything on one.\n"
        );
        for part in RATIOS {
            self.table(&mut text, part, |series, variant| {
                spread_text(&self.ratios(series, variant), 2)
            });
        }
        if self.idle > 0 {
            let _ = writeln!(
                text,
                "## {} idle connections\n\nMemory is what stands between client and server, per idle connection (pages, without the kernel's socket buffers); p99\n\
                 is of 100 bytes' round trip on one busy connection, in microseconds.\n",
                self.idle
            );
            let part = [Series::Idle, Series::BusyAlone, Series::BusyBeside, Series::BusyGrowth];
            self.table(&mut text, &part, |series, variant| {
                spread_text(self.of(series, variant), if series == Series::Idle { 1 } else { 2 })
            });
        }
        self.growth_text(&mut text);
        let _ = writeln!(
            text,
            "## As measured\n\nOn a shared machine these mean little; the ratios above count. All rounds are in `report.json`.\n"
        );
        for part in RATIOS {
            self.table(&mut text, part, |series, variant| {
                let digits = if matches!(series, Series::CpuDown | Series::CpuUp) { 2 } else { 0 };
                spread_text(self.of(series, variant), digits)
            });
        }
        for single in &self.singles {
            let _ = writeln!(
                text,
                "- {}: {} {}",
                single.name,
                spread_text(&single.values, 1),
                single.unit
            );
        }
        text
    }

    fn growth_text(&self, text: &mut String) {
        if self.growths.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "## Growth\n\nEach figure beside a direct connection at the same moment, with everything on one processor.\n"
        );
        for growth in &self.growths {
            let sizes: Vec<u32> = growth
                .lines
                .iter()
                .flat_map(|line| line.points.iter().map(|(size, _)| *size))
                .collect();
            let mut columns = sizes.clone();
            columns.sort_unstable();
            columns.dedup();
            let heads: Vec<_> =
                columns.iter().map(|size| format!("{size} {}", growth.of)).collect();
            let _ = writeln!(
                text,
                "{}, {}:\n\n| | {} |\n|---|{}",
                growth.title,
                growth.unit,
                heads.join(" | "),
                "---|".repeat(columns.len())
            );
            for line in &growth.lines {
                let cell = |size: &u32| {
                    let found = line.points.iter().find(|(at, _)| at == size);
                    found.map_or_else(String::new, |(_, values)| spread_text(values, 2))
                };
                let cells: Vec<_> = columns.iter().map(cell).collect();
                let _ = writeln!(text, "| {} | {} |", line.name, cells.join(" | "));
            }
            text.push('\n');
        }
    }

    fn table(&self, text: &mut String, part: &[Series], cell: impl Fn(Series, Variant) -> String) {
        let names: Vec<_> = part.iter().map(|series| series.name()).collect();
        let _ = writeln!(text, "| | {} |\n|---|{}", names.join(" | "), "---|".repeat(part.len()));
        for variant in self.shown() {
            let cells: Vec<_> = part.iter().map(|&series| cell(series, variant)).collect();
            let _ = writeln!(text, "| {} | {} |", variant.name(), cells.join(" | "));
        }
        text.push('\n');
    }
}

/// `1.02 (0.98-1.05)`.
fn spread_text(values: &[f64], digits: usize) -> String {
    match Spread::of(values) {
        Some(Spread { low, middle, high }) => {
            format!("{middle:.digits$} ({low:.digits$}-{high:.digits$})")
        }
        None => "not measured".to_owned(),
    }
}
