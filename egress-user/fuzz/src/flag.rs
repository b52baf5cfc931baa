//! `--allow` and `--deny`: what is accepted means the same when it is written in its normal form.
use egress_user::{
    config::Flags,
    policy::{Action, Pattern, PortRange, PortSet, Rule, RuleOptions},
};

/// Text of a flag.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let allow = rule(text, Action::Allow);
    let deny = rule(text, Action::Deny);
    if let Some(deny) = &deny {
        assert_eq!(deny.options, RuleOptions::default(), "--deny {text:?} has options");
        let allow = allow.as_ref().map(|rule| (&rule.pattern, &rule.options.ports));
        assert_eq!(allow, Some((&deny.pattern, &PortSet::All)), "--allow {text:?} is other");
    }
    let Some(allow) = allow else { return };
    let deniable = allow.options.ports == PortSet::All && allow.pattern != Pattern::Any;
    assert_eq!(deny.is_some(), deniable, "--deny {text:?}");
    let normal = normal_form(&allow);
    let again = rule(&normal, Action::Allow);
    let Some(again) = again else { panic!("--allow {text:?} is {normal:?}, which is refused") };
    assert_eq!((again.pattern, again.options), (allow.pattern, allow.options), "{normal:?}");
}

fn rule(text: &str, action: Action) -> Option<Rule> {
    let texts = vec![text.to_owned()];
    let flags = match action {
        Action::Allow => Flags { allow: texts, ..Flags::default() },
        Action::Deny => Flags { deny: texts, ..Flags::default() },
    };
    match flags.rules() {
        Ok(rules) => {
            let [rule] = rules.try_into().unwrap_or_else(|rules| panic!("{text:?}: {rules:?}"));
            assert_eq!(rule.action, action);
            Some(rule)
        }
        Err(errors) => {
            assert_eq!(errors.iter().count(), 1, "{text:?}");
            let message = errors.to_string();
            assert!(!message.chars().any(char::is_control), "{text:?} is refused with {message:?}");
            None
        }
    }
}

fn normal_form(rule: &Rule) -> String {
    let host = match &rule.pattern {
        Pattern::Address(address) if address.is_ipv6() => format!("[{address}]"),
        Pattern::Block(block) if block.addr().is_ipv6() => format!("[{block}]"),
        pattern => pattern.to_string(),
    };
    match &rule.options.ports {
        PortSet::Only(ports) => {
            assert!(!ports.is_empty() && ports.is_sorted(), "{rule:?}");
            let ports: Vec<String> = ports.iter().map(PortRange::to_string).collect();
            format!("{host}:{}", ports.join(","))
        }
        PortSet::All => host,
    }
}
