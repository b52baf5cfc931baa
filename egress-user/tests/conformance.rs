//! Every case of `data/conformance/cases.json`, by the library and by the command.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};

use egress_user::{
    config::{self, Assembled, Flags},
    policy::{Answer, Lookup, Name},
    target::{Target, judge},
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Case {
    id: String,
    network: Option<toml::Table>,
    #[serde(default)]
    layers: Vec<toml::Table>,
    target: Option<String>,
    #[serde(default)]
    resolver: BTreeMap<String, Resolved>,
    expect: Expect,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Resolved {
    Addresses(Vec<String>),
    Failure(String),
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Deny,
    Ok,
    Error,
}

/// What came out, in the words of the cases.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    expect: Expect,
    reason: Option<String>,
    /// Names that the resolver of the case does not list.
    stray_lookups: Vec<String>,
}

impl Outcome {
    fn plain(expect: Expect) -> Self {
        Self { expect, reason: None, stray_lookups: Vec::new() }
    }
}

impl Case {
    /// The policy files of the case, the highest layer first.
    fn files(&self) -> Vec<String> {
        let tables = self.network.iter().chain(&self.layers);
        let text = |table: &toml::Table| {
            let file = toml::Table::from_iter([("network".to_owned(), table.clone().into())]);
            toml::to_string(&file).unwrap()
        };
        tables.map(text).collect()
    }

    fn accepts(&self, outcome: &Outcome) -> bool {
        outcome.stray_lookups.is_empty()
            && outcome.expect == self.expect
            && (self.reason.is_none() || outcome.reason == self.reason)
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("data/conformance/cases.json")).unwrap();
    assert!(cases.len() > 200, "the list of cases is cut short");
    cases
}

#[test]
fn the_library_agrees_with_every_case() {
    compare(by_library);
}

#[test]
fn the_command_agrees_with_every_case() {
    let folder = tempfile::tempdir().unwrap();
    compare(|case| by_command(case, folder.path()));
}

fn compare(run: impl Fn(&Case) -> Outcome) {
    let wrong: Vec<_> = cases()
        .iter()
        .filter_map(|case| {
            let outcome = run(case);
            (!case.accepts(&outcome)).then(|| {
                format!(
                    "{}: {:?} {:?} expected, came {outcome:?}",
                    case.id, case.expect, case.reason
                )
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn by_library(case: &Case) -> Outcome {
    let files = case.files();
    let layers: Result<Vec<_>, _> =
        files.iter().map(|text| config::parse(text, "case.toml")).collect();
    let assembled = layers.and_then(|layers| config::assemble_layers(layers, &Flags::default()));
    match (assembled, &case.target) {
        (Err(_), _) => Outcome::plain(Expect::Error),
        (Ok(_), None) => Outcome::plain(Expect::Ok),
        (Ok(assembled), Some(target)) => decide(case, &assembled, target),
    }
}

fn decide(case: &Case, assembled: &Assembled, target: &str) -> Outcome {
    let target: Target = target.parse().unwrap();
    let mut lookup = CaseLookup { case, stray: Vec::new() };
    let verdict = judge(&assembled.policy, &target, &mut lookup);
    let reason = verdict.reason.map(|reason| reason.name().to_owned());
    if let (None, Target::Network(_)) = (&reason, &target) {
        assert!(!verdict.addresses.is_empty(), "{}: allowed, with nothing to dial", case.id);
    }
    let expect = if reason.is_none() { Expect::Allow } else { Expect::Deny };
    Outcome { expect, reason, stray_lookups: lookup.stray }
}

struct CaseLookup<'a> {
    case: &'a Case,
    stray: Vec<String>,
}

impl Lookup for CaseLookup<'_> {
    fn lookup(&mut self, name: &Name) -> Answer {
        let resolver = &self.case.resolver;
        match resolver.get(name.as_str()).or_else(|| resolver.get("*")) {
            Some(Resolved::Addresses(list)) => Answer::Found {
                chain: Vec::new(),
                addresses: list.iter().map(|address| address.parse().unwrap()).collect(),
            },
            Some(Resolved::Failure(failure)) => match failure.as_str() {
                "SERVFAIL" => Answer::ServFail,
                "NXDOMAIN" => Answer::NxDomain,
                "TIMEOUT" => Answer::Timeout,
                other => panic!("{other}"),
            },
            None => {
                self.stray.push(name.to_string());
                Answer::ServFail
            }
        }
    }
}

fn by_command(case: &Case, folder: &Path) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egress"));
    command.args(["check", "--json"]);
    for (position, text) in case.files().iter().enumerate() {
        let path = folder.join(format!("{}.{position}.toml", case.id));
        std::fs::write(&path, text).unwrap();
        command.arg("--policy").arg(path);
    }
    for (name, resolved) in &case.resolver {
        let answer = match resolved {
            Resolved::Addresses(list) if list.is_empty() => "EMPTY".to_owned(),
            Resolved::Addresses(list) => list.join(","),
            Resolved::Failure(failure) => failure.clone(),
        };
        command.arg(format!("--resolve={name}={answer}"));
    }
    // Only loading is asked about: any target that the policy can answer will do.
    let target = case.target.as_deref().unwrap_or("192.0.2.1:1");
    let (target, method) = target.split_once(' ').unwrap_or((target, ""));
    if !method.is_empty() {
        command.args(["--method", method]);
    }
    let output = command.arg(target).output().unwrap();
    if case.target.is_none() {
        return Outcome::plain(if loaded(&output) { Expect::Ok } else { Expect::Error });
    }
    if !loaded(&output) {
        return Outcome::plain(Expect::Error);
    }
    let fields: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reason = fields["reason"].as_str().map(str::to_owned);
    let expect = match (output.status.code(), fields["decision"].as_str()) {
        (Some(0), Some("allow")) => Expect::Allow,
        (Some(1), Some("deny")) => Expect::Deny,
        other => panic!("{}: status and decision disagree: {other:?}", case.id),
    };
    Outcome { reason, ..Outcome::plain(expect) }
}

/// Exit status 2 comes with one line for each error, and with nothing on stdout.
fn loaded(output: &Output) -> bool {
    if output.status.code() != Some(2) {
        return true;
    }
    let complaint = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(complaint.ends_with('\n'), "{complaint}");
    assert!(complaint.lines().all(|line| line.starts_with("egress: ")), "{complaint}");
    assert!(output.stdout.is_empty());
    false
}
