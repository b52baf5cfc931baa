//! `cargo xtask demo`: what a newcomer runs first.
//!
//! What it shows is `egress-user/tests/demo`, in the world of the kernel tests. Here it is built, as
//! whoever owns the repository, and given what it needs: packages, root, and a machine that is able.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{
    cargo,
    debian::{self, Missing},
};

/// Programs that the demo runs, with the Debian package of each; a test compares them with the
/// demo's own list.
const PROGRAMS: [(&str, &str); 7] = [
    ("curl", "curl"),
    ("dig", "dnsutils"),
    ("getent", "libc-bin"),
    ("git", "git"),
    ("ip", "iproute2"),
    ("/usr/bin/python3", "python3"),
    ("ssh-keyscan", "openssh-client"),
];

/// Where the programs are looked for: the system's, not those that a person has before them.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    println!("building egress and the demo; the first time this takes some minutes");
    let built = build()?;
    let packages = missing_packages(PATH);
    if !debian::is_root() {
        bail!(Missing(needs_root(&packages)));
    }
    if !packages.is_empty() {
        println!("the demo runs programs that are not here; installing: {}", packages.join(" "));
        debian::install(&packages)?;
    }
    let doctor = Command::new(&built.egress)
        .arg("doctor")
        .output()
        .with_context(|| format!("start {}", built.egress.display()))?;
    if !doctor.status.success() {
        print!("{}", String::from_utf8_lossy(&doctor.stdout));
        bail!(Missing("this machine cannot hold a sandbox; the lines above say why".to_owned()));
    }
    let status = Command::new(&built.test)
        .arg("show")
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start {}", built.test.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What cargo built.
struct Built {
    egress: PathBuf,
    test: PathBuf,
}

fn build() -> anyhow::Result<Built> {
    build_test("demo")
}

/// Builds another program of the demo's kind, and says where it is.
pub(crate) fn built(test: &str) -> anyhow::Result<PathBuf> {
    Ok(build_test(test)?.test)
}

fn build_test(test: &str) -> anyhow::Result<Built> {
    let output = cargo::command_of_owner()?
        .args(["test", "--package", "egress-user", "--test", test, "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo test --no-run; is cargo in PATH?")?;
    if !output.status.success() {
        bail!("{test} does not build ({}); the compiler's words are above", output.status);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let executable = |kind, name| {
        executable(&said, kind, name).with_context(|| format!("cargo built no {kind} {name}"))
    };
    Ok(Built { egress: executable("bin", "egress")?, test: executable("test", test)? })
}

/// The executable of a target, in the messages that cargo writes while it builds.
fn executable(messages: &str, kind: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["kind"][0] == kind && message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Debian's packages for the programs that are not in the folders of `path`.
fn missing_packages(path: &str) -> Vec<&'static str> {
    let is_there = |program: &str| env::split_paths(path).any(|at| at.join(program).is_file());
    PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect()
}

/// What to do for somebody who is not root.
fn needs_root(packages: &[&str]) -> String {
    let me = env::current_exe().unwrap_or_else(|_| PathBuf::from("target/debug/xtask"));
    let here = env::current_dir().unwrap_or_default();
    let me = me.strip_prefix(here).unwrap_or(&me);
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let mut command = as_root(me, debian::find("sudo").is_some());
    if !cargo::own_cargo(&home).is_file() && !Path::new("/usr/bin/cargo").is_file() {
        // Root would not find the cargo that is used here.
        let keeps = ["CARGO_HOME", "RUSTUP_HOME"]
            .iter()
            .filter_map(|key| Some(format!(" {key}='{}'", env::var(key).ok()?)))
            .collect::<String>();
        command = command.replacen("sudo ", &format!("sudo env \"PATH=$PATH\"{keeps} "), 1);
    }
    let installs = match packages {
        [] => String::new(),
        packages => format!(" (it will install Debian's {})", packages.join(" ")),
    };
    format!(
        "built; network namespaces and the kernel's hooks need root, so now run{installs}:\n\n    {command}\n"
    )
}

fn as_root(me: &Path, has_sudo: bool) -> String {
    let me = me.display();
    if has_sudo { format!("sudo {me} demo") } else { format!("su -c '{me} demo'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_by_kind_and_name() {
        let said = r#"{"target":{"kind":["lib"],"name":"egress"},"executable":null}
noise of a build script
{"target":{"kind":["bin"],"name":"egress"},"executable":"/t/egress"}
{"target":{"kind":["test"],"name":"demo"},"executable":"/t/demo-1"}"#;
        assert_eq!(executable(said, "bin", "egress"), Some("/t/egress".into()));
        assert_eq!(executable(said, "test", "demo"), Some("/t/demo-1".into()));
        assert_eq!(executable(said, "bin", "demo"), None);
    }

    #[test]
    fn a_machine_without_the_programs_lacks_every_package() {
        let all: Vec<_> = PROGRAMS.iter().map(|(_, package)| *package).collect();
        let expected: Vec<_> = all.into_iter().filter(|package| *package != "python3").collect();
        let found = missing_packages("/nonexistent");
        assert!(found == expected || found.contains(&"python3"), "{found:?}");
    }

    #[test]
    fn the_way_to_root_is_the_one_that_the_machine_has() {
        let me = Path::new("target/debug/xtask");
        assert_eq!(as_root(me, true), "sudo target/debug/xtask demo");
        assert_eq!(as_root(me, false), "su -c 'target/debug/xtask demo'");
    }

    #[test]
    fn the_demo_needs_nothing_else() {
        let source = include_str!("../../egress-user/tests/demo/attempts.rs");
        let list = source.split("TOOLS: &[(&str, &str)] = &[").nth(1).unwrap().split("];").next();
        let rows: String = PROGRAMS.iter().map(|(p, q)| format!("(\"{p}\",\"{q}\"),")).collect();
        let found: String = list.unwrap().split_whitespace().collect();
        assert_eq!(found, rows);
    }
}
