//! What `egress policy show` prints of several layers, and what `egress run` refuses to start with.
//!
//! Files in /etc/egress of the machine are read as well: these tests want a machine without any.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
use std::process::{Command, Output};

const MANAGED: &str = "\
[network]
mode = \"limited\"
[network.domains]
\"bad.example.com\" = \"deny\"
";

const USER: &str = "\
[network]
ech = \"allow\"
[network.domains]
\"bad.example.com\" = \"allow\"
\"example.org\" = { action = \"allow\", ports = [80] }
[profiles.ci]
extends = \"default\"
[profiles.ci.network]
mode = \"full\"
presets = [\"all\"]
";

/// Runs `egress` beside the two files.
fn egress(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.toml"), MANAGED).unwrap();
    std::fs::write(folder.path().join("u.toml"), USER).unwrap();
    let text = "[network]\ndangerously_allow_all_unix_sockets = true\nproxy_env = true\n\
        [network.unix_sockets]\n\"/run/a.sock\" = \"deny\"\n";
    std::fs::write(folder.path().join("not-built.toml"), text).unwrap();
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_egress"))
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

const LAYERS: [&str; 6] = ["policy", "show", "--policy", "m.toml", "--policy", "u.toml"];

#[test]
fn every_line_says_where_it_comes_from() {
    let (status, out, _) = egress(&[&LAYERS[..], &["--origins", "--allow", "x.test:22"]].concat());
    assert_eq!(status, Some(0));
    for line in [
        "mode = \"limited\"  # managed m.toml:2\n",
        "ech = \"allow\"  # user u.toml:2\n",
        "allow_inbound = false  # default\n",
        "\"bad.example.com\" = \"deny\"  # managed m.toml:4\n",
        "\"bad.example.com \" = \"allow\"  # user u.toml:4\n",
        "\"example.org\" = { action = \"allow\", ports = [80] }  # user u.toml:5\n",
        "\"x.test\" = { action = \"allow\", ports = [22] }  # user --allow\n",
    ] {
        assert!(out.contains(line), "{line}{out}");
    }
    let (status, out, _) = egress(&[&LAYERS[..], &["--origins", "--profile", "ci"]].concat());
    assert_eq!(status, Some(0));
    assert!(out.contains("mode = \"full\"  # user u.toml:9, profile ci\n"), "{out}");
    assert!(out.contains("\"*\" = \"allow\"  # user u.toml:10, profile ci, preset all\n"), "{out}");
}

#[test]
fn what_is_shown_is_a_policy_of_its_own() {
    let (_, shown, _) = egress(&LAYERS);
    assert!(!shown.contains('#'), "{shown}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &shown).unwrap();
    let (status, again, err) =
        egress(&["policy", "show", "--policy", file.path().to_str().unwrap()]);
    assert_eq!((status, again, err.as_str()), (Some(0), shown, ""));
}

#[test]
fn programs_read_json() {
    let (status, out, _) = egress(&[&LAYERS[..], &["--json"]].concat());
    assert_eq!(status, Some(0));
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    let lines = shown["lines"].as_array().unwrap();
    let mode = lines.iter().find(|line| line["key"] == "mode").unwrap();
    assert_eq!((&mode["value"], &mode["origin"]["layer"]), (&"limited".into(), &"managed".into()));
    let (status, out, err) = egress(&[&LAYERS[..], &["--json", "--profile", "cj"]].concat());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("--profile: there is no profile \"cj\"; write \"ci\""), "{err}");
}

#[test]
fn run_refuses_all_that_it_cannot_hold_at_once() {
    let (status, out, err) = egress(&["run", "--policy", "not-built.toml", "--", "true"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    for line in [
        "not-built.toml:2: dangerously_allow_all",
        "not-built.toml:3: proxy_env",
        "not-built.toml:5: ",
    ] {
        assert!(err.contains(&format!("egress: {line}")), "{err}");
    }
}
