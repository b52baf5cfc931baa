//! A person does what each remedy says, and is allowed in the end.
use std::{net::SocketAddr, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    config::{self, Flags},
    judge::Evidence,
    pins::{NEVER_NS, Opening, PinStore, Pins},
    policy::{Action, Answer, Host, HttpRequest, Name, Origin, Pattern, Payload, Policy, Refusal},
    sniff::{Hello, RequestHead, RequestStream, Step},
    target::{Answers, NetworkTarget, Target, judge},
};

mod person;

use person::{Line, Person};

/// More steps than any target needs.
const MOST_STEPS: usize = 16;

const NAMES: [(&str, &[&str]); 5] = [
    ("a.test", &["93.184.216.34"]),
    ("b.a.test", &["93.184.216.34", "93.184.216.35"]),
    ("private.test", &["10.0.0.1"]),
    // The machine's own.
    ("own.test", &["93.184.216.36"]),
    ("localhost", &["127.0.0.1", "::1"]),
];

fn name_patterns() -> impl Strategy<Value = String> {
    let exact = prop::sample::select(NAMES.map(|(name, _)| name).to_vec());
    let wide = prop::sample::select(vec!["*", "*.test", "**.test", "**.a.test", "*.a.test"]);
    prop_oneof![exact, wide].prop_map(str::to_owned)
}

fn address_patterns() -> impl Strategy<Value = String> {
    let some = ["93.184.216.34", "93.184.216.0/24", "10.0.0.0/8", "10.0.0.1", "127.0.0.1", "::1"];
    prop::sample::select(some.to_vec()).prop_map(str::to_owned)
}

prop_compose! {
    fn line(patterns: BoxedStrategy<String>)(
        pattern in patterns,
        is_deny in prop::bool::weighted(0.3),
        ports in prop::option::of(prop::sample::subsequence(vec![22_u16, 80, 443, 8080], 1..3)),
        transport in prop::option::of(prop::sample::select(vec!["tcp", "udp"])),
        is_any in any::<bool>(),
        methods in prop::option::of(Just(vec!["GET".to_owned()])),
        paths in prop::option::of(Just(vec!["/open".to_owned()])),
        resolves_to in prop::option::weighted(0.2, Just(vec!["192.168.0.0/16".to_owned()])),
    ) -> Line {
        // A deny has no options, nobody may deny everything, and a rule that reads requests lets no others pass.
        let is_deny = is_deny && pattern != "*";
        let reads = methods.is_some() || paths.is_some();
        let transport = transport.filter(|_| !reads).map(|transport| vec![transport.to_owned()]);
        let none = Line { pattern, is_deny, ..Line::default() };
        match is_deny {
            true => none,
            false => {
                // Of names that are looked up.
                let is_looked_up = none.pattern.ends_with(".test");
                let resolves_to = resolves_to.filter(|_| is_looked_up);
                let is_any = is_any && !reads;
                Line { ports, transport, is_any, methods, paths, resolves_to, ..none }
            }
        }
    }
}

prop_compose! {
    fn person()(
        domains in prop::collection::vec(line(name_patterns().boxed()), 0..4),
        addresses in prop::collection::vec(line(address_patterns().boxed()), 0..3),
        flags in prop::collection::vec((any::<bool>(), name_patterns()), 0..2),
        keys in prop::sample::subsequence(
            vec![("mode", "\"limited\""), ("network_access", "false"), ("allow_local_binding", "true")],
            0..3,
        ),
        prefers_flags in any::<bool>(),
    ) -> Person {
        let flags = flags.into_iter().filter(|(is_deny, pattern)| !is_deny || pattern != "*");
        Person::new(keys, domains, addresses, flags.collect(), prefers_flags)
    }
}

fn payloads() -> impl Strategy<Value = Payload> {
    let request = |method: &str, path: &str| {
        Payload::Http(HttpRequest { method: method.into(), path: path.into() })
    };
    prop::sample::select(vec![
        Payload::Unknown,
        Payload::Tls,
        Payload::Opaque,
        request("GET", "/open/a?b=c"),
        request("POST", "/closed?b=c"),
        request("POST", "/open/../closed"),
    ])
}

prop_compose! {
    fn target()(
        host in prop_oneof![
            prop::sample::select(NAMES.map(|(name, _)| name).to_vec()),
            prop::sample::select(vec!["93.184.216.34", "93.184.216.36", "10.0.0.1", "::1", "0.0.0.0"]),
        ],
        port in prop::sample::select(vec![0_u16, 22, 53, 80, 443, 8080]),
        transport in prop::sample::select(vec![Transport::Tcp, Transport::Udp]),
        payload in payloads(),
    ) -> NetworkTarget {
        NetworkTarget { host: Host::parse(host), host_text: host.to_owned(), port, transport, payload }
    }
}

fn answers() -> Answers {
    let mut answers = Answers::default();
    for (name, addresses) in NAMES {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        answers.set(name.parse_name(), Answer::Found { chain: Vec::new(), addresses });
    }
    answers
}

trait ParseName {
    fn parse_name(&self) -> Name;
}

impl ParseName for &str {
    fn parse_name(&self) -> Name {
        Name::parse(self).unwrap()
    }
}

/// Does what each remedy says until there is nothing more to do; gives what was refused last, if anything was. No
/// step may leave the refusal that it is for.
fn follow(
    person: &mut Person,
    path: Option<&str>,
    judge: impl Fn(&Policy) -> Result<(), Refusal>,
) -> Result<Option<Refusal>, TestCaseError> {
    let mut seen: Vec<Refusal> = Vec::new();
    for _ in 0..MOST_STEPS {
        let policy = person.policy();
        let Err(refusal) = judge(&policy) else { return Ok(None) };
        let Some(remedy) = &refusal.remedy else { return Ok(Some(refusal)) };
        let advice = remedy.to_string();
        if *remedy == Remedy::PlainPath {
            return Ok(Some(refusal));
        }
        prop_assert!(!seen.contains(&refusal), "{advice} changed nothing of {refusal}\n{person}");
        person.follow(&advice, path);
        seen.push(refusal);
    }
    Err(TestCaseError::fail(format!("no end of advice: {seen:#?}\n{person}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_target_is_allowed_once_its_remedies_are_followed(
        mut person in person(),
        target in target(),
    ) {
        let path = match &target.payload {
            Payload::Http(request) => Some(request.path.to_string()),
            _ => None,
        };
        let is_hopeless = target.port == 0
            || target.port == 443 && target.transport == Transport::Udp;
        let asked = Target::Network(target);
        let judge = |policy: &Policy| {
            let verdict = judge(policy, &asked, &mut answers());
            verdict.reason.map_or(Ok(()), |reason| {
                let rule = match verdict.line {
                    Some(crate::target::Line::Rule(rule)) => Some(rule),
                    _ => None,
                };
                Err(Refusal { reason, rule, remedy: verdict.remedy })
            })
        };
        let before = format!("{person}");
        if is_hopeless {
            // Nor is anything advised that would not do.
            let refusal = judge(&person.policy()).unwrap_err();
            prop_assert_eq!(refusal.remedy, None, "{}", before);
            return Ok(());
        }
        let last = follow(&mut person, path.as_deref(), judge)?;
        let is_plain_path =
            last.as_ref().is_some_and(|last| last.remedy == Some(Remedy::PlainPath));
        prop_assert_eq!(last.is_some(), is_plain_path, "{:?}\n{}", last, before);
    }
}

/// What a connection may show.
#[derive(Clone, Debug)]
enum Shown {
    Hello { name: Option<&'static str>, ech: bool },
    Request(&'static str),
    Opaque,
}

fn shown() -> impl Strategy<Value = Shown> {
    let name = prop::option::of(prop::sample::select(vec![
        "a.test",
        "b.a.test",
        "private.test",
        "93.184.216.34",
    ]));
    prop_oneof![
        (name, any::<bool>()).prop_map(|(name, ech)| Shown::Hello { name, ech }),
        prop::sample::select(vec![
            "GET /open HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "POST /closed?a HTTP/1.1\r\nHost: b.a.test\r\n\r\n",
            "GET /closed HTTP/1.0\r\n\r\n",
            "GET /open HTTP/1.1\r\nHost: 93.184.216.34\r\n\r\n",
            "GET /open HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n",
        ])
        .prop_map(Shown::Request),
        Just(Shown::Opaque),
    ]
}

struct Anywhere;

impl PinStore for Anywhere {
    fn pin(&self, _: std::net::IpAddr, _: &Opening) -> std::io::Result<()> {
        Ok(())
    }
    fn unpin(&self, _: std::net::IpAddr) {}
}

/// Pins of whatever the policy lets be looked up.
fn pins(policy: &Policy) -> Pins {
    let pins = Pins::new(std::sync::Arc::new(Anywhere));
    for (name, addresses) in NAMES {
        let (name, addresses) = (name.parse_name(), addresses.iter().map(|a| a.parse().unwrap()));
        let Ok(grant) = policy.name(&name) else { continue };
        let answer = Answer::Found { chain: Vec::new(), addresses: addresses.clone().collect() };
        if let Ok((grant, _)) = policy.judge_lookup(&name, &grant, &answer) {
            let wanted: Vec<_> = addresses.map(|address| (address, NEVER_NS)).collect();
            pins.pin(&name, &grant, &wanted, 0).unwrap();
        }
    }
    pins
}

fn head(text: &str) -> RequestHead {
    match RequestStream::new().step(text.as_bytes()) {
        Step::Head(head, _) => *head,
        other => panic!("{other:?}"),
    }
}

fn shows(policy: &Policy, to: SocketAddr, shown: &Shown) -> Result<(), Refusal> {
    let judged = Evidence::gather(policy, &pins(policy), to, 0).and_then(|evidence| match shown {
        Shown::Hello { name, ech } => {
            let server_name = name.map(str::to_owned);
            let hello = Hello { server_name, ech: *ech };
            evidence.judge_hello(policy, &hello)
        }
        Shown::Request(text) => evidence.judge_request(policy, &head(text)),
        Shown::Opaque => evidence.judge_opaque(policy),
    });
    judged.map(drop).map_err(|event| {
        let reason = event.reason().unwrap();
        Refusal { reason, rule: event.rule, remedy: event.remedy }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_connection_passes_once_its_remedies_are_followed(
        mut person in person(),
        port in prop::sample::select(vec![22_u16, 80, 443]),
        shown in shown(),
    ) {
        let to = SocketAddr::from(([93, 184, 216, 34], port));
        let path = match &shown {
            Shown::Request(text) => Some(head(text).path),
            _ => None,
        };
        let before = format!("{person}");
        let last = follow(&mut person, path.as_deref(), |policy| shows(policy, to, &shown))?;
        prop_assert!(last.is_none(), "{:?}\n{}", last, before);
    }
}

#[test]
fn what_no_line_can_be_edited_of_is_written_anew() {
    let of = |flag: bool| {
        let options = RuleOptions { ports: PortSet::only(vec![80]), ..RuleOptions::default() };
        let mut origin = match flag {
            true => Origin::new("--allow", None),
            false => Origin::new("p.toml", Some(2)),
        };
        origin.preset = (!flag).then(|| "tools".into());
        let (text, pattern) = ("a.test".to_owned(), Pattern::Exact("a.test".parse_name()));
        Arc::new(Rule { text, pattern, action: Action::Allow, options, origin })
    };
    assert_eq!(
        Remedy::AddPort { port: 443, rule: of(true) }.to_string(),
        "instead of a.test (--allow), in [network.domains]: \"a.test\" = \
         { action = \"allow\", ports = [80, 443] }"
    );
    // A preset is nobody's to edit.
    assert_eq!(
        Remedy::AddTransport { transport: Transport::Udp, rule: of(false) }.to_string(),
        "beside a.test (p.toml:2), in [network.domains]: \"a.test\" = \
         { action = \"allow\", ports = [80], transport = [\"tcp\", \"udp\"] }"
    );
}

#[test]
fn unix_sockets_have_remedies_that_help() {
    let target: Target = "unix:/run/a.sock".parse().unwrap();
    let judged = |text: &str| {
        let layer = config::parse(text, "p.toml").unwrap();
        let policy = config::assemble_layers(vec![layer], &Flags::default()).unwrap().policy;
        judge(&policy, &target, &mut answers()).remedy.map(|remedy| remedy.to_string())
    };
    let advice = judged("").unwrap();
    let (table, line) = advice.strip_prefix("in ").unwrap().split_once(": ").unwrap();
    assert_eq!(judged(&format!("{table}\n{line}\n")), None);
    let denied = "[network.unix_sockets]\n\"/run/a.sock\" = \"deny\"\n";
    let advice = judged(denied).unwrap();
    assert!(advice.starts_with("remove the deny of /run/a.sock (p.toml:2)"), "{advice}");
}
