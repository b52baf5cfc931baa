//! The policies of `examples/` load, with nothing to warn of, and the cases beside them pass.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
use std::path::{Path, PathBuf};

use egress_user::{
    cases,
    config::{self, Assembled, Flags},
    policy::{Answer, Lookup, Name},
};

/// Every TOML file at or below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found
}

fn examples() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"));
    all.into_iter().partition(|path| path.to_string_lossy().ends_with("tests.toml"))
}

fn assemble(files: &[PathBuf]) -> Assembled {
    config::assemble(files, &Flags::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_example_loads_without_a_warning() {
    let (_, policies) = examples();
    assert!(policies.len() >= 6, "examples are missing: {policies:?}");
    for path in policies {
        // These bind the files below them, which the cases beside them try.
        if path.ends_with("requirements.toml") {
            config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
            continue;
        }
        let assembled = assemble(std::slice::from_ref(&path));
        assert_eq!(assembled.warnings, [], "{}", path.display());
        assert_eq!(assembled.not_built, [], "{} cannot be run", path.display());
    }
}

/// Examples ask nobody.
struct Nobody;

impl Lookup for Nobody {
    fn lookup(&mut self, name: &Name) -> Answer {
        panic!("{name} was really looked up");
    }
}

#[test]
fn every_case_of_the_examples_passes() {
    let (tests, _) = examples();
    assert!(tests.len() >= 2, "cases are missing: {tests:?}");
    for path in tests {
        let text = std::fs::read_to_string(&path).unwrap();
        let suite = cases::read(&text, &path.display().to_string())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let folder = path.parent().unwrap();
        let policy: Vec<_> = suite.policy.iter().map(|file| folder.join(file)).collect();
        assert!(!policy.is_empty(), "{} names no policy", path.display());
        let assembled = assemble(&policy);
        assert_eq!(assembled.warnings, [], "{}", path.display());
        for case in &suite.cases {
            let outcome = case.run(&assembled.policy, &mut Nobody);
            let verdict = outcome.verdict;
            assert!(outcome.passed, "{}:{}: {verdict}", path.display(), case.line);
        }
    }
}
