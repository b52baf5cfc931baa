//! What `egress doctor` says where there is no root: its exit code, and JSON that can be read.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
use std::os::unix::{fs::PermissionsExt, process::CommandExt};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

/// A user and a group without rights; they need not be known to the system.
const NOBODY: u32 = 65_534;

/// Runs `egress doctor` as an ordinary user, whoever runs the test.
fn without_root(arguments: &[&str]) -> Output {
    let built = Path::new(env!("CARGO_BIN_EXE_egress"));
    let run = |command: &mut Command| command.arg("doctor").args(arguments).output().unwrap();
    if !nix::unistd::geteuid().is_root() {
        return run(&mut Command::new(built));
    }
    // Where the build lies, below root's home for one, others may not go.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = folder.path().join("egress");
    // By another process: a child that another test forks while this one writes would hold the copy
    // open, and executing it would fail with ETXTBSY.
    let broker = env!("CARGO_BIN_EXE_egress-broker");
    let copied = Command::new("cp").args([built, Path::new(broker)]).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    run(Command::new(copy).uid(NOBODY).gid(NOBODY).current_dir("/"))
}

fn status<'a>(report: &'a Value, check: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|finding| finding["check"] == check);
    &found.unwrap_or_else(|| panic!("no check {check:?} in {report}"))["status"]
}

#[test]
fn without_root_it_exits_with_1_and_json_that_says_why() {
    let output = without_root(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["able"], json!(false));
    assert_eq!(status(&report, "root"), "missing");
    assert_eq!(status(&report, "kernel object"), "unknown");
    for finding in report["checks"].as_array().unwrap() {
        let known = ["ok", "warning", "missing", "unknown"].map(Value::from);
        assert!(known.contains(&finding["status"]), "{finding}");
        assert!(finding["found"].as_str().is_some_and(|found| !found.is_empty()), "{finding}");
    }
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_root_a_person_reads_what_to_do() {
    let output = without_root(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("to do: sudo egress doctor"), "{text}");
    assert!(text.contains("only root may load programs, so this was not tried"), "{text}");
    let verdict = text.lines().last().unwrap();
    assert!(verdict.starts_with("not able; missing: root"), "{text}");
}
