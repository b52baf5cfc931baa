//! What each real program makes of a pattern, measured: Codex 0.171.0 by requests through its own
//! proxy, sandbox-runtime 0.0.83 by its schema and matcher.
use super::*;

/// Of hosts, whether the program lets them pass under this one allow.
const CODEX: &[(&str, &[(&str, bool)])] = &[
    (".a.test", &[("a.test:80", false), ("x.a.test:80", false)]),
    ("*.a.test", &[("x.a.test:80", true), ("a.test:80", false), ("xa.test:80", false)]),
    ("**.a.test", &[("x.a.test:80", true), ("a.test:80", true), ("xa.test:80", false)]),
    ("*.test", &[("a.test:80", true)]),
    ("A.Test.", &[("a.test:80", true)]),
    (" b.test ", &[("b.test:80", true)]),
    ("bücher.test", &[("xn--bcher-kva.test:80", false)]),
    ("127.1", &[("127.0.0.1:80", false)]),
    ("0x7f000001", &[("127.0.0.1:80", false)]),
    ("2130706433", &[("127.0.0.1:80", false)]),
    ("127.0.0.1", &[("127.0.0.1:80", true)]),
    ("localhost", &[("localhost:80", true), ("127.0.0.1:80", false)]),
    ("::ffff:10.0.0.1", &[("10.0.0.1:80", false)]),
    ("[fe80::1%25lo]", &[("[fe80::1]:80", false)]),
    ("10.0.0.0/8", &[("10.0.0.1:80", false)]),
    ("127.0.0.*", &[("127.0.0.1:80", false)]),
    ("*", &[("a.test:80", true), ("10.77.0.1:80", false), ("127.0.0.1:80", false)]),
];

const RUNTIME: &[(&str, &[(&str, bool)])] = &[
    ("a.test", &[("a.test:80", true), ("x.a.test:80", false)]),
    ("*.a.test", &[("x.a.test:80", true), ("a.test:80", false)]),
    ("a.test:80", &[("a.test:80", true), ("a.test:443", false)]),
    ("a.test.", &[("a.test:80", false)]),
    (" a.test", &[("a.test:80", false)]),
    (".a.test", &[("x.a.test:80", false)]),
    ("*.test", &[("a.test:80", false)]),
    ("**.a.test", &[("a.test:80", false), ("x.a.test:80", false)]),
    ("*", &[("a.test:80", false)]),
    ("a.test:080", &[("a.test:80", false)]),
    ("bücher.test", &[("xn--bcher-kva.test:80", false)]),
    ("127.1", &[("127.0.0.1:80", false)]),
    ("1.2.3", &[("1.2.0.3:80", false)]),
    ("127.0.0.1", &[("127.0.0.1:80", true)]),
    ("::1", &[("[::1]:80", false)]),
    ("[::1]", &[("[::1]:80", true)]),
    ("[::1]:80", &[("[::1]:80", true), ("[::1]:81", false)]),
    ("[::ffff:10.0.0.1]", &[("10.0.0.1:80", true)]),
    ("a.test:80-90", &[("a.test:80", false)]),
    ("intranet", &[("intranet:80", false)]),
];

#[test]
fn an_allow_opens_what_it_opens_there() {
    for (pattern, expected) in CODEX {
        let text = format!("[network]\nallowed_domains = [{pattern:?}]\n");
        check(&imported("f", &text), None, expected);
    }
    for (pattern, expected) in RUNTIME {
        let text = format!("{{\"network\": {{\"allowedDomains\": [{pattern:?}]}}}}");
        check(&imported("f", &text), None, expected);
    }
}

#[test]
fn an_allow_that_opens_nothing_is_told() {
    for (pattern, expected) in CODEX {
        if expected.iter().all(|(_, allowed)| !allowed) {
            let text = format!("[network]\nallowed_domains = [{pattern:?}]\n");
            tells(&imported("f", &text), &[&format!("f:2: {pattern:?}: ")]);
        }
    }
}

#[test]
fn a_deny_that_cannot_be_said_is_denied_with_more() {
    for (deny, closed, open) in [
        ("*", "a.test:443", None),
        ("evil*", "a.test:443", None),
        ("*.*", "a.test:443", None),
        ("1*.0.0.1", "a.test:443", None),
        ("{a,b}.test", "a.test:443", None),
        ("ad?.tracker.test", "ads.tracker.test:443", Some("a.test:443")),
        ("x.*.b.test", "x.y.b.test:443", Some("a.test:443")),
        ("[ab]c.b.test", "ac.b.test:443", Some("a.test:443")),
        (".b.test", "b.test:443", Some("a.test:443")),
        ("b.test/path", "b.test:443", Some("a.test:443")),
        ("https://u@b.test:8443/x", "b.test:443", Some("a.test:443")),
        ("B.TEST..", "b.test:443", Some("a.test:443")),
        ("10.*", "10.9.9.9:80", Some("a.test:443")),
        ("93.184.216.*", "93.184.216.34:80", None),
        ("127.1", "127.0.0.1:80", Some("a.test:443")),
        ("[::1]:443", "[::1]:80", Some("a.test:443")),
        ("b.test:8000-9000", "b.test:80", Some("a.test:443")),
        ("*.b.test:http", "x.b.test:80", Some("a.test:443")),
        ("", "a.test:443", None),
        ("fe80::1%eth0", "[fe80::1]:80", Some("a.test:443")),
        ("10.1.2.3/8", "10.9.9.9:80", Some("a.test:443")),
    ] {
        let text = format!(
            "[network]\nallow_local_binding = true\nallowed_domains = [\"*\"]\ndenied_domains = [{deny:?}]\n"
        );
        let codex = imported("f", &text);
        check(&codex, None, &[(closed, false)]);
        let text = format!(
            "{{\"network\": {{\"allowedDomains\": [\"a.test\"], \"deniedDomains\": [{deny:?}]}}}}"
        );
        let runtime = imported("f", &text);
        check(&runtime, None, &[(closed, false)]);
        if let Some(open) = open {
            check(&codex, None, &[(open, true)]);
            check(&runtime, None, &[(open, true)]);
        }
    }
}
