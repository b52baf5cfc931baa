//! What `egress policy lint`, `test` and `diff` print, and the status they exit with.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
use std::process::{Command, Output};

use serde_json::{Value, json};

const POLICY: &str = "\
[network.domains]
\"**.example.com\" = { action = \"allow\", ports = [443] }
\"bad.example.com\" = \"deny\"
[network.addresses]
\"192.0.2.7\" = \"allow\"
";

/// Runs `egress policy` among these files.
fn policy(files: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_egress"))
        .arg("policy")
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn lint_shows_warnings_with_their_line() {
    let text = "[network.domains]\n\"**.a.test\" = \"deny\"\n  \"b.a.test\" = \"allow\"\n";
    let files = [("p.toml", text)];
    let (status, out, err) = policy(&files, &["lint", "p.toml"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "\
warning: p.toml:3: \"b.a.test\" allows nothing, as the deny of **.a.test (p.toml:2) covers it
   |
 3 |   \"b.a.test\" = \"allow\"
   |   ^^^^^^^^^^
2 rules, 1 warning
"
    );
    assert_eq!(policy(&files, &["lint", "--strict", "p.toml"]).0, Some(1));
    let (status, out, _) = policy(&[("p.toml", POLICY)], &["lint", "--strict", "p.toml"]);
    assert_eq!((status, out.as_str()), (Some(0), "3 rules, 0 warnings\n"));
    let (_, out, _) = policy(&files, &["lint", "--json", "p.toml"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&found["rules"], &found["warnings"][0]["line"]), (&json!(2), &json!(3)));
}

#[test]
fn lint_looks_into_profiles_and_notes_what_run_would_refuse() {
    let text = "\
[network]
proxy_env = true
[network.domains]
\"**.a.test\" = \"deny\"
[profiles.ci]
extends = \"default\"
[profiles.ci.network.domains]
\"b.a.test\" = \"allow\"
";
    let (status, out, _) = policy(&[("p.toml", text)], &["lint", "--strict", "p.toml"]);
    assert_eq!(status, Some(1), "{out}");
    assert!(out.contains("warning: p.toml:8: \"b.a.test\" allows nothing"), "{out}");
    assert!(out.contains("note: p.toml:2: proxy_env is not built yet"), "{out}");
    assert!(out.contains(" 2 | proxy_env = true\n   | ^^^^^^^^^^^^^^^^\n"), "{out}");
    assert!(out.ends_with("\n2 rules, 1 warning, 1 note\n"), "{out}");
}

#[test]
fn lint_shows_every_error_of_every_file() {
    let files = [
        ("a.toml", "[network.domains]\n\"a*.test\" = \"allow\"\n\"b.test\" = \"Allow\"\n"),
        ("b.toml", "[netwrok]\n"),
    ];
    let (status, out, err) = policy(&files, &["lint", "a.toml", "b.toml"]);
    assert_eq!((status, err.as_str()), (Some(2), ""));
    for line in [
        "error: a.toml:2:1: ",
        " 2 | \"a*.test\" = \"allow\"\n   | ^^^^^^^^^\n",
        "error: a.toml:3:12: ",
        "error: b.toml:1:2: ",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(out.ends_with("\n3 errors\n"), "{out}");
    let (status, out, _) = policy(&files, &["lint", "--json", "a.toml"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    let first = &found["errors"][0];
    assert_eq!((status, found["errors"].as_array().unwrap().len()), (Some(2), 2));
    assert_eq!(
        (&first["line"], &first["column"], &first["length"]),
        (&json!(2), &json!(1), &json!(9))
    );
    let (status, out, _) = policy(&[], &["lint", "missing.toml"]);
    assert_eq!(status, Some(2));
    assert!(out.starts_with("error: missing.toml: cannot be read"), "{out}");
    assert_eq!(policy(&[], &["lint"]).0, Some(2));
}

const CASES: &str = "\
policy = [\"../p.toml\"]
[resolver]
\"*\" = [\"93.184.216.34\"]
[[case]]
target = \"https://api.example.com/v1\"
expect = \"allow\"
rule = \"**.example.com\"
[[case]]
name = \"rebinding\"
target = \"api.example.com:443\"
expect = \"deny\"
reason = \"not_allowed_local\"
resolver = { \"api.example.com\" = [\"10.0.0.1\"] }
[[case]]
target = \"bad.example.com:443\"
expect = \"allow\"
";

#[test]
fn test_prints_a_line_for_each_case() {
    let files = [("p.toml", POLICY), ("cases/t.toml", CASES)];
    let (status, out, err) = policy(&files, &["test", "cases/t.toml"]);
    assert_eq!((status, err.as_str()), (Some(1), ""));
    let policy_file = "cases/../p.toml";
    assert_eq!(
        out,
        format!(
            "\
ok      https://api.example.com/v1       allow by **.example.com ({policy_file}:2)
ok      api.example.com:443 (rebinding)  deny (not_allowed_local) by no rule
FAILED  bad.example.com:443              cases/t.toml:15
        expected  allow
        got       deny (denied) by bad.example.com ({policy_file}:3)
        to change remove the deny of bad.example.com ({policy_file}:3): no allow rule overrides it
2 passed; 1 failed
"
        )
    );
    let (status, out, _) = policy(&files, &["test", "--json", "cases/t.toml"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &report["passed"], &report["failed"]), (Some(1), &json!(2), &json!(1)));
    assert_eq!(
        report["cases"][2],
        json!({
            "line": 15,
            "name": null,
            "target": "bad.example.com:443",
            "passed": false,
            "expected": {"decision": "allow", "reason": null, "rule": null},
            "got": {
                "decision": "deny",
                "reason": "denied",
                "rule": {
                    "pattern": "bad.example.com", "file": policy_file, "line": 3, "layer": "user",
                },
            },
            "lookup_without_answer": null,
        })
    );
}

#[test]
fn test_takes_another_policy_from_the_command_line() {
    let open =
        "[network.domains]\n\"bad.example.com\" = \"allow\"\n\"*.example.com\" = \"allow\"\n";
    let cases = CASES.replace("rule = \"**.example.com\"\n", "");
    let files = [("other.toml", open), ("cases/t.toml", cases.as_str())];
    let (status, out, _) = policy(&files, &["test", "cases/t.toml", "--policy", "other.toml"]);
    assert_eq!(status, Some(0), "{out}");
    assert!(out.ends_with("3 passed; 0 failed\n"), "{out}");
}

#[test]
fn test_judges_the_unix_socket_that_a_link_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap().join("real");
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, folder.path().join("link")).unwrap();
    let [real, link] = [real.join("a.sock"), folder.path().join("link/a.sock")];
    let rules = format!("[network.unix_sockets]\n\"{}\" = \"allow\"\n", link.display());
    let cases = format!(
        "[[case]]\ntarget = \"unix:{}\"\nexpect = \"allow\"\n\
         [[case]]\ntarget = \"unix:{}\"\nexpect = \"allow\"\n\
         [[case]]\ntarget = \"unix:@bus\"\nexpect = \"deny\"\nreason = \"unix_socket_not_allowed\"\n",
        real.display(),
        link.display()
    );
    let files = [("p.toml", rules.as_str()), ("t.toml", cases.as_str())];
    let (status, out, err) = policy(&files, &["test", "t.toml", "--policy", "p.toml"]);
    assert_eq!(status, Some(0), "{out}{err}");
}

#[test]
fn test_looks_nothing_up_that_the_file_does_not_answer() {
    let cases = "[[case]]\ntarget = \"a.example.com:443\"\nexpect = \"deny\"\n";
    let files = [("p.toml", POLICY), ("t.toml", cases)];
    let (status, out, _) = policy(&files, &["test", "t.toml", "--policy", "p.toml"]);
    assert_eq!(status, Some(1));
    assert!(
        out.contains("a lookup of a.example.com, which no resolver of the file answers"),
        "{out}"
    );
}

#[test]
fn test_needs_a_policy_and_cases_without_errors() {
    for (cases, complaint) in [
        (
            "[[case]]\ntarget = \"a.test:1\"\nexpect = \"deny\"\n",
            "t.toml names no policy; write policy",
        ),
        (
            "policy = [\"none.toml\"]\n[[case]]\ntarget = \"a.test:1\"\nexpect = \"deny\"\n",
            "none.toml: cannot be read",
        ),
        (
            "[[case]]\ntarget = \"a.test\"\nexpect = \"deny\"\n",
            "t.toml:2:10: \"a.test\" has no port; write a.test:443\n",
        ),
        ("[[case]]\nexpect = 1\ntarget = \"a.test:1\"\n", "t.toml:2:10: "),
    ] {
        let (status, out, err) = policy(&[("t.toml", cases)], &["test", "t.toml"]);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.starts_with("egress: ") && err.contains(complaint), "{err}");
    }
}

#[test]
fn diff_prints_targets_and_both_lines() {
    let after = "\
[network.domains]
\"**.example.com\" = \"allow\"
\"bad.example.com\" = \"deny\"
";
    let files = [("a.toml", POLICY), ("b.toml", after)];
    let (status, out, err) = policy(&files, &["diff", "a.toml", "b.toml"]);
    assert_eq!((status, err.as_str()), (Some(1), ""));
    assert_eq!(
        out,
        "\
opened  **.example.com (but not bad.example.com): every port but 443
        before  deny (port_not_allowed) by **.example.com (a.toml:2)
        after   allow by **.example.com (b.toml:2)
closed  192.0.2.7: every port
        before  allow by 192.0.2.7 (a.toml:5)
        after   deny (not_allowed_local) by no rule
closed  192.0.2.7: every port but 443 over UDP
        before  allow by 192.0.2.7 (a.toml:5)
        after   deny (not_allowed_local) by no rule
1 opened, 2 closed
"
    );
    let (_, out, _) = policy(&files, &["diff", "--json", "a.toml", "b.toml"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["opened"], &report["closed"]), (&json!(1), &json!(2)));
    let first = &report["differences"][0];
    assert_eq!(first["hosts"], json!(["**.example.com (but not bad.example.com)"]));
    assert_eq!(first["scope"], json!("every port but 443"));
    assert_eq!(first["example"], json!("example.com:80"));
    assert_eq!(first["before"]["reason"], json!("port_not_allowed"));
}

#[test]
fn diff_says_when_nothing_changes_and_what_is_wrong() {
    let moved = format!("# The same.\n{POLICY}\n[network.dns]\ntimeout = \"3s\"\n");
    let files = [("a.toml", POLICY), ("b.toml", moved.as_str())];
    let (status, out, _) = policy(&files, &["diff", "a.toml", "b.toml"]);
    assert_eq!(
        (status, out.as_str()),
        (
            Some(0),
            "note    [network.dns] differs: who is asked, and how long pins live\nno target changes\n"
        )
    );
    let files = [("a.toml", POLICY), ("b.toml", "[netwrok]\n")];
    let (status, out, err) = policy(&files, &["diff", "a.toml", "b.toml"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("b.toml:1:2"), "{err}");
}

#[test]
fn import_says_what_is_lost_and_writes_it_only_when_told() {
    let lossy = "{\"extends\": \"code\",\n\"network\": {\"allowedDomains\": [\"a.example\", \"b*.example\"]}}";
    let files = [("s.json", lossy), ("c.toml", "[network]\ndenied_domains = \"x\"\n")];
    let (status, out, err) = policy(&files, &["import", "s.json"]);
    assert_eq!((status, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("lost: s.json:1: extends: rules stand elsewhere"), "{err}");
    assert!(err.contains("not carried over: s.json:2: \"b*.example\""), "{err}");
    assert!(err.contains("--lossy writes what there is"), "{err}");
    let (status, out, _) = policy(&files, &["import", "--lossy", "s.json"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("\n\"a.example\" = \"allow\" # s.json:2\n"), "{out}");
    assert!(out.contains("# Lost: s.json:1: extends"), "{out}");
    // What is written can be looked at as any policy.
    let written = [("p.toml", out.as_str())];
    assert_eq!(policy(&written, &["lint", "--strict", "p.toml"]).0, Some(0));
    let (status, out, err) = policy(&files, &["import", "c.toml"]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("c.toml:2: denied_domains is no list; write it as"), "{err}");
}

#[test]
fn import_reads_lists_either_way_and_conf_with_its_list() {
    let conf = "acl sites dstdomain \"/etc/squid/sites.txt\"\nhttp_access allow sites\nhttp_access deny all\n";
    let files =
        [("squid.conf", conf), ("sites.txt", ".a.example\n"), ("bad", &*"x\u{1b}[2J.\n".repeat(2))];
    let (status, out, err) = policy(&files, &["import", "squid.conf", "sites.txt"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains("\n\"**.a.example\" = \"allow\" # sites.txt:1\n"), "{out}");
    let (status, out, _) = policy(&files, &["import", "--deny-list", "sites.txt"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("\n\"**.a.example\" = \"deny\" # sites.txt:1\n"), "{out}");
    let (status, _, err) = policy(&files, &["import", "squid.conf"]);
    assert_eq!(status, Some(2));
    assert!(
        err.contains("squid.conf:1: what \"/etc/squid/sites.txt\" lists is not known; give"),
        "{err}"
    );
    // What a file holds acts on no terminal.
    let (_, out, err) = policy(&files, &["import", "bad"]);
    assert!(!out.contains('\u{1b}') && !err.contains('\u{1b}'), "{out}{err}");
}

#[test]
fn lint_looks_at_the_table_beside_a_default_profile() {
    let text = "default_profile = \"ci\"\n[network.domains]\n\"**.a.test\" = \"deny\"\n\
        \"b.a.test\" = \"allow\"\n[profiles.ci]\n";
    let (_, out, err) = policy(&[("p.toml", text)], &["lint", "p.toml"]);
    assert!(out.contains("warning: p.toml:4: \"b.a.test\" allows nothing"), "{out}{err}");
}
