//! `egress policy lint`: what is wrong or misleading in policy files.
use std::{
    collections::HashMap,
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use egress_user::config::{self, Assembled, ConfigErrors, Flags, Loaded, SYSTEM_FOLDER, Warning};
use serde_json::{Value, json};

use super::super::{USAGE, print, printable};

/// Say what is wrong or misleading in a policy
///
/// Exits with 0 when every file can be used, with 1 when `--strict` is given and there are warnings,
/// with 2 when there are errors. Needs no root.
#[derive(Debug, Args)]
pub(super) struct Lint {
    /// Policy files, the highest layer first
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Exit with 1 when there are warnings
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Lint {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (text, status) = match config::assemble_below(
            Path::new(SYSTEM_FOLDER),
            &self.files,
            &Flags::default(),
        ) {
            Ok(assembled) => {
                let rules = self.files.iter().filter_map(|file| config::load(file).ok());
                let rules = rules.map(|file| rules_of(&file)).sum();
                let text = match self.json {
                    true => format!("{}\n", found_json(&assembled, rules)),
                    false => found(&assembled, rules),
                };
                (text, u8::from(self.strict && !assembled.warnings.is_empty()))
            }
            Err(errors) => {
                let text = match self.json {
                    true => format!("{}\n", errors_json(&errors)),
                    false => wrong(&errors),
                };
                (text, USAGE)
            }
        };
        print(&text)?;
        Ok(ExitCode::from(status))
    }
}

/// Every rule that the file writes, those of its profiles among them.
fn rules_of(file: &Loaded) -> usize {
    let profiles = file.profiles.iter().map(|profile| &profile.network);
    std::iter::once(&file.network)
        .chain(profiles)
        .map(|network| network.rules.len() + network.unix_rules.len())
        .sum()
}

fn found(assembled: &Assembled, rules: usize) -> String {
    let mut text = String::new();
    let mut files = HashMap::new();
    for (kind, lines) in [("warning", &assembled.warnings), ("note", &assembled.not_built)] {
        for line in lines {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{kind}: {line}{}", excerpt(line, &mut files));
        }
    }
    let mut summary = vec![count(rules, "rule"), count(assembled.warnings.len(), "warning")];
    if !assembled.not_built.is_empty() {
        summary.push(count(assembled.not_built.len(), "note"));
    }
    let _ = writeln!(text, "{}", summary.join(", "));
    text
}

fn wrong(errors: &ConfigErrors) -> String {
    let mut text = String::new();
    for error in errors.iter() {
        let _ = writeln!(text, "error: {error}{}", error.excerpt());
    }
    let _ = writeln!(text, "{}", count(errors.iter().count(), "error"));
    text
}

fn found_json(assembled: &Assembled, rules: usize) -> Value {
    let lines = |lines: &[Warning]| -> Vec<Value> { lines.iter().map(warning_json).collect() };
    json!({
        "errors": [],
        "warnings": lines(&assembled.warnings),
        "notes": lines(&assembled.not_built),
        "rules": rules,
    })
}

fn errors_json(errors: &ConfigErrors) -> Value {
    let errors: Vec<Value> = errors
        .iter()
        .map(|error| {
            json!({
                "file": error.file,
                "line": error.place.as_ref().map(|place| place.line),
                "column": error.place.as_ref().map(|place| place.column),
                "length": error.place.as_ref().map(|place| place.length),
                "message": error.message,
                "suggestion": (!error.suggestion.is_empty()).then_some(&error.suggestion),
            })
        })
        .collect();
    json!({ "errors": errors, "warnings": [], "notes": [], "rules": null })
}

fn warning_json(warning: &Warning) -> Value {
    json!({
        "file": &*warning.origin.file,
        "line": warning.origin.line,
        "layer": warning.origin.layer.as_str(),
        "message": warning.message,
    })
}

/// The line with what the message is about underlined, after a line break; empty where the line
/// cannot be shown.
fn excerpt(warning: &Warning, files: &mut HashMap<String, String>) -> String {
    let Some(number) = warning.origin.line else { return String::new() };
    let name = warning.origin.file.to_string();
    let text = files
        .entry(name)
        .or_insert_with_key(|name| std::fs::read_to_string(name).unwrap_or_default());
    let line = usize::try_from(number).ok().and_then(|number| text.lines().nth(number - 1));
    let Some(line) = line.map(printable) else { return String::new() };
    // The message quotes the line's own text first; otherwise all of the line is meant.
    let quoted = warning.message.split('"').nth(1).filter(|text| !text.is_empty());
    let meant = quoted.map(|text| format!("\"{text}\"")).filter(|text| line.contains(text));
    let meant = meant.as_deref().unwrap_or(line.trim());
    let before = line.split(meant).next().unwrap_or_default().chars().count();
    let (before, mark) = (" ".repeat(before), "^".repeat(meant.chars().count().max(1)));
    let margin = " ".repeat(number.to_string().len());
    format!("\n {margin} |\n {number} | {line}\n {margin} | {before}{mark}")
}

/// `1 rule`, `2 rules`.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
