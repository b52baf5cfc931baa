//! `egress policy lint`: what is wrong or misleading in policy files.
use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use egress_user::{
    config::{self, Assembled, ConfigErrors, Flags, Loaded, SYSTEM_FOLDER, Warning},
    text,
};
use serde_json::{Value, json};

use super::super::{USAGE, json_text, print};

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
        let (text, status) = match Findings::of(&self.files) {
            Ok(findings) => {
                let text = match self.json {
                    true => json_text(&findings.json(), false)?,
                    false => findings.text(),
                };
                (text, u8::from(self.strict && !findings.warnings.is_empty()))
            }
            Err(errors) => {
                let text = match self.json {
                    true => json_text(&errors_json(&errors), false)?,
                    false => wrong(&errors),
                };
                (text, USAGE)
            }
        };
        print(&text)?;
        Ok(ExitCode::from(status))
    }
}

/// What there is to say of files that can be used.
#[derive(Default)]
struct Findings {
    warnings: Vec<Warning>,
    /// What `egress run` does not act on.
    notes: Vec<Warning>,
    rules: usize,
}

impl Findings {
    /// Of `[network]`, and of each profile put together with what it extends.
    fn of(files: &[PathBuf]) -> Result<Self, ConfigErrors> {
        let (system, mut findings) = (Path::new(SYSTEM_FOLDER), Self::default());
        findings.add(config::assemble_below(system, files, &Flags::default())?);
        let loaded: Vec<Loaded> = files.iter().filter_map(|file| config::load(file).ok()).collect();
        let profiles = loaded.iter().flat_map(|file| &file.profiles);
        // `[network]` too, where `default_profile` is another.
        let names = profiles.map(|profile| &*profile.name).chain(["default"]);
        let names: BTreeSet<&str> = names.collect();
        for name in names {
            let flags = Flags { profile: Some(name.to_owned()), ..Flags::default() };
            findings.add(config::assemble_below(system, files, &flags)?);
        }
        let by_place = |warning: &Warning| (warning.origin.file.clone(), warning.origin.line);
        findings.warnings.sort_by_key(by_place);
        findings.notes.sort_by_key(by_place);
        findings.rules = loaded.iter().map(rules_of).sum();
        Ok(findings)
    }

    fn add(&mut self, assembled: Assembled) {
        let lists =
            [(&mut self.warnings, assembled.warnings), (&mut self.notes, assembled.not_built)];
        for (known, more) in lists {
            for warning in more {
                if !known.contains(&warning) {
                    known.push(warning);
                }
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut files = HashMap::new();
        for (kind, lines) in [("warning", &self.warnings), ("note", &self.notes)] {
            for line in lines {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{kind}: {line}{}", excerpt(line, &mut files));
            }
        }
        let mut summary = vec![count(self.rules, "rule"), count(self.warnings.len(), "warning")];
        if !self.notes.is_empty() {
            summary.push(count(self.notes.len(), "note"));
        }
        let _ = writeln!(text, "{}", summary.join(", "));
        text
    }

    fn json(&self) -> Value {
        let lines = |lines: &[Warning]| lines.iter().map(warning_json).collect::<Vec<Value>>();
        json!({
            "errors": [],
            "warnings": lines(&self.warnings),
            "notes": lines(&self.notes),
            "rules": self.rules,
        })
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

fn wrong(errors: &ConfigErrors) -> String {
    let mut text = String::new();
    for error in errors.iter() {
        let _ = writeln!(text, "error: {error}{}", error.excerpt());
    }
    let _ = writeln!(text, "{}", count(errors.iter().count(), "error"));
    text
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
    let Some(line) = line.map(text::in_place) else { return String::new() };
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
fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
