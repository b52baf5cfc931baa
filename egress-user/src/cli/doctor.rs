//! `egress doctor`: is this machine able?

use std::process::ExitCode;

use clap::Args;
use egress_user::doctor::{Finding, Survey};
use serde_json::{Value, json};

/// Say whether this machine can run egress, and what to do where it cannot
///
/// One line for each thing that was looked at: `ok`, `warning` (a sandbox starts, and holds less),
/// `missing` (no sandbox starts), `unknown` (could not be looked at). Changes nothing. Works without
/// root, and says then what it could not check.
///
/// Exits with 0 when nothing is missing, 1 when something is, 2 when the command line is wrong.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let survey = Survey::take();
        let text = match self.json {
            true => super::json_text(&as_json(&survey), false)?,
            false => survey.to_string(),
        };
        super::print(&text)?;
        Ok(if survey.is_able() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

fn as_json(survey: &Survey) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "check": finding.check,
            "status": finding.status.name(),
            "found": finding.found,
            "lost": finding.lost,
            "advice": finding.advice,
        })
    };
    let checks: Vec<_> = survey.findings.iter().map(finding).collect();
    json!({ "able": survey.is_able(), "checks": checks })
}
