//! What `docs/troubleshooting.md` tells to run and to write is there: options, commands, keys, reasons.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
use std::{collections::BTreeSet, process::Command};

use egress_common::Reason;
use egress_user::config::{Flags, assemble_layers, parse};

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

/// What stands between backticks.
fn code() -> impl Iterator<Item = &'static str> {
    PAGE.split('`').skip(1).step_by(2)
}

fn help(command: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_egress")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "egress {command:?} --help");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_option_and_command_of_the_page_exists() {
    let run = help(&["run"]) + &help(&["check"]);
    for code in code() {
        // Options of other programs stand behind those.
        let first = code.split(' ').next().unwrap_or_default();
        let is_ours = first == "egress" || first.starts_with("--");
        for option in code.split(' ').filter(|word| is_ours && word.starts_with("--")) {
            assert!(run.contains(option), "{option} of {code}");
        }
        let words: Vec<_> = code.split(' ').collect();
        if let ["egress", command, rest @ ..] = words.as_slice() {
            let command = match (*command, rest.first()) {
                ("policy", Some(sub)) => vec!["policy", *sub],
                ("refused:" | "refused", _) => continue,
                (command, _) => vec![command],
            };
            help(&command);
        }
    }
}

#[test]
fn every_reason_of_the_page_is_one() {
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && line.contains("| `"));
    let mut count = 0;
    for row in rows {
        let reason = row.split('|').nth(3).unwrap().trim().trim_matches('`');
        assert!(reason.is_empty() || reasons.contains(reason), "{row}");
        count += 1;
    }
    assert!(count > 20, "{count} rows");
}

#[test]
fn every_line_of_the_page_is_one_of_a_policy() {
    let mut count = 0;
    for code in code() {
        if let Some(set) = code.strip_prefix("--set ") {
            let flags = Flags { set: vec![set.to_owned()], ..Flags::default() };
            assemble_layers(vec![parse("", "p.toml").unwrap()], &flags).unwrap();
            count += 1;
        } else if let Some(allow) = code.strip_prefix("--allow ") {
            let flags = Flags { allow: vec![allow.to_owned()], ..Flags::default() };
            flags.rules().unwrap();
            count += 1;
        } else if code.ends_with("= \"allow\"") {
            parse(&format!("[network.domains]\n{code}\n"), "p.toml").unwrap();
            count += 1;
        }
    }
    assert!(count > 5, "{count} lines");
}
