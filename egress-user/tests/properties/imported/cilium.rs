//! Cilium's policies: names by labels, addresses, ports, denies.
use std::{cell::Cell, fmt::Write};

use ipnet::IpNet;

use super::*;

#[derive(Clone, Debug)]
enum To {
    Name(String),
    Pattern(String),
    Block(&'static str, Option<&'static str>),
    World,
}

#[derive(Clone, Debug)]
struct Rule {
    targets: Vec<To>,
    /// Each with its protocol.
    ports: Vec<(u16, &'static str)>,
}

#[derive(Clone, Debug)]
struct Settings {
    rules: Vec<Rule>,
    denied: Vec<&'static str>,
}

const BLOCKS: [&str; 4] = ["93.184.216.0/24", "10.0.0.0/8", "::1/128", "93.184.216.34/32"];

fn rule() -> impl Strategy<Value = Rule> {
    let name = prop::sample::select(vec![
        "a.test",
        "x.a.test",
        "B.test",
        "xn--bcher-kva.test",
        "10.0.0.1",
    ]);
    let pattern = prop::sample::select(vec![
        "*.a.test",
        "**.a.test",
        "*.*.a.test",
        "x*.test",
        "*",
        "**",
        "a.test",
        "evil?.test",
        "***.test",
        "*a.test",
        "**a.test",
    ]);
    let block = prop::sample::select(BLOCKS.to_vec());
    let except =
        prop::option::weighted(0.3, prop::sample::select(vec!["93.184.216.35/32", "10.0.0.0/16"]));
    let targets = prop_oneof![
        3 => prop::collection::vec(name.prop_map(|name| To::Name(name.to_owned())), 1..3),
        4 => prop::collection::vec(pattern.prop_map(|text| To::Pattern(text.to_owned())), 1..3),
        2 => prop::collection::vec((block, except).prop_map(|(block, except)| To::Block(block, except)), 1..2),
        1 => Just(vec![To::World]),
    ];
    let port = (
        prop::sample::select(PORTS.to_vec()),
        prop::sample::select(vec!["TCP", "TCP", "ANY", "UDP"]),
    );
    (targets, prop::collection::vec(port, 0..3))
        .prop_map(|(targets, ports)| Rule { targets, ports })
}

fn settings() -> impl Strategy<Value = Settings> {
    let denied = prop::collection::vec(prop::sample::select(BLOCKS.to_vec()), 0..2);
    (prop::collection::vec(rule(), 1..4), prop_oneof![3 => Just(Vec::new()), 1 => denied])
        .prop_map(|(rules, denied)| Settings { rules, denied })
}

/// A star is characters of one label; two or more before the first dot are whole labels; alone it is
/// every name.
fn matches(pattern: &str, name: &str) -> bool {
    fn label(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                label(rest, text)
                    || text.split_first().is_some_and(|(_, less)| label(pattern, less))
            }
            (Some((one, rest)), Some((two, more))) => one == two && label(rest, more),
            _ => false,
        }
    }
    let pattern = pattern.to_lowercase();
    if pattern.bytes().all(|byte| byte == b'*') {
        return true;
    }
    let stars = pattern.len() - pattern.trim_start_matches('*').len();
    if stars >= 2 && pattern[stars..].starts_with('.') {
        let labels: Vec<&str> = name.split('.').collect();
        return (1..labels.len()).any(|at| matches(&pattern[stars + 1..], &labels[at..].join(".")));
    }
    let (patterns, labels): (Vec<&str>, Vec<&str>) =
        (pattern.split('.').collect(), name.split('.').collect());
    patterns.len() == labels.len()
        && patterns.iter().zip(labels).all(|(one, two)| label(one.as_bytes(), two.as_bytes()))
}

impl Settings {
    fn text(&self) -> String {
        let mut text =
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: p\nspec:\n  \
                        endpointSelector: {}\n  egress:\n"
                .to_owned();
        for Rule { targets, ports } in &self.rules {
            let key = match targets[0] {
                To::Name(_) | To::Pattern(_) => "toFQDNs",
                To::Block(..) => "toCIDRSet",
                To::World => "toEntities",
            };
            writeln!(text, "  - {key}:").unwrap();
            for target in targets {
                match target {
                    To::Name(name) => writeln!(text, "    - matchName: \"{name}\""),
                    To::Pattern(pattern) => writeln!(text, "    - matchPattern: \"{pattern}\""),
                    To::Block(block, None) => writeln!(text, "    - cidr: \"{block}\""),
                    To::Block(block, Some(except)) => {
                        writeln!(text, "    - cidr: \"{block}\"\n      except: [\"{except}\"]")
                    }
                    To::World => writeln!(text, "    - world"),
                }
                .unwrap();
            }
            if !ports.is_empty() {
                text.push_str("    toPorts:\n    - ports:\n");
                for (port, protocol) in ports {
                    writeln!(text, "      - port: \"{port}\"\n        protocol: {protocol}")
                        .unwrap();
                }
            }
        }
        if !self.denied.is_empty() {
            writeln!(text, "  egressDeny:\n  - toCIDR: {:?}", self.denied).unwrap();
        }
        text
    }

    fn allows(&self, asked: Asked) -> bool {
        let addresses = addresses(asked);
        let inside = |block: &str| {
            let block: IpNet = block.parse().unwrap();
            addresses.iter().any(|address| block.contains(address))
        };
        let is_name = asked.bare().parse::<std::net::IpAddr>().is_err();
        let reaches = |target: &To| match target {
            To::Name(name) => is_name && name.to_lowercase() == asked.host,
            // Every address that a name was seen to have.
            To::Pattern(text) if text.bytes().all(|byte| byte == b'*') => true,
            To::Pattern(text) => is_name && matches(text, asked.host),
            To::Block(block, except) => inside(block) && !except.is_some_and(inside),
            To::World => true,
        };
        let opens = |rule: &Rule| {
            let port = |(port, protocol): &(u16, &str)| *port == asked.port && *protocol != "UDP";
            (rule.ports.is_empty() || rule.ports.iter().any(port))
                && rule.targets.iter().any(reaches)
        };
        self.rules.iter().any(opens) && !self.denied.iter().any(|block| inside(block))
    }
}

#[test]
fn cilium_is_never_wider_here() {
    let passed = Cell::new(0);
    proptest!(|(settings in settings())| {
        let count = hold(&settings.text(), None, |asked| settings.allows(asked));
        passed.set(passed.get() + count);
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}
