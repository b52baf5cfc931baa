//! `egress policy test`: the cases that a person wrote beside a policy, run like tests.
use std::{fmt::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Args;
use egress_user::{
    cases::{self, Case, Outcome, Suite},
    config::{Assembled, ConfigErrors, resolve_links},
    policy::Action,
    target::{Target, Verdict},
};
use serde_json::{Value, json};

use super::super::{
    check::lookup::{CheckLookup, RealLookup},
    policy_args::{PolicyArgs, describe},
    printable,
};

/// Hold a policy to cases: targets, and what it must say of each
///
/// Exits with 0 when every case passes, 1 when one fails, 2 when a file or the command line is
/// wrong. Nothing is looked up unless a case says resolver = "system". Needs no root.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// File of cases
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { file, policy, json } = self;
        let explain = |errors: &ConfigErrors| describe(errors, !json);
        let file_name = file.display().to_string();
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("{file_name}: cannot be read"))?;
        let mut suite = match cases::read(&text, &file_name) {
            Ok(suite) => suite,
            Err(errors) => bail!(explain(&errors)),
        };
        // As those of the policy are: the socket is judged, not the spelling.
        for case in &mut suite.cases {
            if let Target::Unix(address) = &case.target {
                case.target = Target::Unix(resolve_links(address.clone()));
            }
        }
        let beside = |written: &String| match file.parent() {
            Some(folder) => folder.join(written),
            None => PathBuf::from(written),
        };
        let policy = policy.or_files(suite.policy.iter().map(beside).collect());
        if policy.is_empty() {
            bail!(
                "{file_name} names no policy; write policy = [\"policy.toml\"] in it, or --policy"
            );
        }
        let assembled = match policy.read() {
            Ok(assembled) => assembled,
            Err(errors) => bail!(explain(&errors)),
        };
        let mut system = CheckLookup::Real(RealLookup::new(assembled.dns.clone()));
        let outcomes: Vec<Outcome> =
            suite.cases.iter().map(|case| case.run(&assembled.policy, &mut system)).collect();
        let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
        super::super::print(&match json {
            true => super::super::json_text(&report_json(&suite, &outcomes, passed), false)?,
            false => report(&file_name, &suite, &outcomes, passed, &assembled),
        })?;
        Ok(ExitCode::from(u8::from(passed < outcomes.len())))
    }
}

fn report(
    file_name: &str,
    suite: &Suite,
    outcomes: &[Outcome],
    passed: usize,
    assembled: &Assembled,
) -> String {
    let mut text = String::new();
    let titles: Vec<_> = suite.cases.iter().map(title).collect();
    let width = titles.iter().map(|title| title.chars().count()).max().unwrap_or_default().min(60);
    for ((case, title), outcome) in suite.cases.iter().zip(&titles).zip(outcomes) {
        // Writing to a String does not fail.
        let _ = match outcome.passed {
            true => writeln!(text, "ok      {title:<width$}  {}", got(outcome)),
            false => writeln!(
                text,
                "FAILED  {title:<width$}  {}:{}\n        expected  {}\n        got       {}",
                printable(file_name),
                case.line,
                expected(case),
                got(outcome),
            ),
        };
        let meant_to_pass = case.expected.action == Action::Allow && outcome.missed.is_none();
        if let (Some(remedy), true) = (&outcome.verdict.remedy, meant_to_pass) {
            let _ = writeln!(text, "        to change {}", printable(&remedy.to_string()));
        }
    }
    for warning in &assembled.warnings {
        let _ = writeln!(text, "warning {warning}");
    }
    let _ = writeln!(text, "{passed} passed; {} failed", outcomes.len() - passed);
    text
}

fn title(case: &Case) -> String {
    let title = match &case.name {
        Some(name) => format!("{} ({name})", case.text),
        None => case.text.clone(),
    };
    printable(&title).into()
}

fn expected(case: &Case) -> String {
    let expected = &case.expected;
    let mut text = expected.action.as_str().to_owned();
    if let Some(reason) = expected.reason {
        text = format!("{text} ({})", reason.name());
    }
    match &expected.rule {
        Some(rule) => format!("{text} by \"{}\"", printable(rule)),
        None => text,
    }
}

fn got(outcome: &Outcome) -> String {
    if let Some(name) = &outcome.missed {
        return format!("a lookup of {name}, which no resolver of the file answers");
    }
    printable(&outcome.verdict.to_string()).into()
}

fn report_json(suite: &Suite, outcomes: &[Outcome], passed: usize) -> Value {
    let case = |(case, outcome): (&Case, &Outcome)| {
        json!({
            "line": case.line,
            "name": case.name,
            "target": case.text,
            "passed": outcome.passed,
            "expected": {
                "decision": case.expected.action.as_str(),
                "reason": case.expected.reason.map(|reason| reason.name()),
                "rule": case.expected.rule,
            },
            "got": verdict_json(&outcome.verdict),
            "lookup_without_answer": outcome.missed.as_ref().map(ToString::to_string),
        })
    };
    let cases: Vec<Value> = suite.cases.iter().zip(outcomes).map(case).collect();
    json!({ "cases": cases, "passed": passed, "failed": outcomes.len() - passed })
}

/// A verdict as `--json` shows it.
pub(super) fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "decision": if verdict.is_allow() { "allow" } else { "deny" },
        "reason": verdict.reason.map(|reason| reason.name()),
        "rule": verdict.line.as_ref().map(|line| json!({
            "pattern": line.text(),
            "file": &*line.origin().file,
            "line": line.origin().line,
            "layer": line.origin().layer.as_str(),
        })),
    })
}
