use super::*;
use crate::config::{self, Flags};

const POLICY: &str = "\
[network.domains]
\"**.example.com\" = { action = \"allow\", ports = [443] }
\"bad.example.com\" = \"deny\"
\"cdn.example.net\" = \"deny\"
";

fn policy() -> Policy {
    let loaded = config::parse(POLICY, "p.toml").unwrap();
    config::assemble_layers(vec![loaded], &Flags::default()).unwrap().policy
}

/// A real lookup would be a failure of the test.
struct Nobody;

impl Lookup for Nobody {
    fn lookup(&mut self, name: &Name) -> crate::policy::Answer {
        panic!("{name} was really looked up");
    }
}

/// Whether each case of the file passes.
fn passes(text: &str) -> Vec<bool> {
    let suite = read(text, "t.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let policy = policy();
    suite.cases.iter().map(|case| case.run(&policy, &mut Nobody).passed).collect()
}

/// The errors of a file, one line each.
fn errors(text: &str) -> Vec<String> {
    match read(text, "t.toml") {
        Ok(suite) => panic!("it was read: {suite:?}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

fn case(lines: &str) -> String {
    format!("[resolver]\n\"*\" = [\"93.184.216.34\"]\n[[case]]\n{lines}\n")
}

#[test]
fn every_expectation_is_held() {
    for (lines, passed) in [
        ("target = 'https://a.example.com/x'\nexpect = 'allow'", true),
        ("target = 'a.example.com:443'\nexpect = 'deny'", false),
        ("target = 'a.example.com:443'\nexpect = 'allow'\nrule = '**.EXAMPLE.com.'", true),
        ("target = 'a.example.com:443'\nexpect = 'allow'\nrule = '*.example.com'", false),
        ("target = 'bad.example.com:443'\nexpect = 'deny'\nreason = 'denied'", true),
        ("target = 'bad.example.com:443'\nexpect = 'deny'\nreason = 'not_allowed'", false),
        ("target = 'a.example.com:22'\nexpect = 'deny'\nreason = 'port_not_allowed'", true),
        // No rule decides about what no rule is about.
        ("target = 'b.test:443'\nexpect = 'deny'\nrule = '**.example.com'", false),
        ("target = 'b.test:443'\nexpect = 'deny'", true),
    ] {
        assert_eq!(passes(&case(lines)), [passed], "{lines}");
    }
}

#[test]
fn answers_come_from_the_case_then_from_the_file() {
    let own = |resolver: &str, reason: &str| {
        let lines = format!(
            "target = 'a.example.com:443'\nexpect = 'deny'\nreason = '{reason}'\nresolver = {resolver}"
        );
        passes(&case(&lines))
    };
    assert_eq!(own("{ 'a.example.com' = ['10.0.0.1'] }", "not_allowed_local"), [true]);
    assert_eq!(own("{ 'A.example.com.' = 'NXDOMAIN' }", "dns_failed"), [true]);
    assert_eq!(own("{ '*' = [] }", "dns_failed"), [true]);
    let chain = "{ '*' = { addresses = ['93.184.216.34'], chain = ['cdn.example.net'] } }";
    assert_eq!(own(chain, "denied"), [true]);
    // The file's `*` answers what the case does not list.
    assert_eq!(own("{ 'b.example.com' = 'NXDOMAIN' }", "dns_failed"), [false]);
}

#[test]
fn a_lookup_that_nobody_answers_fails_the_case() {
    // `deny` is what comes out of a failed lookup: it must not pass for that.
    let suite =
        read("[[case]]\ntarget = 'a.example.com:443'\nexpect = 'deny'\n", "t.toml").unwrap();
    let outcome = suite.cases[0].run(&policy(), &mut Nobody);
    assert!(!outcome.passed);
    assert_eq!(outcome.missed.map(|name| name.to_string()).as_deref(), Some("a.example.com"));
}

#[test]
fn real_lookups_are_made_only_where_the_case_says_so() {
    struct Real(Vec<String>);
    impl Lookup for Real {
        fn lookup(&mut self, name: &Name) -> crate::policy::Answer {
            self.0.push(name.to_string());
            Answers::of_words(["93.184.216.34"], Vec::new()).unwrap()
        }
    }
    let text = case("target = 'a.example.com:443'\nexpect = 'allow'\nresolver = 'system'")
        + "[[case]]\ntarget = 'b.example.com:443'\nexpect = 'allow'\n";
    let (suite, mut real) = (read(&text, "t.toml").unwrap(), Real(Vec::new()));
    assert!(suite.cases.iter().all(|case| case.run(&policy(), &mut real).passed));
    assert_eq!(real.0, ["a.example.com"]);
}

#[test]
fn every_error_is_reported_with_its_place() {
    let text = "\
policy = 'p.toml'
[resolver]
'a.test' = 'NXDOMIAN'
[[case]]
target = 'a.test'
expect = 'maybe'
colour = 1
[[case]]
target = 'a.test:1'
expect = 'allow'
reason = 'denied'
[[case]]
expect = 'deny'
reason = 'forbidden'
";
    let errors = errors(text);
    let places: Vec<_> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
    let lines = [(1, 10), (3, 12), (5, 10), (6, 10), (7, 1), (11, 10), (12, 1), (14, 10)];
    assert_eq!(
        places,
        lines.map(|(line, column)| format!("t.toml:{line}:{column}")),
        "{errors:#?}"
    );
    for (error, words) in errors.iter().zip([
        "write policy = [\"policy.toml\"]",
        "NXDOMAIN, SERVFAIL",
        "write a.test:443",
        "write \"allow\" or \"deny\"",
        "\"colour\" is no key of [[case]]",
        "an allowed target has no reason",
        "the case has no target",
        "write one of invalid_host, denied",
    ]) {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_file_without_cases_tests_nothing_and_is_an_error() {
    for text in ["", "policy = []", "[case]\ntarget = 'a.test:1'"] {
        assert_eq!(errors(text).len(), 1, "{text}");
    }
    assert!(errors("[[case]\n")[0].starts_with("t.toml:1:"));
}

#[test]
fn own_addresses_of_a_case_are_local() {
    let text = r#"
own_addresses = ["93.184.216.2"]
resolver = { "*" = ["93.184.216.2"] }
[[case]]
target = "93.184.216.2:443"
expect = "deny"
reason = "not_allowed_local"
[[case]]
target = "a.test:443"
expect = "deny"
reason = "not_allowed_local"
[[case]]
target = "[64:ff9b::93.184.216.2]:443"
expect = "deny"
reason = "not_allowed_local"
[[case]]
target = "93.184.216.2:443"
expect = "allow"
own_addresses = []
[[case]]
target = "[2606:2800:220:1::7]:443"
expect = "deny"
reason = "not_allowed_local"
own_addresses = ["2606:2800:220:1::/64"]
"#;
    let suite = read(text, "t.toml").unwrap();
    let loaded = config::parse("[network.domains]\n\"*\" = \"allow\"\n", "p.toml").unwrap();
    let policy = config::assemble_layers(vec![loaded], &Flags::default()).unwrap().policy;
    for case in &suite.cases {
        let outcome = case.run(&policy, &mut Nobody);
        assert!(outcome.passed, "{}: {outcome:?}", case.text);
    }
    assert!(
        read("own_addresses = ['here']\n[[case]]\ntarget = 'a.test:1'\nexpect = 'deny'", "t")
            .is_err()
    );
}
