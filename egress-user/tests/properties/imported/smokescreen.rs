//! smokescreen's ACL: the order in which it decides.
use std::{cell::Cell, fmt::Write};

use egress_user::policy::is_public;

use super::*;

#[derive(Clone, Debug)]
struct Rule {
    action: &'static str,
    hosts: Vec<String>,
}

#[derive(Clone, Debug)]
struct Acl {
    services: Vec<Rule>,
    default: Option<Rule>,
    allowed: Vec<String>,
    denied: Vec<String>,
}

fn hosts() -> impl Strategy<Value = Vec<String>> {
    let host = pattern().prop_map(|item| item.trim().to_owned());
    prop::collection::vec(host, 0..4)
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = prop::sample::select(vec!["enforce", "enforce", "report", "open"]);
    (action, hosts()).prop_map(|(action, hosts)| Rule { action, hosts })
}

fn acl() -> impl Strategy<Value = Acl> {
    (prop::collection::vec(rule(), 0..3), prop::option::of(rule()), hosts(), hosts())
        .prop_map(|(services, default, allowed, denied)| Acl { services, default, allowed, denied })
}

fn list(key: &str, indent: &str, hosts: &[String]) -> String {
    let mut text = format!("{indent}{key}:\n");
    hosts.iter().for_each(|host| writeln!(text, "{indent}  - \"{host}\"").unwrap());
    text
}

impl Acl {
    fn text(&self) -> String {
        let mut text = "---\nversion: v1\nservices:\n".to_owned();
        if self.services.is_empty() {
            text = "---\nversion: v1\nservices: []\n".to_owned();
        }
        for (at, Rule { action, hosts }) in self.services.iter().enumerate() {
            write!(text, "  - name: service{at}\n    project: p\n    action: {action}\n").unwrap();
            text.push_str(&list("allowed_domains", "    ", hosts));
        }
        if let Some(Rule { action, hosts }) = &self.default {
            write!(text, "default:\n  project: p\n  action: {action}\n").unwrap();
            text.push_str(&list("allowed_domains", "  ", hosts));
        }
        text.push_str(&list("global_allow_list", "", &self.allowed));
        text.push_str(&list("global_deny_list", "", &self.denied));
        text
    }

    fn decides(&self, rule: &Rule, asked: Asked) -> bool {
        let among = |hosts: &[String]| {
            hosts.iter().any(|host| match host.strip_prefix("*.") {
                Some(base) => is_below(base, asked),
                None => is_same(host, asked),
            })
        };
        if !addresses(asked).into_iter().all(is_public) {
            return false;
        }
        if among(&rule.hosts) {
            return true;
        }
        !among(&self.denied) && (among(&self.allowed) || rule.action != "enforce")
    }
}

#[test]
fn smokescreen_is_never_wider_here() {
    let passed = Cell::new(0);
    proptest!(|(acl in acl())| {
        let text = acl.text();
        for (at, rule) in acl.services.iter().enumerate() {
            let name = format!("service{at}");
            let count = hold(&text, Some(name.as_str()), |asked| acl.decides(rule, asked));
            passed.set(passed.get() + count);
        }
        hold(&text, None, |asked| acl.default.as_ref().is_some_and(|rule| acl.decides(rule, asked)));
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}
