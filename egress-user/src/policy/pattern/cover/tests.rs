use super::*;
use crate::policy::{Action, Origin, Policy, RuleOptions, Settings};
use proptest::prelude::*;

fn pattern(text: &str) -> Pattern {
    Pattern::parse_address(text)
        .unwrap_or_else(|_| Pattern::parse_domain(text, Action::Allow).unwrap())
}

#[test]
fn covers_as_documented() {
    for (above, below, expected) in [
        ("*.x.org", "a.x.org", true),
        ("*.x.org", "a.b.x.org", true),
        ("*.x.org", "*.y.x.org", true),
        ("*.x.org", "**.y.x.org", true),
        ("*.x.org", "*.x.org", true),
        ("*.x.org", "x.org", false),
        ("*.x.org", "**.x.org", false),
        ("**.x.org", "x.org", true),
        ("**.x.org", "*.x.org", true),
        ("**.x.org", "**.a.x.org", true),
        ("**.x.org", "**.org", false),
        ("**.x.org", "ax.org", false),
        ("x.org", "x.org", true),
        ("x.org", "*.x.org", false),
        ("**.x.org", "*", false),
        ("*", "*", true),
        ("*", "**.x.org", true),
        ("*", "localhost", false),
        ("**.localhost", "localhost", false),
        ("**.localhost", "a.localhost", true),
        ("localhost", "localhost", true),
        ("*", "8.8.8.8", true),
        ("*", "10.0.0.1", false),
        ("*", "8.0.0.0/8", true),
        ("*", "0.0.0.0/0", false),
        ("*", "10.0.0.0/8", false),
        ("10.0.0.0/8", "10.1.0.0/16", true),
        ("10.1.0.0/16", "10.0.0.0/8", false),
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "fd00::1", false),
        ("10.0.0.1", "10.0.0.1", true),
    ] {
        assert_eq!(pattern(above).covers(&pattern(below)), expected, "{above} {below}");
    }
}

fn matches(pattern: &Pattern, name: &str) -> bool {
    pattern.covers(&Pattern::Exact(Name::parse(name).unwrap()))
}

fn text() -> impl Strategy<Value = String> {
    let labels = prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..4);
    (prop::sample::select(vec!["", "*.", "**."]), labels)
        .prop_map(|(stars, labels)| format!("{stars}{}.test", labels.join(".")))
}

fn allow(text: &str) -> Rule {
    Rule {
        text: text.to_owned(),
        pattern: pattern(text),
        action: Action::Allow,
        options: RuleOptions::default(),
        origin: Origin::new("p.toml", None),
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let others = [
        "*",
        "localhost",
        "**.localhost",
        "8.8.8.8",
        "8.8.0.0/16",
        "8.0.0.0/8",
        "10.0.0.0/8",
        "10.1.2.3",
        "0.0.0.0/0",
        "2606::/16",
        "2606::1",
    ];
    prop_oneof![text(), prop::sample::select(others.to_vec()).prop_map(str::to_owned)]
}

proptest! {
    /// The index finds a rule exactly where one of the list covers the pattern, and no other that
    /// does is more specific.
    #[test]
    fn the_index_finds_the_most_specific_rule_that_covers(
        rules in prop::collection::vec(any_text(), 0..8), asked in any_text()
    ) {
        let rules: Vec<Rule> = rules.iter().map(|text| allow(text)).collect();
        let asked = pattern(&asked);
        let covering: Vec<_> =
            rules.iter().map(|rule| &rule.pattern).filter(|one| one.covers(&asked)).collect();
        let policy = Policy::new(Settings::default(), rules.clone());
        let found = policy.covering(&asked).map(|grant| &grant.rule().pattern);
        prop_assert_eq!(found.is_some(), !covering.is_empty());
        if let Some(found) = found {
            prop_assert!(covering.contains(&found));
            // `*` is the last that is asked, also after a block that it does not cover.
            let above = |other: &&Pattern| **other == Pattern::Any || other.covers(found);
            prop_assert!(covering.iter().all(above));
        }
    }

    #[test]
    fn what_is_covered_matches_nothing_more(above in text(), below in text(), name in text()) {
        let name = name.trim_start_matches(['*', '.']);
        let (above, below) = (pattern(&above), pattern(&below));
        if above.covers(&below) {
            prop_assert!(!matches(&below, name) || matches(&above, name));
        }
    }
}
