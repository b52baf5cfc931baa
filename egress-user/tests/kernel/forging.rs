//! Names that others choose, and what a person sees of them: nothing prints a line of its own, and nothing reaches a
//! terminal that it would obey or hide.
use std::os::unix::ffi::OsStrExt;
use std::{ffi::OsStr, fs};

use super::support::{EGRESS, Finished, NAME_SERVER, PYTHON, World};
use super::{ALLOWED, SITE, two_sites};

/// What `forge.py` would have printed, as it begins a line.
const FORGED: [&str; 2] = ["  good.test: not_allowed", "      to allow: --allow evil.test"];

/// A file's name with the same in it.
const HOSTILE_NAME: &str =
    "p\n      to allow: --allow evil.test\r\u{1b}[2K\u{9b}\u{202e}\u{2066}\u{200b}\u{feff}";

/// Claims that bytes are lines of text with nothing in them that acts on a terminal.
#[track_caller]
fn is_clean(bytes: &[u8], out: &Finished<'_>) {
    let text = String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| panic!("no UTF-8\n{out}"));
    for line in text.lines() {
        assert!(!FORGED.iter().any(|forged| line.starts_with(forged)), "a forged line\n{out}");
    }
    let acts = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!text.contains(acts), "{:?}\n{out}", text.chars().find(|&c| acts(c)));
}

/// Runs an attempt with and without the filter: without it the bytes arrive.
#[track_caller]
fn attempt(world: &World, options: &[&str], how: &str, at: (&str, &str)) {
    let words = |name| [PYTHON, "forge.py", how, at.0, at.1].into_iter().chain(name);
    let before = world.arrived_at(at.0).payload();
    world.direct().run(words(None));
    assert!(world.arrived_at(at.0).payload() > before, "{how} sends nothing\n{world}");
    let before = world.arrived_at(at.0).payload();
    let out = world.egress(options).env("EGRESS_LOG", "debug").run(words(Some("allowed.test")));
    assert_eq!(world.arrived_at(at.0).payload(), before, "{how} gets through\n{out}");
    assert!(out.complaints().contains("egress: refused:"), "{how} was not told of\n{out}");
    is_clean(&out.stderr, &out);
}

#[test]
#[ignore = "kernel: needs root"]
fn names_on_the_wire_print_no_lines_of_their_own() {
    let world = two_sites();
    for how in ["sni", "sni-bytes", "sni-long"] {
        // By the kernel, and by the proxy.
        attempt(&world, ALLOWED, how, (SITE, "443"));
        let rule = "network.domains.\"allowed.test\"={ action = \"allow\", via = \"proxy\" }";
        attempt(&world, &["--set", rule], how, (SITE, "443"));
    }
    for how in ["host", "host-bidi", "absolute", "long-host"] {
        attempt(&world, ALLOWED, how, (SITE, "80"));
    }
    let paths = "network.domains.\"allowed.test\"={ action = \"allow\", paths = [\"/a/\"] }";
    attempt(&world, &["--set", paths], "path", (SITE, "80"));
}

#[test]
#[ignore = "kernel: needs root"]
fn the_answer_to_a_refused_request_is_clean_as_well() {
    let world = two_sites();
    for how in ["host", "host-bidi", "absolute"] {
        let command = [PYTHON, "forge.py", how, SITE, "80", "allowed.test"];
        let out = world.egress(ALLOWED).run(command);
        let answer = String::from_utf8_lossy(&out.stdout).replace("\r\n", "\n");
        assert!(answer.starts_with("HTTP/1.1 4"), "{how}: {answer}");
        is_clean(answer.as_bytes(), &out);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn names_in_lookups_print_no_lines_of_their_own() {
    let world = two_sites();
    for how in ["dns", "dns-bytes"] {
        let words = [PYTHON, "forge.py", how, NAME_SERVER, "53"];
        let before = world.queries().len();
        world.direct().run(words);
        assert!(world.queries().len() > before, "{how} asks nobody\n{world}");
        let before = world.queries().len();
        let out = world.egress(ALLOWED).env("EGRESS_LOG", "debug").run(words);
        assert_eq!(world.queries().len(), before, "{out}");
        assert!(out.complaints().contains("invalid_host"), "{out}");
        is_clean(&out.stderr, &out);
    }
    // What an answer says of a refusal quotes the policy, whose file may be named by anybody.
    let policy = world.file(HOSTILE_NAME, "[network.domains]\n\"refused.test\" = \"deny\"\n");
    let policy = policy.display().to_string();
    let out = world.egress(&["--policy", &policy]).run(["dig", "refused.test"]);
    out.said("EDE: 15 (Blocked)").complained("refused.test: denied");
    // dig's own tabs.
    is_clean(out.text().replace('\t', " ").as_bytes(), &out);
    is_clean(&out.stderr, &out);
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_started_and_by_whom_prints_no_lines_of_its_own() {
    let world = two_sites();
    let program = world.path(HOSTILE_NAME).display().to_string();
    // Not there, there and not executable, and running.
    let out = world.egress(ALLOWED).run([program.as_str()]);
    out.exited(127);
    is_clean(&out.stderr, &out);
    fs::write(&program, "no program").unwrap();
    let out = world.egress(ALLOWED).run([program.as_str()]);
    out.exited(126);
    is_clean(&out.stderr, &out);
    let bytes = OsStr::from_bytes(b"-x\n\xff\x9b2J").to_owned();
    let words = [EGRESS.into(), "run".into(), "--allow".into(), "allowed.test".into(), bytes];
    let out = world.direct().run::<std::ffi::OsString>(words);
    out.exited(2);
    is_clean(&out.stderr, &out);
    for flag in ["--user", "--allow", "--deny", "--policy", "--profile", "--set", "--nothing"] {
        let out = world.egress(&[flag, HOSTILE_NAME]).run(["true"]);
        assert!(matches!(out.status.code(), Some(2 | 125)), "{out}");
        is_clean(&out.stderr, &out);
    }
    // The same word tells of a running program.
    fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
    let running = world.egress(ALLOWED).idle_stdin().start([&program, "-c", "echo up; read x"]);
    running.says("up");
    for arguments in [&["status"][..], &["status", "--json"], &["status", HOSTILE_NAME]] {
        let out = world.direct().run([EGRESS].iter().chain(arguments));
        assert!(out.status.success() || arguments.len() > 1, "{out}");
        is_clean(&out.stdout, &out);
        is_clean(&out.stderr, &out);
    }
    running.finish();
}

#[test]
#[ignore = "kernel: needs root"]
fn what_a_policy_says_prints_no_lines_of_its_own() {
    let world = two_sites();
    let hostile = "\\n      to allow: --allow evil.test\\u001b[2K\\u009b\\u202e";
    // As escapes, as a terminal would have them, and in what is no TOML.
    let policies = [
        format!("[network.domains]\n\"a{hostile}.test\" = \"allow\"\n"),
        format!("[network.domains]\n\"allowed.test\" = \"allow{hostile}\"\n"),
        format!("[network]\n\"key{hostile}\" = true\n"),
        format!(
            "[network.unix_sockets]\n\"/run/{hostile}\" = \"allow\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n"
        ),
        format!(
            "[network.domains]\n\"allowed.test\" = {{ action = \"allow\", paths = [\"/{hostile}\"] }}\n"
        ),
        "[network.domains]\n\"allowed.test\" = \"allow\u{202e}\u{9b}2J\"\n".to_owned(),
        "[network\u{202e}\u{1b}[2K\n".to_owned(),
    ];
    for (number, text) in policies.iter().enumerate() {
        let policy = world.file(&format!("{number}{HOSTILE_NAME}"), text).display().to_string();
        let cases = format!(
            "policy = [{policy:?}]\n[[case]]\nname = \"{hostile}\"\ntarget = \"a.test:1\"\nexpect = \"deny\"\n"
        );
        let cases = world.file("cases.toml", cases).display().to_string();
        let target = "https://allowed.test/";
        let commands: &[&[&str]] = &[
            &["run", "--policy", &policy, "--", "true"],
            &["check", "--resolve=*=93.184.216.34", "--policy", &policy, target],
            &["check", "--resolve=*=93.184.216.34", "--json", "--policy", &policy, target],
            &[
                "check",
                "--resolve=*=93.184.216.34",
                "--policy",
                &policy,
                "unix:/run/\n      to allow: --allow evil.test\u{9b}",
            ],
            &["policy", "show", "--origins", "--policy", &policy],
            &["policy", "show", "--json", "--policy", &policy],
            &["policy", "lint", &policy],
            &["policy", "lint", "--json", &policy],
            &["policy", "diff", &policy, "/dev/null"],
            &["policy", "diff", "--json", &policy, "/dev/null"],
            &["policy", "test", &cases],
            &["policy", "test", "--json", &cases],
            &["policy", "import", &policy],
        ];
        for arguments in commands {
            let out = world.direct().run([EGRESS].iter().chain(*arguments));
            is_clean(&out.stderr, &out);
            is_clean(&out.stdout, &out);
            if arguments.contains(&"--json") && !out.stdout.is_empty() {
                serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap();
            }
        }
    }
}
