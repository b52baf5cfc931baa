use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    config::{self, Flags},
    policy::{
        Action, Answer, Host, HttpRequest, Name, Origin, Payload, Settings, Transport, UnixAddress,
        UnixRule,
    },
    target::{NetworkTarget, Target, judge},
};

fn policy(text: &str, file: &str) -> Policy {
    let loaded = config::parse(text, file).unwrap_or_else(|errors| panic!("{errors}"));
    config::assemble_layers(vec![loaded], &Flags::default()).unwrap().policy
}

/// Each difference as `+ hosts: scope` or `- hosts: scope`.
fn said(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (policy(before, "a.toml"), policy(after, "b.toml"));
    let sign = |difference: &Difference| if difference.is_opened() { '+' } else { '-' };
    compare(&before, &after).iter().map(|d| format!("{} {d}", sign(d))).collect()
}

const EMPTY: &str = "[network]\n";

#[test]
fn a_policy_does_not_differ_from_itself() {
    let text = "[network.domains]\n'*' = 'allow'\n'**.a.test' = 'deny'\n[network.addresses]\n'10.0.0.0/8' = 'allow'";
    assert_eq!(said(text, text), Vec::<String>::new());
    // Other lines, same targets.
    assert_eq!(
        said(
            "[network.domains]\n'a.test' = 'allow'\n'*.a.test' = 'allow'",
            "[network.domains]\n'**.a.test' = 'allow'\n'b.a.test' = { action = 'allow' }",
        ),
        Vec::<String>::new()
    );
}

#[test]
fn names_are_told_apart_by_their_patterns() {
    let one = "[network.domains]\n'**.a.test' = 'allow'";
    assert_eq!(said(EMPTY, one), ["+ **.a.test: every port"]);
    assert_eq!(said(one, "[network.domains]\n'a.test' = 'allow'"), ["- *.a.test: every port"]);
    assert_eq!(
        said(one, "[network.domains]\n'**.a.test' = 'allow'\n'**.x.a.test' = 'deny'"),
        ["- **.x.a.test: every port", "- allowed names with **.x.a.test in their CNAME chain",]
    );
    assert_eq!(
        said(one, "[network.domains]\n'**.a.test' = { action = 'allow', ports = [443, 22] }"),
        ["- **.a.test: every port but 22, 443"]
    );
    assert_eq!(
        said(
            "[network.domains]\n'x.a.test' = 'deny'",
            &format!("{one}\n'**.x.a.test' = 'deny'\n'y.a.test' = 'allow'")
        ),
        ["+ **.a.test (but not **.x.a.test, y.a.test): every port", "+ y.a.test: every port"]
    );
    assert_eq!(
        said("[network.domains]\n'a.test' = { action = 'allow', ports = [22] }", EMPTY),
        ["- a.test: port 22"]
    );
    assert_eq!(
        said(EMPTY, "[network.domains]\n'*' = 'allow'"),
        ["+ every other name, every other public address: every port"]
    );
    assert_eq!(
        said(EMPTY, "[network.domains]\n'localhost' = 'allow'"),
        ["+ localhost: every port"]
    );
}

#[test]
fn addresses_are_told_apart_by_their_blocks() {
    let block = "[network.addresses]\n'10.20.0.0/16' = { action = 'allow', ports = [5432] }";
    assert_eq!(
        said(EMPTY, block),
        ["+ 10.20.0.0/16: port 5432", "+ 10.20.0.0/16: port 5432 over UDP"]
    );
    let holed = format!("{block}\n'10.20.9.0/24' = 'deny'");
    assert_eq!(
        said(block, &holed),
        ["- 10.20.9.0/24: port 5432", "- 10.20.9.0/24: port 5432 over UDP"]
    );
    let star = "[network.domains]\n'*' = 'allow'";
    assert_eq!(
        said(star, &format!("{star}\n[network.addresses]\n'93.184.216.0/24' = 'deny'")),
        [
            // With its NAT64 form, which is public too.
            "- 93.184.216.0/24, 64:ff9b::5db8:d800/120: every port",
            "- allowed names that resolve to 93.184.216.0/24, 64:ff9b::5db8:d800/120",
        ]
    );
    assert_eq!(
        said(star, &format!("[network]\nallow_local_binding = true\n{star}")),
        [
            "+ localhost, every other local, private or metadata address: every port",
            "+ allowed names that resolve to every other local, private or metadata address",
        ]
    );
}

#[test]
fn what_a_name_may_resolve_to_is_told_of_that_name() {
    let plain = "[network.domains]\n'a.test' = 'allow'\n'b.test' = 'allow'";
    let inside = |blocks: &str| {
        let rule = format!("'a.test' = {{ action = 'allow', resolves_to = [{blocks}] }}");
        format!("[network.domains]\n{rule}\n'b.test' = 'allow'")
    };
    assert_eq!(
        said(plain, &inside("'10.20.0.0/16'")),
        ["+ a.test where it resolves to 10.20.0.0/16"]
    );
    assert_eq!(
        said(&inside("'10.20.0.0/16'"), &inside("'10.20.0.0/17'")),
        ["- a.test where it resolves to 10.20.128.0/17"]
    );
    // Also where no other name is allowed.
    let alone = "[network.domains]\n'a.test' = { action = 'allow', resolves_to = ['10.1.2.3'] }";
    assert_eq!(
        said("[network.domains]\n'a.test' = 'allow'", alone),
        ["+ a.test where it resolves to 10.1.2.3"]
    );
}

#[test]
fn payloads_are_told_apart_where_they_count() {
    let one = "[network.domains]\n'a.test' = 'allow'";
    let limited = format!("[network]\nmode = 'limited'\n{one}");
    assert_eq!(
        said(one, &limited),
        [
            "- a.test: every port: TLS",
            "- a.test: every port: every other method",
            // On the others they did not pass before.
            "- a.test: every port but 80, 443, 8080, 8443: neither TLS nor HTTP",
        ]
    );
    let rule =
        "[network.domains]\n'a.test' = { action = 'allow', methods = ['GET'], paths = ['/b/'] }";
    assert_eq!(
        said(one, rule)[1..3],
        [
            "- a.test: every port: GET on every other path; GET on paths that can be read in two ways",
            "- a.test: every port: HEAD; OPTIONS; every other method",
        ]
    );
    let raw = "[network.domains]\n'a.test' = { action = 'allow', protocol = 'any' }";
    assert_eq!(said(one, raw), ["+ a.test: ports 80, 443, 8080, 8443: neither TLS nor HTTP"]);
    // Whatever is sent.
    assert_eq!(said(EMPTY, raw), ["+ a.test: every port"]);
}

#[test]
fn an_end_of_the_filter_closes_every_target() {
    let one = "[network.domains]\n'a.test' = 'allow'";
    let off = format!("[network]\nnetwork_access = false\n{one}");
    assert_eq!(said(one, &off), ["- a.test: every port"]);
}

fn unix(rules: &[(&str, Action)]) -> Policy {
    let rule = |&(text, action): &(&str, Action)| UnixRule {
        text: text.to_owned(),
        address: UnixAddress::parse(text).unwrap(),
        action,
        origin: Origin::new("p.toml", Some(1)),
    };
    Policy::new(Settings::default(), Vec::new()).with_unix_rules(rules.iter().map(rule).collect())
}

#[test]
fn unix_sockets_are_compared() {
    let say = |before: &Policy, after: &Policy| {
        compare(before, after).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (none, one) = (unix(&[]), unix(&[("/run/a.sock", Action::Allow), ("@b", Action::Deny)]));
    assert_eq!(say(&none, &one), ["unix:/run/a.sock"]);
    let all = Settings { all_unix_sockets: true, ..Settings::default() };
    let all = Policy::new(all, Vec::new());
    assert_eq!(say(&none, &all), ["every other unix socket"]);
    // By two reasons: what no rule allowed, and what a rule denied.
    assert_eq!(say(&one, &all), ["unix:@b", "every other unix socket"]);
}

const NAMES: [&str; 7] =
    ["test", "a.test", "b.test", "x.a.test", "y.x.a.test", "localhost", "other.example"];
const ADDRESSES: [&str; 12] = [
    "10.0.0.1",
    "10.0.255.255",
    "10.1.0.0",
    "93.184.216.34",
    "93.184.216.35",
    "127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "2606::1",
    "::1",
    "64:ff9b::5db8:d822",
    "::ffff:10.0.0.1",
];

fn rules() -> impl Strategy<Value = String> {
    let pattern = prop_oneof![
        (prop::sample::select(vec!["", "*.", "**."]), prop::sample::select(NAMES[..5].to_vec()))
            .prop_map(|(stars, name)| ("domains", format!("{stars}{name}"))),
        Just(("domains", "localhost".to_owned())),
        Just(("domains", "*".to_owned())),
        prop::sample::select(vec![
            "10.0.0.0/16",
            "10.0.0.1",
            "93.184.216.34",
            "93.184.0.0/16",
            "0.0.0.0/0",
            "127.0.0.1",
            "2606::/16",
            "::1",
            "::/0",
            "64:ff9b::/96",
            "8.0.0.0/5",
        ])
        .prop_map(|block| ("addresses", block.to_owned())),
    ];
    let options = prop::sample::select(vec![
        "'allow'",
        "'allow'",
        "'deny'",
        "{ action = 'allow', ports = [443] }",
        "{ action = 'allow', ports = [22, 80] }",
        "{ action = 'allow', transport = ['udp'] }",
        "{ action = 'allow', methods = ['GET', 'POST'] }",
        "{ action = 'allow', ports = [80], methods = ['PUT'], paths = ['/a/', '/b'] }",
        "{ action = 'allow', ports = [80, 9999], paths = ['/a/b'] }",
    ]);
    let rule = (pattern, options);
    let settings = (any::<bool>(), prop::sample::select(vec!["full", "full", "full", "limited"]));
    (prop::collection::vec(rule, 0..6), settings).prop_map(|(rules, (local, mode))| {
        let table = |wanted: &str| {
            let mut seen = BTreeSet::new();
            let lines = rules.iter().filter(|((table, pattern), options)| {
                let refused = pattern == "*" && *options == "'deny'";
                *table == wanted && !refused && seen.insert(pattern.clone())
            });
            let lines = lines.map(|((_, pattern), options)| format!("'{pattern}' = {options}\n"));
            format!("[network.{wanted}]\n{}", lines.collect::<String>())
        };
        let settings = format!("[network]\nallow_local_binding = {local}\nmode = '{mode}'\n");
        format!("{settings}{}{}", table("domains"), table("addresses"))
    })
}

fn payloads() -> impl Strategy<Value = Payload> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "get"]);
    let path =
        prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/a/bc", "/b", "/b/../a/"]);
    let http = (method, path).prop_map(|(method, path)| {
        Payload::Http(HttpRequest { method: method.into(), path: path.into() })
    });
    prop_oneof![http, Just(Payload::Tls), Just(Payload::Opaque)]
}

/// A host, a port, a transport, and what a lookup gives.
fn targets() -> impl Strategy<Value = (NetworkTarget, Answer)> {
    let host =
        prop_oneof![prop::sample::select(NAMES.to_vec()), prop::sample::select(ADDRESSES.to_vec())];
    let port = prop::sample::select(vec![22, 80, 443, 8080, 9999]);
    let transport = prop::sample::select(vec![Transport::Tcp, Transport::Udp]);
    let chain = prop::option::of(prop::sample::select(NAMES.to_vec()));
    let address = prop::sample::select(ADDRESSES.to_vec());
    let tcp = (host.clone(), port.clone(), Just(Transport::Tcp), payloads());
    let any = (host, port, transport, Just(Payload::Unknown));
    let target = prop_oneof![tcp, any];
    (target, chain, address).prop_map(|((host, port, transport, payload), chain, address)| {
        let target = NetworkTarget {
            host: Ok(Host::parse(host).unwrap()),
            host_text: String::new(),
            port,
            transport,
            payload,
        };
        let chain = chain.map(|name| Name::parse(name).unwrap()).into_iter().collect();
        (target, Answer::Found { chain, addresses: vec![address.parse().unwrap()] })
    })
}

/// Whether the kind of hosts has this one.
fn holds(hosts: &Hosts, host: &Host, bases: &BTreeSet<Name>) -> bool {
    let base = |name: &Name| {
        let under = |base: &&Name| name == *base || name.as_str().ends_with(&format!(".{base}"));
        bases.iter().filter(under).max_by_key(|base| base.as_str().len()).cloned()
    };
    match (hosts, host) {
        (Hosts::Name(name), Host::Name(host)) => name == host,
        (Hosts::Below(name), Host::Name(host)) => base(host).as_ref() == Some(name) && name != host,
        (Hosts::OtherNames, Host::Name(host)) => base(host).is_none(),
        (Hosts::Range(first, last), Host::Address(address)) => {
            let address = address.to_canonical();
            first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address)
        }
        (Hosts::OtherPublic, Host::Address(address)) => crate::policy::is_public(*address),
        (Hosts::OtherLocal, Host::Address(address)) => !crate::policy::is_public(*address),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever two policies judge differently is of a kind that is reported.
    #[test]
    fn no_target_changes_unreported(
        before in rules(),
        after in rules(),
        targets in prop::collection::vec(targets(), 40),
    ) {
        let (before, after) = (policy(&before, "a.toml"), policy(&after, "b.toml"));
        let differences = compare(&before, &after);
        let bases: BTreeSet<Name> = [&before, &after]
            .into_iter()
            .flat_map(Policy::rules)
            .filter_map(|rule| Name::parse(rule.text.trim_start_matches(['*', '.'])).ok())
            .collect();
        for (target, answer) in targets {
            let [old, new] = [&before, &after].map(|policy| {
                let mut answers = crate::target::Answers::default();
                answers.set_others(answer.clone());
                judge(policy, &Target::Network(target.clone()), &mut answers)
            });
            if old.is_allow() == new.is_allow() {
                continue;
            }
            let Answer::Found { chain, addresses } = &answer else { unreachable!() };
            let host = target.host.clone().unwrap();
            let reported = differences.iter().any(|difference| {
                let scope = &difference.scope;
                let port = scope.transport == Some(target.transport) && match &scope.ports {
                    PortsChanged::Only(ports) => ports.contains(target.port),
                    PortsChanged::AllBut(ports) => !ports.contains(target.port),
                };
                difference.is_opened() == new.is_allow() && difference.hosts.iter().any(|hosts| match hosts {
                    Hosts::ResolvingTo(inner) => addresses.iter().any(|&address| {
                        holds(inner, &Host::Address(address), &bases)
                    }),
                    Hosts::WithAlias(inner) => chain.iter().any(|alias| {
                        holds(inner, &Host::Name(alias.clone()), &bases)
                    }),
                    hosts => port && holds(hosts, &host, &bases),
                })
            });
            prop_assert!(reported, "{target:?} {answer:?}: {old} -> {new}; {differences:#?}");
        }
    }

    /// Each example that is reported is judged as it says.
    #[test]
    fn each_difference_has_an_example_that_differs(before in rules(), after in rules()) {
        let (before, after) = (policy(&before, "a.toml"), policy(&after, "b.toml"));
        for difference in compare(&before, &after) {
            let [first, ..] = &difference.hosts[..] else { panic!("no hosts") };
            if matches!(first, Hosts::ResolvingTo(_) | Hosts::WithAlias(_)) {
                continue;
            }
            let target: Target = difference.scope.example.parse().unwrap();
            let both = Both { before: &before, after: &after };
            let answers = lookups::good_answers(both);
            let seen = answers.iter().any(|&answer| {
                let mut answers = lookups::always(&[answer]);
                let [old, new] = both.each().map(|policy| judge(policy, &target, &mut answers));
                old.is_allow() != new.is_allow() && new.is_allow() == difference.is_opened()
            });
            prop_assert!(seen, "{difference}");
        }
    }
}
