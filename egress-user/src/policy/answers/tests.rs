use super::*;
use crate::{
    config::{self, Flags},
    policy::{OwnAddresses, Transport},
    target::{Answers, Target, judge},
};

fn policy(domains: &str) -> Policy {
    let text = format!("[network.domains]\n{domains}\n");
    let layer = config::parse(&text, "p.toml").unwrap();
    config::assemble_layers(vec![layer], &Flags::default()).unwrap().policy
}

fn answer(addresses: &str) -> Answer {
    let addresses = addresses.split_whitespace().map(|text| text.parse().unwrap()).collect();
    Answer::Found { chain: Vec::new(), addresses }
}

fn says(policy: &Policy, target: &str, addresses: &str) -> Option<Reason> {
    let mut answers = Answers::default();
    answers.set_others(answer(addresses));
    judge(policy, &target.parse::<Target>().unwrap(), &mut answers).reason
}

const LOCAL: Option<Reason> = Some(Reason::NotAllowedLocal);

#[test]
fn answers_inside_of_the_blocks_of_the_name_are_accepted_and_no_others() {
    let policy = policy(
        "'mirror.corp.test' = { action = 'allow', resolves_to = ['10.20.0.0/16', 'fd12::/16'] }\n\
         '*.wide.test' = { action = 'allow', resolves_to = ['10.0.0.1'] }\n'other.test' = 'allow'",
    );
    for (host, addresses, expected) in [
        ("mirror.corp.test", "10.20.1.2", None),
        ("mirror.corp.test", "10.20.1.2 93.184.216.34 fd12::1", None),
        ("mirror.corp.test", "::ffff:10.20.1.2", None),
        ("mirror.corp.test", "93.184.216.34", None),
        ("mirror.corp.test", "10.21.0.1", LOCAL),
        ("mirror.corp.test", "10.20.1.2 10.21.0.1", LOCAL),
        // The form of IPv6 that carries it is another address.
        ("mirror.corp.test", "64:ff9b::10.20.1.2", LOCAL),
        ("a.wide.test", "10.0.0.1", None),
        ("a.wide.test", "10.20.1.2", LOCAL),
        ("wide.test", "10.0.0.1", Some(Reason::NotAllowed)),
        ("other.test", "10.20.1.2", LOCAL),
        ("other.test", "10.0.0.1", LOCAL),
    ] {
        assert_eq!(
            says(&policy, &format!("{host}:443"), addresses),
            expected,
            "{host} {addresses}"
        );
    }
    // The name's answers, and not the addresses.
    assert_eq!(says(&policy, "10.20.1.2:443", ""), LOCAL);
}

#[test]
fn a_deny_wins_over_it() {
    let mirror = "'mirror.test' = { action = 'allow', resolves_to = ['10.0.0.0/8'] }\n";
    let denied = policy(&format!("{mirror}'10.0.0.7' = 'deny'\n'**.evil.test' = 'deny'"));
    assert_eq!(says(&denied, "mirror.test:80", "10.0.0.7"), Some(Reason::Denied));
    assert_eq!(says(&denied, "mirror.test:80", "10.0.0.8"), None);
    let chain = vec![Name::parse("a.evil.test").unwrap()];
    let aliased = Answer::Found { chain, addresses: vec!["10.0.0.8".parse().unwrap()] };
    let mut answers = Answers::default();
    answers.set_others(aliased);
    let verdict = judge(&denied, &"mirror.test:80".parse().unwrap(), &mut answers);
    assert_eq!(verdict.reason, Some(Reason::Denied));
}

#[test]
fn the_machine_itself_and_its_neighbours_are_written_one_by_one() {
    const ALL: &str = "'a.test' = { action = 'allow', resolves_to = ['0.0.0.0/0', '::/0'] }";
    let near = [
        "127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "64:ff9b::127.0.0.1",
        "::169.254.169.254",
        "::ffff:0:127.0.0.1",
    ];
    for address in near {
        assert_eq!(says(&policy(ALL), "a.test:80", address), LOCAL, "{address}");
        let alone = format!("'a.test' = {{ action = 'allow', resolves_to = ['{address}'] }}");
        assert_eq!(says(&policy(&alone), "a.test:80", address), None, "{address}");
    }
    assert_eq!(says(&policy(ALL), "a.test:80", "10.0.0.1 fd12::1 192.168.1.1"), None);
}

#[test]
fn own_addresses_are_written_one_by_one() {
    let own = || OwnAddresses::new([("93.184.216.2/32".parse().unwrap(), "eth0".into())]);
    let (block, alone) = ("93.184.216.0/24", "93.184.216.2");
    for (written, expected) in [(block, LOCAL), (alone, None)] {
        let policy = policy(&format!(
            "'a.test' = {{ action = 'allow', resolves_to = ['{written}'] }}\n'b.test' = 'allow'"
        ));
        policy.set_own_addresses(own());
        assert_eq!(says(&policy, "a.test:80", "93.184.216.2"), expected, "{written}");
        assert_eq!(says(&policy, "b.test:80", "93.184.216.2"), LOCAL, "{written}");
        // Pins of b.test must not stand there, of a.test they may.
        let grant = |name: &str| policy.name(&Name::parse(name).unwrap()).unwrap();
        let address = "93.184.216.2".parse().unwrap();
        assert!(policy.is_own_to(&grant("b.test"), address));
        assert_eq!(policy.is_own_to(&grant("a.test"), address), expected.is_some());
        assert_eq!(policy.closes_own(address), expected.is_some());
    }
}

#[test]
fn of_several_lines_only_those_that_accept_the_answer_open_anything() {
    let lines = "'a.test' = { action = 'allow', ports = [443] }\n\
                 'a.test ' = { action = 'allow', ports = [22], resolves_to = ['10.0.0.0/8'] }\n";
    let policy = policy(lines);
    assert_eq!(says(&policy, "a.test:443", "93.184.216.34"), None);
    assert_eq!(says(&policy, "a.test:22", "10.0.0.1"), None);
    assert_eq!(says(&policy, "a.test:443", "10.0.0.1"), LOCAL);
    let name = Name::parse("a.test").unwrap();
    let grant = policy.name(&name).unwrap();
    let private = answer("10.0.0.1");
    let (accepting, _) = policy.judge_lookup(&name, &grant, &private).unwrap();
    assert!(accepting.opens(22, Transport::Tcp) && !accepting.opens(443, Transport::Tcp));
}

#[test]
fn the_remedy_is_the_line_ready_to_paste() {
    let advice = |domains: &str, addresses: &str| {
        let mut answers = Answers::default();
        answers.set_others(answer(addresses));
        let target = "a.test:443".parse().unwrap();
        judge(&policy(domains), &target, &mut answers).remedy.unwrap().to_string()
    };
    assert_eq!(
        advice("'a.test' = { action = 'allow', ports = [443] }", "10.1.2.3"),
        "instead of a.test (p.toml:2), in [network.domains]: \"a.test\" = { action = \"allow\", ports \
         = [443], resolves_to = [\"10.1.2.3/32\"] } (a.test resolves to 10.1.2.3, which is not public)"
    );
    // A wildcard is about others too.
    assert_eq!(
        advice("'**.test' = 'allow'", "10.1.2.3 fd12::1"),
        "in [network.domains]: \"a.test\" = { action = \"allow\", resolves_to = [\"10.1.2.3/32\", \
         \"fd12::1/128\"] } (a.test resolves to 10.1.2.3, which is not public)"
    );
    for sink in ["0.0.0.0", "::"] {
        let advice = advice("'a.test' = 'allow'", sink);
        assert!(advice.contains("the name server blocks a.test"), "{advice}");
        assert!(!advice.contains("allow_local_binding") && !advice.contains('='), "{advice}");
    }
}

#[test]
fn a_family_that_fails_leaves_the_other_standing() {
    let (here, nothing) = (|| answer("93.184.216.34"), || answer(""));
    let failures = [Answer::ServFail, Answer::Timeout];
    for failure in failures {
        assert_eq!(Answer::of_families(here(), failure.clone()), here());
        assert_eq!(Answer::of_families(failure.clone(), here()), here());
        // Where there is nothing beside it, it may be what matters.
        assert_eq!(Answer::of_families(nothing(), failure.clone()), failure);
        assert_eq!(Answer::of_families(failure.clone(), Answer::NxDomain), failure);
    }
    assert_eq!(Answer::of_families(here(), Answer::NxDomain), here());
    assert_eq!(Answer::of_families(Answer::NxDomain, nothing()), nothing());
    assert_eq!(Answer::of_families(Answer::NxDomain, Answer::NxDomain), Answer::NxDomain);
    assert_eq!(Answer::of_families(Answer::ServFail, Answer::Timeout), Answer::Timeout);
    let both = Answer::of_families(here(), answer("2606:2800::1"));
    assert_eq!(both, answer("93.184.216.34 2606:2800::1"));
}
