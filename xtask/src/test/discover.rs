//! Which test executables there are: cargo builds them and names them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::cargo;

/// What a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Nothing: unit tests, and the examples in the documentation.
    Unit,
    /// Nothing but this machine's loopback and files: integration tests.
    InProcess,
    /// Root and the real hooks: the test target `kernel` of egress-user.
    Kernel,
}

impl Group {
    pub(crate) const ALL: [Group; 3] = [Group::Unit, Group::InProcess, Group::Kernel];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Unit => "unit",
            Group::InProcess => "in-process",
            Group::Kernel => "kernel",
        }
    }
}

/// A test executable that cargo built.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Executable {
    pub(crate) group: Group,
    /// Package and target, for a person.
    pub(crate) label: String,
    pub(crate) path: PathBuf,
    /// The folder of its package, which is its working directory.
    pub(crate) package: PathBuf,
}

/// Builds the tests that cargo's options choose; the executables, by group.
pub(crate) fn build(choice: &[&str]) -> anyhow::Result<Vec<Executable>> {
    let output = cargo::command_of_owner()?
        .args(["test", "--no-run"])
        .args(choice)
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo test --no-run")?;
    if !output.status.success() {
        bail!("the tests do not build ({}); the compiler's words are above", output.status);
    }
    let mut executables = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // Build scripts and macros may print lines of their own.
        if let Ok(message) = serde_json::from_str(line)
            && let Some(executable) = executable(&message)
        {
            executables.push(executable);
        }
    }
    executables.sort();
    Ok(executables)
}

impl Executable {
    /// The executable as cargo would call it: in its package's folder.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        cargo::forget_package(&mut command);
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package);
        command
    }
}

/// The executable that a message of cargo's announces, if it announces one.
fn executable(message: &Value) -> Option<Executable> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let path = message["executable"].as_str()?;
    let package = Path::new(message["manifest_path"].as_str()?).parent()?;
    let name = message["target"]["name"].as_str()?;
    let is_test = message["target"]["kind"][0] == "test";
    let package_name = package.file_name()?.to_string_lossy();
    let group = match (is_test, name) {
        (true, "kernel") => Group::Kernel,
        (true, _) => Group::InProcess,
        (false, _) => Group::Unit,
    };
    let kind = message["target"]["kind"][0].as_str()?;
    let label = format!("{package_name} {kind} {name}");
    Some(Executable { group, label, path: path.into(), package: package.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn artifact(kind: &str, name: &str) -> Value {
        json!({
            "reason": "compiler-artifact",
            "manifest_path": "/src/egress-user/Cargo.toml",
            "target": { "kind": [kind], "name": name },
            "profile": { "test": true },
            "executable": "/target/debug/deps/it-1",
        })
    }

    #[test]
    fn groups_follow_the_kind_and_name_of_the_target() {
        let group = |kind, name| executable(&artifact(kind, name)).unwrap().group;
        assert_eq!(group("lib", "egress_user"), Group::Unit);
        assert_eq!(group("bin", "kernel"), Group::Unit);
        assert_eq!(group("test", "object"), Group::InProcess);
        assert_eq!(group("test", "kernel"), Group::Kernel);
    }

    #[test]
    fn ignores_what_is_no_test_executable() {
        let mut library = artifact("lib", "egress_user");
        library["profile"]["test"] = json!(false);
        assert_eq!(executable(&library), None);
        assert_eq!(executable(&json!({ "reason": "build-finished", "success": true })), None);
    }
}
