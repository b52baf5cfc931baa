//! What `egress check` prints, and the status it exits with.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const POLICY: &str = "\
[network.domains]
\"**.example.com\" = { action = \"allow\", ports = [443] }
\"bad.example.com\" = \"deny\"
[network.addresses]
\"192.0.2.7\" = \"allow\"
";

fn egress() -> Command {
    Command::new(env!("CARGO_BIN_EXE_egress"))
}

/// Runs `egress check` on [`POLICY`] and names the file `p.toml` in what it printed.
fn check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.toml"), POLICY).unwrap();
    let output = egress()
        .args(["check", "--policy", "p.toml"])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn json_has_the_decision_and_the_rule_with_its_place() {
    let (status, out, _) = check(&["--json", "--resolve=*=93.184.216.34", "A.Example.COM.:443"]);
    assert_eq!(status, Some(0));
    assert_eq!(
        serde_json::from_str::<Value>(&out).unwrap(),
        json!({
            "decision": "allow",
            "reason": null,
            "rule": {"pattern": "**.example.com", "file": "p.toml", "line": 2, "layer": "user"},
            "host": "a.example.com",
            "evidence": "pin",
            "via": "kernel",
            "via_reason": "port 443 is of TLS, whose server name is read",
            "addresses": ["93.184.216.34"],
        })
    );
    let (status, out, _) = check(&["--json", "--resolve=*=10.0.0.1", "a.example.com:443"]);
    assert_eq!(status, Some(1));
    let fields: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&fields["reason"], &fields["rule"]), (&json!("not_allowed_local"), &Value::Null));
    assert_eq!(fields["addresses"], json!([]));
}

#[test]
fn a_key_of_the_file_is_set_from_the_command_line() {
    let target = "bad.example.com:443";
    let set = "--set=network.domains.\"bad.example.com\"=allow";
    let (status, out, _) = check(&["--resolve=*=93.184.216.34", set, target]);
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("bad.example.com (--set network.domains."), "{out}");
    // The deny was that key's; the rule beside it is as it was.
    let (status, ..) = check(&["--resolve=*=93.184.216.34", set, "a.example.com:80"]);
    assert_eq!(status, Some(1));
    let (status, out, err) = check(&["--set=network.domains.bad.example.com=allow", target]);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("--set 'network.domains.\"bad.example.com\"=allow'"), "{err}");
}

#[test]
fn a_person_reads_why_and_what_would_change_it() {
    let (status, out, _) = check(&["bad.example.com:443"]);
    assert_eq!(status, Some(1));
    assert_eq!(
        out,
        "\
deny      bad.example.com:443
reason    denied: A deny rule matches.
rule      bad.example.com (p.toml:3)
host      bad.example.com
evidence  pin
to change remove the deny of bad.example.com (p.toml:3): no allow rule overrides it
"
    );
    let (_, out, _) = check(&["other.test:443"]);
    assert!(
        out.contains(
            "--allow other.test:443, or in [network.domains]: \"other.test\" = { action = \"allow\", \
             ports = [443] }"
        ),
        "{out}"
    );
    let (_, out, _) = check(&["--resolve=*=10.0.0.1", "a.example.com:443"]);
    assert!(out.contains("looked up 10.0.0.1\n"), "{out}");
    let (_, out, _) = check(&["--allow", "bad.example.com", "x.example.com:1"]);
    assert!(out.contains("add 1 to the ports of **.example.com (p.toml:2)"), "{out}");
    assert!(out.contains("warning   --allow: \"bad.example.com\" allows nothing"), "{out}");
}

#[test]
fn flags_are_rules_of_the_user() {
    let (status, out, _) =
        check(&["--json", "--allow", "[2606::1]:443", "--deny", "2606::/96", "[2606::1]:443"]);
    assert_eq!(status, Some(1));
    let fields: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        fields["rule"],
        json!({"pattern": "2606::/96", "file": "--deny", "line": null, "layer": "user"})
    );
}

#[test]
fn udp_is_judged_as_written_with_a_note_that_it_is_not_forwarded() {
    let (status, out, _) = check(&["--json", "udp://192.0.2.7:123"]);
    assert_eq!(status, Some(0));
    let fields: Value = serde_json::from_str(&out).unwrap();
    assert!(fields["note"].as_str().unwrap().contains("no UDP but DNS"));
    let (status, out, _) = check(&["udp://192.0.2.7:443"]);
    assert_eq!((status, out.contains("protocol_not_allowed")), (Some(1), true));
}

#[test]
fn errors_exit_with_2_and_say_what_to_write() {
    for (arguments, complaint) in [
        (&["example.com"][..], "write example.com:443"),
        (&["::1"], "write [::1]:443"),
        (&["unix:run/a.sock"], "is not an absolute path"),
        (&["--method", "GET", "a.test:1"], "--method is of http://"),
        (&["--allow", "https://a.test", "a.test:1"], "write \"a.test\""),
        (&["--resolve", "a.test", "a.test:1"], "write NAME=ADDR"),
        (&["--policy", "missing.toml", "a.test:1"], "missing.toml: cannot be read"),
        (&["--nothing"], "--nothing"),
        (&[], "TARGET"),
    ] {
        let (status, out, err) = check(arguments);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err.starts_with("egress: ") && err.contains(complaint), "{err}");
    }
}

#[test]
fn a_name_that_is_not_allowed_is_not_looked_up() {
    // Without --resolve a lookup would be a real one, and take the network.
    let (status, out, _) = check(&["--json", "not-listed.invalid:443"]);
    assert_eq!((status, out.contains("\"not_allowed\"")), (Some(1), true));
    let (status, out, _) = check(&["--json", "--allow", "localhost", "localhost:80"]);
    assert_eq!((status, out.contains("[\"127.0.0.1\",\"::1\"]")), (Some(0), true), "{out}");
}

#[test]
fn a_target_cannot_write_to_the_terminal() {
    let (_, out, _) = check(&["a\u{1b}[2J.test:443"]);
    assert!(out.contains("invalid_host") && !out.contains('\u{1b}'), "{out:?}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    for arguments in [&["check", "--allow", "localhost", "localhost:1"][..], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child =
            egress().args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_first_line_says_what_run_does_otherwise() {
    let first = |arguments: &[&str]| {
        let (_, out, _) = check(arguments);
        out.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        first(&["--allow=192.0.2.9", "udp://192.0.2.9:9"]),
        "allow     udp://192.0.2.9:9 (egress run does not forward this yet)"
    );
    assert_eq!(
        first(&["unix:/run/a.sock"]),
        "deny      unix:/run/a.sock (egress run does not hold this yet)"
    );
    assert_eq!(
        first(&["--set=network.proxy_env=true", "192.0.2.7:443"]),
        "allow     192.0.2.7:443 (egress run refuses this policy: see the notes)"
    );
    assert_eq!(first(&["192.0.2.7:443"]), "allow     192.0.2.7:443");
}

#[test]
fn the_last_line_of_the_page_on_policies_is_true() {
    let page = include_str!("../../docs/policy.md");
    let last = page.trim_end().lines().last().unwrap_or_default();
    assert_eq!(last, "Besides, whatever a rule says, `egress run` forwards no UDP but DNS.");
    for (port, forwarded) in [("53", true), ("9", false), ("123", false)] {
        let target = format!("udp://192.0.2.9:{port}");
        let (_, out, _) = check(&["--allow=192.0.2.9", &target]);
        assert_eq!(!out.contains("does not forward this yet"), forwarded, "{out}");
    }
}

#[test]
fn a_dot_at_the_start_is_told_what_is_meant() {
    let (status, _, err) = check(&["--allow=.x.example", "a.x.example:443"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("write \"**.x.example\" for x.example and all below it"), "{err}");
}

#[test]
fn what_is_advised_can_be_pasted() {
    for (asked, change) in [
        (
            "a.example.com:80",
            "--set 'network.domains.\"**.example.com\"={ action = \"allow\", ports = [80, 443] }'",
        ),
        (
            "[2001:db8::1]:25",
            "--allow [2001:db8::1]:25, or in [network.addresses]: \"2001:db8::1\" = {",
        ),
    ] {
        let (_, out, _) = check(&["--resolve=*=93.184.216.34", asked]);
        assert!(out.contains(change), "{out}");
    }
}
