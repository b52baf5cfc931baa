use super::*;
use crate::config::{self, Flags};

fn names(list: &[&str]) -> Vec<Name> {
    list.iter().map(|text| Name::parse(text).unwrap()).collect()
}

fn forms(rule: &str, search: &[&str], ndots: usize, looked_up: &str) -> Vec<String> {
    let flags = Flags { allow: vec![rule.to_owned()], ..Flags::default() };
    let layer = config::parse("", "p.toml").unwrap();
    let policy = config::assemble_layers(vec![layer], &flags).unwrap().policy;
    policy.set_search_domains(SearchDomains::new(names(search), ndots));
    let forms = policy.short_forms(&Name::parse(looked_up).unwrap());
    forms.iter().map(ToString::to_string).collect()
}

#[test]
fn a_name_without_its_search_domain_is_its_short_form() {
    let search = &["web.test", "other.test"];
    assert_eq!(forms("*.web.test", search, 1, "sub.web.test"), ["sub"]);
    assert_eq!(forms("*.other.test", search, 1, "sub.other.test"), ["sub"]);
    for looked_up in ["web.test", "subweb.test", "sub.web.test.org", "a.sub.web.test"] {
        assert_eq!(forms("*", search, 1, looked_up), [""; 0], "{looked_up}");
    }
    assert_eq!(forms("*", &[], 5, "sub.web.test"), [""; 0]);
}

#[test]
fn as_many_dots_as_are_completed_are_short() {
    let search = &["svc.cluster.local", "cluster.local"];
    let looked_up = "api.ns1.svc.cluster.local";
    assert_eq!(forms("**.cluster.local", search, 5, looked_up), ["api.ns1", "api.ns1.svc"]);
    assert_eq!(forms("**.cluster.local", search, 2, looked_up), ["api.ns1"]);
    assert_eq!(forms("**.cluster.local", search, 1, looked_up), [""; 0]);
}

#[test]
fn a_deny_of_the_short_form_wins() {
    let text = "[network.domains]\n'*.web.test' = 'allow'\n'sub' = 'deny'";
    let layer = config::parse(text, "p.toml").unwrap();
    let policy = config::assemble_layers(vec![layer], &Flags::default()).unwrap().policy;
    policy.set_search_domains(SearchDomains::new(names(&["web.test"]), 1));
    let forms = |name: &str| policy.short_forms(&Name::parse(name).unwrap());
    assert_eq!(forms("sub.web.test"), []);
    assert_eq!(forms("other.web.test"), names(&["other"]));
}

#[test]
fn what_a_wildcard_leaves_is_no_name_of_a_site() {
    let (search, looked_up) = (&["web.test"], "evil.com.web.test");
    assert_eq!(forms("*.web.test", search, 5, looked_up), [""; 0]);
    assert_eq!(forms("*", search, 5, looked_up), [""; 0]);
    // Who names it whole has chosen it.
    assert_eq!(forms(looked_up, search, 5, looked_up), ["evil.com"]);
}
