//! What the project wants to reach, beside what it has.
use std::fmt::Write as _;

use super::{Report, Series, Spread};
use crate::{micro, variant::Variant};

/// A figure's goal.
struct Goal {
    figure: String,
    /// The least, or the most where `most`.
    bound: f64,
    most: bool,
    unit: &'static str,
    measured: Option<Spread>,
    /// The nearest of the other projects, measured in this run.
    peer: Option<(f64, &'static str)>,
}

impl Report {
    pub(super) fn goals(&self) -> String {
        let mut goals = Vec::new();
        let mut add = |figure: String, bound, most, unit, measured: Option<Spread>, peer| {
            goals.push(Goal { figure, bound, most, unit, measured, peer });
        };
        let (kernel, proxy) = (Variant::EgressKernel, Variant::EgressProxy);
        for (variant, series, bound, most) in [
            (kernel, Series::Down, 0.98, false),
            (kernel, Series::Up, 0.98, false),
            (kernel, Series::PingP50, 1.02, true),
            (kernel, Series::ConnectP50, 1.05, true),
            (kernel, Series::Rate, 0.95, false),
            (proxy, Series::Down, 0.70, false),
            (proxy, Series::Up, 0.70, false),
            (proxy, Series::ConnectP50, 2.2, true),
            (proxy, Series::ConnectP99, 2.5, true),
        ] {
            let figure = format!("{}: {}, by direct", short(variant), series.name());
            let measured = Spread::of(&self.ratios(series, variant));
            let peer = self.best_peer(most, |peer| self.ratios(series, peer));
            add(figure, bound, most, "", measured, peer);
        }
        for (series, bound, unit) in [(Series::Idle, 3.0, " KiB"), (Series::BusyGrowth, 1.2, "")] {
            let figure = match series {
                Series::Idle => format!("proxy path: {}", series.name()),
                _ => format!(
                    "proxy path: p99 of a busy connection beside {} idle ones, by alone",
                    self.idle
                ),
            };
            let measured = Spread::of(self.of(series, proxy));
            let peer = self.best_peer(true, |peer| self.of(series, peer).to_vec());
            add(figure, bound, true, unit, measured, peer);
        }
        let added = self.of(Series::Dns, proxy).iter().zip(self.of(Series::Dns, Variant::Direct));
        let added: Vec<f64> = added.map(|(through, direct)| through - direct).collect();
        let figure = "DNS answer about a warm name, p50, more than asking the name server";
        add(figure.to_owned(), 40.0, true, " us", Spread::of(&added), None);
        for (name, bound, unit) in [
            (micro::DECISION_FEW, 200.0, " ns"),
            (micro::DECISION_MANY, 400.0, " ns"),
            (micro::RELOAD, 150.0, " ms"),
            (micro::RUN_TRUE, 60.0, " ms"),
        ] {
            let measured = self.find_single(name).and_then(|single| Spread::of(&single.values));
            add(name.to_owned(), bound, true, unit, measured, None);
        }
        let mut text = String::from(
            "\n## Goals\n\n| figure | goal | measured (quartiles) | | best of the others |\n|---|---|---|---|---|\n",
        );
        for goal in goals {
            let _ = writeln!(text, "{}", goal.row());
        }
        text.push_str("| daemon at rest, and with 1,000 sandboxes | <= 15 MiB, <= 60 MiB | not measured: there is no daemon yet | | |\n");
        text
    }

    /// The best of the other projects.
    fn best_peer(
        &self,
        least: bool,
        values: impl Fn(Variant) -> Vec<f64>,
    ) -> Option<(f64, &'static str)> {
        let ours = [Variant::Direct, Variant::EgressKernel, Variant::EgressProxy];
        let peers = self.shown().into_iter().filter(|variant| !ours.contains(variant));
        let all = peers.filter_map(|peer| Some((Spread::of(&values(peer))?.middle, peer.name())));
        let order = |a: &(f64, &str), b: &(f64, &str)| a.0.total_cmp(&b.0);
        if least { all.min_by(order) } else { all.max_by(order) }
    }
}

fn short(variant: Variant) -> &'static str {
    match variant {
        Variant::EgressKernel => "kernel path",
        _ => "proxy path",
    }
}

impl Goal {
    fn row(&self) -> String {
        let digits = if self.unit.is_empty() { 2 } else { 1 };
        let sign = if self.most { "<=" } else { ">=" };
        let unit = self.unit;
        let (measured, verdict) = match self.measured {
            None => ("not measured".to_owned(), ""),
            Some(Spread { low, middle, high }) => {
                let met = if self.most { middle <= self.bound } else { middle >= self.bound };
                let verdict = if met { "met" } else { "**not met**" };
                (format!("{middle:.digits$}{unit} ({low:.digits$}-{high:.digits$})"), verdict)
            }
        };
        let peer = self
            .peer
            .map_or(String::new(), |(value, name)| format!("{value:.digits$}{unit}, {name}"));
        format!(
            "| {} | {sign} {}{unit} | {measured} | {verdict} | {peer} |",
            self.figure, self.bound
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(middle: f64, most: bool) -> String {
        let measured = Some(Spread { low: middle, middle, high: middle });
        Goal { figure: "f".into(), bound: 1.0, most, unit: "", measured, peer: None }.row()
    }

    #[test]
    fn a_bound_is_met_from_its_own_side() {
        assert!(row(0.9, true).contains("| met |"));
        assert!(row(1.1, true).contains("**not met**"));
        assert!(row(1.1, false).contains("| met |"));
        assert!(row(0.9, false).contains("**not met**"));
    }

    #[test]
    fn what_is_not_measured_is_neither() {
        let goal = Goal {
            figure: "f".into(),
            bound: 1.0,
            most: true,
            unit: " ns",
            measured: None,
            peer: None,
        };
        assert_eq!(goal.row(), "| f | <= 1 ns | not measured |  |  |");
    }

    #[test]
    fn the_best_peer_is_none_of_ours() {
        let mut report = Report::new(true);
        for (variant, rate) in [
            (Variant::Direct, 10.0),
            (Variant::EgressKernel, 9.0),
            (Variant::Squid, 3.0),
            (Variant::Nginx, 4.0),
        ] {
            report.add(Series::Rate, variant, rate);
        }
        let best = report.best_peer(false, |peer| report.ratios(Series::Rate, peer));
        assert_eq!(best, Some((0.4, "nginx stream")));
    }
}
