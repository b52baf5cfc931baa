use super::*;
use crate::policy::Action;
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

proptest! {
    #[test]
    fn what_is_covered_matches_nothing_more(above in text(), below in text(), name in text()) {
        let name = name.trim_start_matches(['*', '.']);
        let (above, below) = (pattern(&above), pattern(&below));
        if above.covers(&below) {
            prop_assert!(!matches(&below, name) || matches(&above, name));
        }
    }
}
