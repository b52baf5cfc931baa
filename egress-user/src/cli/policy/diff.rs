//! `egress policy diff`: which targets two policies judge differently.
use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::bail;
use clap::Args;
use egress_user::{
    config::{self, Assembled, Flags, SYSTEM_FOLDER},
    diff::{self, Difference},
    policy::Rule,
};
use serde_json::{Value, json};

use super::{
    super::{LaidOut, json_text, policy_args::describe, print, printable},
    test::verdict_json,
};

/// Hosts that are written out of one difference; all of them are in the JSON.
const HOSTS_SHOWN: usize = 12;

/// Say which targets two policies judge differently, not which lines differ
///
/// Exits with 0 when none does, 1 when some do, 2 when a file is wrong. Nothing is looked up: names
/// are judged as if they had a public address that no rule is about. Needs no root.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The policy before
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The policy after
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Compare this profile of the two instead of their network table
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { before, after, profile, json } = self;
        let (system, flags) = (Path::new(SYSTEM_FOLDER), Flags { profile, ..Flags::default() });
        let [before, after] =
            [before, after].map(|file| config::assemble_below(system, &[file], &flags));
        let (before, after) = match (before, after) {
            (Ok(before), Ok(after)) => (before, after),
            (before, after) => {
                let errors = [before.err(), after.err()].into_iter().flatten();
                bail!(LaidOut::of(errors.map(|errors| describe(&errors, !json))));
            }
        };
        let differences = diff::compare(&before.policy, &after.policy);
        let notes = notes(&before, &after);
        print(&match json {
            true => json_text(&report_json(&differences, &notes), false)?,
            false => report(&differences, &notes),
        })?;
        Ok(ExitCode::from(u8::from(!differences.is_empty())))
    }
}

/// Settings that differ and that no verdict tells of.
fn notes(before: &Assembled, after: &Assembled) -> Vec<&'static str> {
    // A rule that is new is told by the verdicts.
    let ech = |assembled: &Assembled| {
        let of_rule =
            |rule: &Arc<Rule>| Some((rule.pattern.to_string(), rule.options.ech?.as_str()));
        let rules: BTreeSet<_> = assembled.policy.rules().filter_map(of_rule).collect();
        (assembled.policy.settings().allow_ech, rules)
    };
    [
        (ech(before) != ech(after), "ech differs: it counts when a connection is made"),
        (before.dns != after.dns, "[network.dns] differs: who is asked, and how long pins live"),
        (before.network != after.network, "keys of [network] differ that judge no target"),
    ]
    .into_iter()
    .filter_map(|(differs, note)| differs.then_some(note))
    .collect()
}

fn report(differences: &[Difference], notes: &[&str]) -> String {
    let mut text = String::new();
    for difference in differences {
        let scope = &difference.scope;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{}  {}\n        before  {}\n        after   {}",
            word(difference),
            printable(&short(difference)),
            printable(&scope.before.to_string()),
            printable(&scope.after.to_string()),
        );
    }
    for note in notes {
        let _ = writeln!(text, "note    {note}");
    }
    let opened = differences.iter().filter(|difference| difference.is_opened()).count();
    let _ = match differences.len() {
        0 => writeln!(text, "no target changes"),
        all => writeln!(text, "{opened} opened, {} closed", all - opened),
    };
    text
}

fn word(difference: &Difference) -> &'static str {
    if difference.is_opened() { "opened" } else { "closed" }
}

/// The targets in words, long lists cut.
fn short(difference: &Difference) -> String {
    let mut hosts = difference.words.clone();
    let more = hosts.len().saturating_sub(HOSTS_SHOWN);
    hosts.truncate(HOSTS_SHOWN);
    let mut text = hosts.join(", ");
    if more > 0 {
        text = format!("{text} and {more} more");
    }
    match difference.scope.to_string().as_str() {
        "" => text,
        scope => format!("{text}: {scope}"),
    }
}

fn report_json(differences: &[Difference], notes: &[&str]) -> Value {
    let difference = |difference: &Difference| {
        json!({
            "change": word(difference),
            "hosts": difference.words,
            "scope": difference.scope.to_string(),
            "example": difference.scope.example,
            "before": verdict_json(&difference.scope.before),
            "after": verdict_json(&difference.scope.after),
        })
    };
    let opened = differences.iter().filter(|difference| difference.is_opened()).count();
    json!({
        "differences": differences.iter().map(difference).collect::<Vec<_>>(),
        "opened": opened,
        "closed": differences.len() - opened,
        "notes": notes,
    })
}
