//! `egress status`: what the sandboxes of this machine are doing.

use std::{fmt::Write, process::ExitCode};

use anyhow::bail;
use clap::Args;
use egress_user::status::{self, Pin, Ports, Report};

use super::printable;

/// Show the running sandboxes: their lookups, and the addresses that are open to each
///
/// An address is open ("pinned") because a name was looked up: PORTS are what the name's rules open,
/// AGE is how long ago it was looked up first, LEFT how long it stays open without another lookup.
/// It also stays open as long as a connection made under the name lives. Needs root.
///
/// Exits with 0, also when nothing runs; 1 when there is no such sandbox; 2 when a sandbox does not
/// tell.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only this sandbox
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Print JSON: a list of sandboxes
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if !nix::unistd::geteuid().is_root() {
            bail!("must be root to look at sandboxes; run it again with sudo");
        }
        let mut reports = status::ask_all(status::PLACE.as_ref())?;
        if let Some(id) = &self.id {
            reports.retain(|report| report.id.as_str() == *id);
        }
        let text = if self.json {
            super::json_text(&reports, true)?
        } else {
            as_text(&reports, self.id.as_deref())
        };
        super::print(&text)?;
        let is_missing = self.id.is_some() && reports.is_empty();
        Ok(if is_missing { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }
}

fn as_text(reports: &[Report], id: Option<&str>) -> String {
    match (reports, id) {
        ([], Some(id)) => format!("no sandbox {} is running\n", printable(id)),
        ([], None) => "no sandbox is running\n".to_owned(),
        _ => reports.iter().map(one).collect::<Vec<_>>().join("\n"),
    }
}

fn one(report: &Report) -> String {
    let Report { id, pid, program, up_seconds, dns, pins, refused } = report;
    let up = seconds(*up_seconds);
    let mut text = format!("{id}  pid {pid}  {program}  up {up}\n");
    let refused_lookups: u64 = dns.refused.values().sum();
    let odd = dns.malformed + dns.dropped;
    // A String takes whatever is written to it.
    let _ = write!(
        text,
        "  lookups: {} answered, {} failed, {refused_lookups} refused, {odd} malformed\n  refused: {}\n",
        dns.answered,
        dns.failed,
        refused.iter().map(|refusal| refusal.count).sum::<u64>(),
    );
    if pins.is_empty() {
        text.push_str("  no address is open\n");
        return text;
    }
    let head = ["NAME", "ADDRESS", "PORTS", "AGE", "LEFT", "CONNECTIONS"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(pins.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    text
}

fn row(pin: &Pin) -> [String; 6] {
    let ports = match &pin.ports {
        None => "all".to_owned(),
        Some(ports) => ports.iter().map(Ports::to_string).collect::<Vec<_>>().join(","),
    };
    [
        pin.name.as_str().to_owned(),
        pin.address.to_string(),
        ports,
        seconds(pin.age_seconds),
        pin.left_seconds.map_or("for ever".to_owned(), seconds),
        pin.connections.to_string(),
    ]
}

/// `42 s`, `7 min`, `3 h`.
fn seconds(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use egress_user::status::Dns;

    use super::*;

    fn report() -> Report {
        let pin = |name: &str, ports, left_seconds| Pin {
            name: name.into(),
            address: Ipv4Addr::LOCALHOST.into(),
            ports,
            age_seconds: 150,
            left_seconds,
            connections: 2,
        };
        Report {
            id: "run-1-2".into(),
            pid: 7,
            program: "make\u{1b}[2J".into(),
            up_seconds: 9000,
            dns: Dns { answered: 3, ..Dns::default() },
            pins: vec![
                pin(
                    "a.test",
                    Some(vec![Ports::One(80), Ports::Range("8000-8100".into())]),
                    Some(42),
                ),
                pin("localhost", None, None),
            ],
            refused: Vec::new(),
        }
    }

    #[test]
    fn a_table_lines_up_and_holds_no_control_characters() {
        assert_eq!(
            as_text(&[report()], None),
            "run-1-2  pid 7  make\\u{1b}[2J  up 2 h\n  \
               lookups: 3 answered, 0 failed, 0 refused, 0 malformed\n  \
               refused: 0\n  \
               NAME       ADDRESS    PORTS         AGE    LEFT      CONNECTIONS\n  \
               a.test     127.0.0.1  80,8000-8100  2 min  42 s      2\n  \
               localhost  127.0.0.1  all           2 min  for ever  2\n"
        );
    }

    #[test]
    fn nothing_is_said_in_words() {
        assert_eq!(as_text(&[], None), "no sandbox is running\n");
        assert_eq!(as_text(&[], Some("x\n")), "no sandbox x\\n is running\n");
    }
}
