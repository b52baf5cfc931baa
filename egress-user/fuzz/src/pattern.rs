//! Patterns: what is accepted prints as itself, and matches what it says.
use egress_user::policy::{
    Action, Host, Name, Origin, Pattern, PatternError, Policy, Rule, RuleOptions, Settings,
};

/// Text of a key of `[network.domains]` or `[network.addresses]`.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let allow = judge(text, Pattern::parse_domain(text, Action::Allow));
    let deny = judge(text, Pattern::parse_domain(text, Action::Deny));
    let closes = allow.clone().filter(|pattern| *pattern != Pattern::Any);
    assert_eq!(closes, deny, "{text:?} is not the same for both actions");
    if let Some(pattern) = allow {
        for other in spellings(text, &pattern) {
            let again = Pattern::parse_domain(&other, Action::Allow);
            assert_eq!(again.as_ref(), Ok(&pattern), "{text:?} as {other:?}");
        }
        matches_what_it_says(text, &pattern);
    }
    let Some(pattern) = judge(text, Pattern::parse_address(text)) else { return };
    assert!(pattern.is_address(), "{text:?}");
    for other in spellings(text, &pattern) {
        assert_eq!(Pattern::parse_address(&other).as_ref(), Ok(&pattern), "{text:?} as {other:?}");
    }
    let action = Action::Allow;
    assert!(Pattern::parse_domain(text, action).ok().is_none_or(|other| other == pattern));
}

/// A refusal says what is wrong and what to write, and is safe to print.
fn judge(text: &str, parsed: Result<Pattern, PatternError>) -> Option<Pattern> {
    let PatternError { message, suggestion } = match parsed {
        Ok(pattern) => return Some(pattern),
        Err(error) => error,
    };
    for part in [&message, &suggestion] {
        assert!(!part.is_empty(), "{text:?} is refused without a word");
        assert!(!part.chars().any(char::is_control), "{text:?} is refused with {part:?}");
    }
    None
}

fn spellings(text: &str, pattern: &Pattern) -> [String; 4] {
    let normal = pattern.to_string();
    [format!("\t{text} "), text.to_ascii_uppercase(), normal.to_uppercase(), normal]
}

fn matches_what_it_says(text: &str, pattern: &Pattern) {
    let (base, apex, below) = match pattern {
        Pattern::Exact(name) => {
            assert_eq!(Host::parse(text), Ok(Host::Name(name.clone())));
            (name, true, false)
        }
        Pattern::Below(name) => (name, false, true),
        Pattern::AtOrBelow(name) => (name, true, true),
        Pattern::Address(address) => {
            assert_eq!(Host::parse(text), Ok(Host::Address(*address)));
            assert!(policy(text, pattern, Action::Allow).address(*address).is_ok(), "{text:?}");
            assert!(policy(text, pattern, Action::Deny).denied_address(*address).is_some());
            return;
        }
        Pattern::Any | Pattern::Block(_) => return,
    };
    let allow = policy(text, pattern, Action::Allow);
    let deny = policy(text, pattern, Action::Deny);
    let check = |name: &Name, matches: bool| {
        // `localhost` is opened by its own name alone, and closed by every pattern that matches it.
        let opens = matches && (!name.is_localhost() || matches!(pattern, Pattern::Exact(_)));
        assert_eq!(allow.name(name).is_ok(), opens, "{text:?} allows {name}");
        assert_eq!(deny.denied_name(name).is_some(), matches, "{text:?} denies {name}");
    };
    check(base, apex);
    for other in
        [format!("x.{base}"), format!("a.b.{base}"), format!("x{base}"), format!("{base}.x")]
    {
        // Some are too long to be names.
        if let Ok(name) = Name::parse(&other) {
            check(&name, below && other.ends_with(&format!(".{base}")));
        }
    }
}

fn policy(text: &str, pattern: &Pattern, action: Action) -> Policy {
    let origin = Origin::new("fuzz", None);
    let options = RuleOptions::default();
    let rule = Rule { text: text.to_owned(), pattern: pattern.clone(), action, options, origin };
    Policy::new(Settings::default(), vec![rule])
}
