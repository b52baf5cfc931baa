//! Which plots there are.
use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Report, Series, Spread,
    plot::{self, Bars, Curve},
};
use crate::variant::Variant;

impl Report {
    /// Draws all plots into this folder, and says which.
    pub(super) fn draw(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut path = |name: &str| {
            let path = folder.join(format!("{name}.svg"));
            files.push(path.clone());
            path
        };
        for (name, title, series) in [
            (
                "throughput",
                "Bulk transfer, as a part of a direct connection's (more is better)",
                &[Series::Down, Series::Up, Series::Down8, Series::Up8][..],
            ),
            (
                "connections",
                "Connections a second, as a part of direct (more is better)",
                &[Series::Rate],
            ),
            (
                "cpu",
                "Processor time per byte, as a multiple of a direct connection's (less is better)",
                &[Series::CpuDown, Series::CpuUp],
            ),
        ] {
            let rows = self.rows(series, |series, variant| self.ratios(series, variant));
            let figures: Vec<_> = series.iter().map(|series| series.name()).collect();
            let bars =
                Bars { title, figures: &figures, rows: &rows, line_at: Some(1.0), digits: 2 };
            plot::bars(&path(name), &bars).map_err(io::Error::other)?;
        }
        let title = format!(
            "Memory of one of {} idle connections, KiB, without socket buffers (less is better)",
            self.idle
        );
        let rows = self.rows(&[Series::Idle], |series, variant| self.of(series, variant).to_vec());
        let bars = Bars { title: &title, figures: &["KiB"], rows: &rows, line_at: None, digits: 1 };
        plot::bars(&path("memory"), &bars).map_err(io::Error::other)?;
        for (name, title, series) in [
            ("latency-connect", "From connect to the first byte", Series::ConnectP50),
            ("latency-round-trip", "Round trip of 100 bytes", Series::PingP50),
        ] {
            let curves: Vec<_> = self
                .shown()
                .into_iter()
                .map(|variant| Curve {
                    name: variant.name(),
                    colour: variant.colour(),
                    at: self.percentiles(series, variant),
                })
                .collect();
            let title = format!("{title}: microseconds by percentile (lower is better)");
            plot::curves(&path(name), &title, &curves).map_err(io::Error::other)?;
        }
        for growth in &self.growths {
            plot::growth(&path(growth.file), growth).map_err(io::Error::other)?;
        }
        Ok(files)
    }

    /// All variants but the direct one, which is the measure.
    fn rows(
        &self,
        series: &[Series],
        values: impl Fn(Series, Variant) -> Vec<f64>,
    ) -> Vec<(&'static str, Vec<Option<Spread>>)> {
        let shown = self.shown().into_iter().filter(|&variant| variant != Variant::Direct);
        let spreads = |variant| series.iter().map(|&s| Spread::of(&values(s, variant))).collect();
        shown.map(|variant| (variant.name(), spreads(variant))).collect()
    }
}
