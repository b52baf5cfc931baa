//! squid.conf: the first line of `http_access` that matches, for tunnels.
use std::{cell::Cell, fmt::Write};

use ipnet::IpNet;

use super::*;

#[derive(Clone, Debug)]
struct Settings {
    names: Vec<Vec<String>>,
    /// Whether it allows, and its conditions: in or not, and the name of the list.
    lines: Vec<(bool, Vec<(bool, &'static str)>)>,
}

const PORTS_OF: [(&str, &[u16], &str); 2] =
    [("safe", &[80, 443, 8443], "80 443 1025-65535"), ("ssl", &[443], "443")];
const BLOCKS: [(&str, &[&str]); 3] = [
    ("block", &["93.184.216.0/24"]),
    ("inside", &["10.0.0.0/8"]),
    ("to_localhost", &["127.0.0.0/8", "::1/128"]),
];
const CLIENTS: [&str; 3] = ["office", "home", "user"];
const DOMAINS: [&str; 3] = ["one", "two", "three"];

fn settings() -> impl Strategy<Value = Settings> {
    let name = pattern().prop_map(|item| item.trim().to_owned());
    let names = prop::collection::vec(prop::collection::vec(name, 1..4), 3);
    let list = prop::sample::select(vec![
        "one",
        "one",
        "two",
        "two",
        "three",
        "safe",
        "ssl",
        "block",
        "inside",
        "office",
        "home",
        "user",
        "all",
        "CONNECT",
        "post",
        "to_localhost",
        "work",
    ]);
    let condition = (prop::bool::weighted(0.8), list);
    let line = (prop::bool::weighted(0.6), prop::collection::vec(condition, 1..3));
    let deny_all = prop::bool::weighted(0.7);
    (names, prop::collection::vec(line, 1..6), deny_all).prop_map(|(names, mut lines, deny_all)| {
        if deny_all {
            lines.push((false, vec![(true, "all")]));
        }
        Settings { names, lines }
    })
}

impl Settings {
    fn text(&self) -> String {
        let mut text = "acl post method POST\nacl work time MTWHF 9:00-17:00\n".to_owned();
        for (name, _, ports) in PORTS_OF {
            writeln!(text, "acl {name} port {ports}").unwrap();
        }
        text.push_str("acl block dst 93.184.216.0/255.255.255.0\nacl inside dst 10.0.0.0/8\n");
        text.push_str(
            "acl office src 10.1.0.0/16\nacl home src 10.2.0.0/16\nacl user proxy_auth REQUIRED\n",
        );
        for (name, names) in DOMAINS.iter().zip(&self.names) {
            writeln!(text, "acl {name} dstdomain {}", names.join(" ")).unwrap();
        }
        for (allows, conditions) in &self.lines {
            let word =
                |(is_in, name): &(bool, &str)| format!("{}{name}", if *is_in { "" } else { "!" });
            let words: Vec<_> = conditions.iter().map(word).collect();
            let action = if *allows { "allow" } else { "deny" };
            writeln!(text, "http_access {action} {}", words.join(" ")).unwrap();
        }
        text
    }

    /// A client is in the lists whose bits the world has; with another bit it is working time.
    fn allows(&self, world: usize, asked: Asked) -> bool {
        let addresses = addresses(asked);
        let is_in = |name: &str| {
            if let Some(at) = DOMAINS.iter().position(|one| *one == name) {
                return self.names[at].iter().any(|entry| match entry.strip_prefix('.') {
                    Some(base) => is_below(base, asked) || is_same(base, asked),
                    None => is_same(entry, asked),
                });
            }
            if let Some(at) = CLIENTS.iter().position(|one| *one == name) {
                return world >> at & 1 == 1;
            }
            if let Some((_, ports, _)) = PORTS_OF.iter().find(|(one, ..)| *one == name) {
                return ports.contains(&asked.port);
            }
            if let Some((_, blocks)) = BLOCKS.iter().find(|(one, _)| *one == name) {
                let block = |text: &&str| text.parse::<IpNet>().unwrap();
                return blocks
                    .iter()
                    .map(block)
                    .any(|block| addresses.iter().any(|address| block.contains(address)));
            }
            // What is left to time is not known.
            name == "all" || name == "CONNECT"
        };
        // At no time may it be closed.
        [false, true].into_iter().all(|at_work| {
            let holds = |(want, name): &(bool, &str)| {
                *want == if *name == "work" { at_work } else { is_in(name) }
            };
            let first = self.lines.iter().find(|(_, conditions)| conditions.iter().all(holds));
            match (first, self.lines.last()) {
                (Some((allows, _)), _) => *allows,
                (None, last) => last.is_some_and(|(allows, _)| !allows),
            }
        })
    }
}

#[test]
fn squid_is_never_wider_here() {
    let passed = Cell::new(0);
    proptest!(|(settings in settings())| {
        let count = hold_in_some(&settings.text(), None, 8, |world, asked| settings.allows(world, asked));
        passed.set(passed.get() + count);
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}
