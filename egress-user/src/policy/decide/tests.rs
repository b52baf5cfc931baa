use proptest::prelude::*;

use super::*;
use crate::policy::{Action, AddressAction, Origin, PortSet, RuleOptions};

fn rule(text: &str, action: Action) -> Rule {
    let pattern =
        Pattern::parse_domain(text, action).or_else(|_| Pattern::parse_address(text)).unwrap();
    Rule {
        text: text.to_owned(),
        pattern,
        action,
        options: RuleOptions::default(),
        origin: Origin::new("test.toml", Some(1)),
    }
}

fn settings() -> Settings {
    Settings::default()
}

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    let allow = allow.iter().map(|text| rule(text, Action::Allow));
    let deny = deny.iter().map(|text| rule(text, Action::Deny));
    Policy::new(settings(), allow.chain(deny).collect())
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn refused<T>(result: Result<T, Refusal>) -> Option<Reason> {
    result.err().map(|refusal| refusal.reason)
}

fn judged(policy: &Policy, host: &str, answer: &Answer) -> Result<(), Refusal> {
    let grant = policy.name(&name(host))?;
    policy.judge_lookup(&name(host), &grant, answer).map(drop)
}

fn found(addresses: &[&str]) -> Answer {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Answer::Found { chain: Vec::new(), addresses }
}

/// Counts what is asked, and answers a public address.
#[derive(Default)]
struct Asked(Vec<String>);

impl Lookup for Asked {
    fn lookup(&mut self, name: &Name) -> Answer {
        self.0.push(name.to_string());
        found(&["93.184.216.34"])
    }
}

fn decide(policy: &Policy, target: &str, asked: &mut Asked) -> Option<Reason> {
    let (host, port) = Host::parse_with_port(target).unwrap();
    let request =
        Request { host, port: port.unwrap(), transport: Transport::Tcp, payload: Payload::Unknown };
    match policy.decide(&request, asked) {
        Decision::Allow { .. } => None,
        Decision::Refuse(refusal) => Some(refusal.reason),
    }
}

#[test]
fn no_lookup_is_made_for_a_name_that_is_refused_before_it() {
    let mut asked = Asked::default();
    let mut policy = policy(&["allowed.test", "localhost"], &["denied.test"]);
    assert_eq!(decide(&policy, "other.test:443", &mut asked), Some(Reason::NotAllowed));
    assert_eq!(decide(&policy, "denied.test:443", &mut asked), Some(Reason::Denied));
    assert_eq!(decide(&policy, "allowed.test:0", &mut asked), Some(Reason::PortNotAllowed));
    assert_eq!(decide(&policy, "localhost:80", &mut asked), None);
    assert_eq!(decide(&policy, "8.8.8.8:80", &mut asked), Some(Reason::NotAllowed));
    policy.settings.enabled = false;
    assert_eq!(decide(&policy, "allowed.test:443", &mut asked), Some(Reason::NetworkDisabled));
    assert_eq!(asked.0, [""; 0]);
    policy.settings.enabled = true;
    assert_eq!(decide(&policy, "Allowed.TEST.:443", &mut asked), None);
    assert_eq!(asked.0, ["allowed.test"]);
}

#[test]
fn the_most_specific_allow_gives_the_options() {
    let policy = policy(
        &["*", "**.example.com", "*.example.com", "*.a.example.com", "x.a.example.com"],
        &[],
    );
    for (host, rule) in [
        ("x.a.example.com", "x.a.example.com"),
        ("y.a.example.com", "*.a.example.com"),
        ("a.example.com", "*.example.com"),
        ("example.com", "**.example.com"),
        ("notexample.com", "*"),
    ] {
        assert_eq!(policy.name(&name(host)).unwrap().rule().text, rule, "{host}");
    }
}

#[test]
fn the_longest_block_gives_the_options() {
    let policy = policy(&["*", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.1"], &[]);
    for (address, rule) in
        [("10.1.0.1", "10.1.0.1"), ("10.1.0.2", "10.1.0.0/16"), ("10.2.0.1", "10.0.0.0/8")]
    {
        assert_eq!(policy.address(address.parse().unwrap()).unwrap().rule().text, rule);
    }
    assert_eq!(policy.address("8.8.8.8".parse().unwrap()).unwrap().rule().text, "*");
}

#[test]
fn a_deny_covers_every_form_of_an_address_and_an_allow_only_its_own() {
    let policy = policy(&["*", "9.9.9.9"], &["8.8.8.8", "10.0.0.0/8"]);
    for text in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "::8.8.8.8", "::ffff:0:8.8.8.8"] {
        let address = text.parse().unwrap();
        assert_eq!(refused(policy.address(address)), Some(Reason::Denied), "{text}");
        let answer = found(&["1.1.1.1", text]);
        assert_eq!(refused(judged(&policy, "a.test", &answer)), Some(Reason::Denied));
    }
    let nat64 = policy.address("64:ff9b::9.9.9.9".parse().unwrap()).unwrap();
    assert_eq!(nat64.rule().text, "*");
}

#[test]
fn one_bad_address_or_alias_condemns_the_answer() {
    let policy = policy(&["*"], &["**.tracker.test"]);
    let judge = |answer: &Answer| refused(judged(&policy, "app.test", answer));
    assert_eq!(judge(&found(&["93.184.216.34", "2606:4700::1"])), None);
    assert_eq!(judge(&found(&["93.184.216.34", "::1"])), Some(Reason::NotAllowedLocal));
    assert_eq!(judge(&found(&[])), Some(Reason::DnsFailed));
    assert_eq!(judge(&Answer::Timeout), Some(Reason::DnsFailed));
    let chain = vec![name("cdn.test"), name("x.tracker.test")];
    let answer = Answer::Found { chain, addresses: vec!["93.184.216.34".parse().unwrap()] };
    assert_eq!(judge(&answer), Some(Reason::Denied));
}

#[test]
fn localhost_is_an_exact_exception_and_two_addresses() {
    assert_eq!(
        refused(policy(&["*", "**.localhost"], &[]).name(&name("localhost"))),
        Some(Reason::NotAllowedLocal)
    );
    assert_eq!(
        refused(policy(&["localhost"], &["**.localhost"]).name(&name("localhost"))),
        Some(Reason::Denied)
    );
    let mut open = policy(&["*"], &[]);
    open.settings.allow_local_binding = true;
    assert_eq!(refused(open.name(&name("localhost"))), None);
    let policy = policy(&["localhost"], &["127.0.0.0/8"]);
    assert_eq!(decide(&policy, "localhost:80", &mut Asked::default()), Some(Reason::Denied));
    let forged = found(&["127.0.0.2"]);
    assert_eq!(refused(judged(&policy, "localhost", &forged)), Some(Reason::Denied));
}

#[test]
fn two_allows_of_one_host_open_what_each_opens_and_no_more() {
    let with = |ports: PortSet, transport| {
        let mut rule = rule("dns.test", Action::Allow);
        rule.options =
            RuleOptions { ports, transport: Some(vec![transport]), ..RuleOptions::default() };
        rule
    };
    let rules = vec![
        with(PortSet::only(vec![853, 443]), Transport::Tcp),
        with(PortSet::only(vec![5353]), Transport::Udp),
    ];
    let grant = Policy::new(settings(), rules).name(&name("dns.test")).unwrap();
    assert!(grant.opens(443, Transport::Tcp) && grant.opens(5353, Transport::Udp));
    assert!(!grant.opens(443, Transport::Udp) && !grant.opens(5353, Transport::Tcp));
}

#[test]
fn refusals_say_what_would_change_them() {
    let policy = policy(&["a.test"], &["b.test"]);
    let fix = |host: &str| policy.name(&name(host)).unwrap_err().to_string();
    assert!(
        fix("c.test").contains("--allow c.test, or in [network.domains]: \"c.test\" = \"allow\"")
    );
    assert!(fix("b.test").contains("remove the deny of b.test (test.toml:1)"));
    let grant = policy.name(&name("a.test")).unwrap();
    let refusal = policy.port_refusal(&grant, 9, Transport::Udp).to_string();
    assert!(refusal.contains("add \"udp\" to the transport of a.test (test.toml:1)"), "{refusal}");
}

/// The pattern rules as the documentation words them, one rule at a time.
fn matches_slowly(pattern: &str, host: &str) -> bool {
    let below = |base: &str| host.ends_with(&format!(".{base}"));
    match pattern.split_once('.') {
        _ if pattern == "*" => true,
        Some(("*", base)) => below(base),
        Some(("**", base)) => below(base) || host == base,
        _ => pattern == host,
    }
}

fn host_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab"]), 1..4)
        .prop_map(|labels| labels.join("."))
}

fn pattern_text() -> impl Strategy<Value = String> {
    (prop::sample::select(vec!["", "", "*.", "**."]), host_text())
        .prop_map(|(a, b)| a.to_owned() + &b)
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(pattern_text(), 0..5)
}

fn of(allow: &[String], deny: &[String]) -> Policy {
    let borrowed = |list: &[String]| list.iter().map(|text| text.clone().leak() as &str).collect();
    let (allow, deny): (Vec<&str>, Vec<&str>) = (borrowed(allow), borrowed(deny));
    policy(&allow, &deny)
}

/// The same host as somebody else might write it.
fn respell(host: &str, how: u8) -> String {
    let host = if how & 1 == 0 { host.to_owned() } else { host.to_uppercase() };
    let host = if how & 2 == 0 { host } else { host.replace(['a', 'A'], "\u{ad}ａ") };
    let host = if how & 4 == 0 { host } else { host.replace('.', "。") };
    if how & 8 == 0 { host } else { format!(" {host}. ") }
}

proptest! {
    #[test]
    fn agrees_with_the_obvious_matcher(allow in patterns(), deny in patterns(), host in host_text()) {
        let hit = |list: &[String]| list.iter().any(|pattern| matches_slowly(pattern, &host));
        let expected = match (hit(&deny), hit(&allow)) {
            (true, _) => Some(Reason::Denied),
            (false, true) => None,
            (false, false) => Some(Reason::NotAllowed),
        };
        prop_assert_eq!(refused(of(&allow, &deny).name(&name(&host))), expected);
    }

    #[test]
    fn one_more_deny_never_allows_and_one_more_allow_never_undoes_a_deny(
        allow in patterns(), deny in patterns(), more in pattern_text(), host in host_text(),
    ) {
        let host = name(&host);
        let before = refused(of(&allow, &deny).name(&host));
        let denied = refused(of(&allow, &[deny.clone(), vec![more.clone()]].concat()).name(&host));
        prop_assert!(before.is_none() || denied.is_some());
        let allowed = refused(of(&[allow, vec![more]].concat(), &deny).name(&host));
        prop_assert!(before != Some(Reason::Denied) || allowed == before);
        prop_assert!(before.is_some() || allowed.is_none());
    }

    #[test]
    fn spelling_never_matters(allow in patterns(), deny in patterns(), host in host_text(), how in 0..16_u8) {
        let policy = of(&allow, &deny);
        prop_assert_eq!(name(&respell(&host, how)), name(&host));
        let respelt = |list: &[String]| -> Vec<String> {
            list.iter().map(|text| match text.rsplit_once("*.") {
                Some((stars, base)) => format!("{stars}*.{}", respell(base, how).trim()),
                None => respell(text, how),
            }).collect()
        };
        let other = of(&respelt(&allow), &respelt(&deny));
        prop_assert_eq!(refused(policy.name(&name(&host))), refused(other.name(&name(&host))));
    }

    #[test]
    fn a_dead_allow_is_one_that_allows_nothing(dead in pattern_text(), deny in patterns(), host in host_text()) {
        let pattern = Pattern::parse_domain(&dead, Action::Allow).unwrap();
        if of(&[], &deny).denies_all_of(&pattern).is_some() {
            prop_assert!(refused(of(&[dead], &deny).name(&name(&host))).is_some());
        }
    }
}

#[test]
fn a_deny_of_loopback_is_one_of_the_unspecified_address() {
    let settings = Settings { allow_local_binding: true, ..settings() };
    let denies = ["127.0.0.1", "::1"].map(|text| rule(text, Action::Deny));
    let rules = denies.into_iter().chain([rule("*", Action::Allow)]).collect();
    let policy = Policy::new(settings, rules);
    for text in ["0.0.0.0", "::", "::ffff:0.0.0.0", "127.0.0.1", "::1"] {
        assert_eq!(refused(policy.address(text.parse().unwrap())), Some(Reason::Denied), "{text}");
        assert!(
            policy.address_entries().iter().any(|rule| {
                let address: IpAddr = text.parse().unwrap();
                rule.block == IpNet::from(address.to_canonical())
                    && rule.action == AddressAction::Deny
            }),
            "{text}"
        );
    }
    assert_eq!(refused(policy.address("127.0.0.2".parse().unwrap())), None);
}
