//! What is imported allows nothing that the source denies.
//!
//! Settings and targets are random, of few parts, so that they meet often. What the source says of a
//! target is a small model of its own, of what the real programs were seen to do (Codex 0.171.0 and
//! sandbox-runtime 0.0.83) or do by their public sources (the others). Where the model denies, the policy that comes out must, also when
//! settings and policy went through files.
use std::path::Path;

use egress_user::{
    config::{self, Flags},
    import::{Options, Source, import},
    policy::{Action, Policy},
    target::{Answers, Target, judge},
};
use proptest::prelude::*;

mod cilium;
mod codex;
mod harden_runner;
mod lists;
mod runtime;
mod script;
mod smokescreen;
mod squid;

/// Hosts that the settings are about.
const HOSTS: [&str; 13] = [
    "a.test",
    "x.a.test",
    "y.x.a.test",
    "xa.test",
    "b.test",
    "evil1.test",
    "test",
    "xn--bcher-kva.test",
    "localhost",
    "127.0.0.1",
    "10.0.0.1",
    "93.184.216.35",
    "[::1]",
];
const PORTS: [u16; 4] = [22, 80, 443, 8443];
/// What every name resolves to.
const ADDRESS: &str = "93.184.216.34";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload {
    Tls,
    Get,
    Post,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    host: &'static str,
    port: u16,
    payload: Payload,
}

impl Asked {
    fn text(self) -> String {
        let Self { host, port, payload } = self;
        match payload {
            Payload::Tls => format!("https://{host}:{port}/"),
            Payload::Get => format!("http://{host}:{port}/"),
            Payload::Post => format!("http://{host}:{port}/ POST"),
        }
    }

    /// Without brackets.
    fn bare(self) -> &'static str {
        self.host.trim_matches(['[', ']'])
    }
}

fn every_target() -> impl Iterator<Item = Asked> {
    HOSTS.into_iter().flat_map(|host| {
        PORTS.into_iter().flat_map(move |port| {
            let payloads = [Payload::Tls, Payload::Get, Payload::Post].into_iter();
            payloads.map(move |payload| Asked { host, port, payload })
        })
    })
}

/// Patterns as people write them, right and wrong, of hosts that are asked for.
fn pattern() -> impl Strategy<Value = String> {
    let before = prop::sample::select(vec!["", "", "", "*.", "**.", ".", "*", "ev*", "?."]);
    let name = prop::sample::select(vec![
        "a.test",
        "A.Test.",
        "x.a.test",
        "test",
        "b.test",
        "bücher.test",
        "evil1.test",
    ]);
    let after = prop::sample::select(vec!["", "", "", ":443", ":80", ":0443", " "]);
    let single = prop::sample::select(vec![
        "*",
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "10.0.0.1",
        "10.0.0.*",
        "93.184.*",
        "93.184.216.35",
        "93.184.216.35:80",
        "::1",
        "[::1]",
        "[::1]:80",
        "x.*.test",
        "e?il1.test",
        "::ffff:10.0.0.1",
    ]);
    prop_oneof![
        3 => (before, name, after).prop_map(|(before, name, after)| format!("{before}{name}{after}")),
        2 => single.prop_map(str::to_owned),
    ]
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(pattern(), 0..5)
}

/// The policy of the settings, once in memory and once over files; none where they are refused.
fn policies(text: &str, profile: Option<&str>) -> Option<[Policy; 2]> {
    let options = Options { home: Some(Path::new("/home/user")), lists: Action::Allow };
    let imported = import(&[Source { name: "f", text }], &options).ok()?;
    let flags = || Flags { profile: profile.map(str::to_owned), ..Flags::default() };
    let loaded = config::parse(&imported.text, "p.toml");
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}\n{}", imported.text));
    let memory = config::assemble_layers(vec![loaded], &flags())
        .unwrap_or_else(|errors| panic!("{errors}\n{}", imported.text));
    assert_eq!(memory.not_built, [], "run would not start\n{}", imported.text);
    let folder = tempfile::tempdir().unwrap();
    let (settings, policy) = (folder.path().join("settings"), folder.path().join("policy.toml"));
    std::fs::write(&settings, text).unwrap();
    let again = std::fs::read_to_string(&settings).unwrap();
    let name = settings.display().to_string();
    let imported = import(&[Source { name: &name, text: &again }], &options).unwrap();
    std::fs::write(&policy, &imported.text).unwrap();
    let files = config::assemble(&[policy], &flags());
    let files = files.unwrap_or_else(|errors| panic!("{errors}\n{}", imported.text));
    Some([memory.policy, files.policy])
}

/// Holds the policies to the model, and counts targets that both let pass.
fn hold(text: &str, profile: Option<&str>, allows: impl Fn(Asked) -> bool) -> usize {
    hold_in_some(text, profile, 1, |_, asked| allows(asked))
}

/// The same where the source is not the same for everybody: in one of its worlds it has to let pass
/// whatever the policy does.
fn hold_in_some(
    text: &str,
    profile: Option<&str>,
    worlds: usize,
    allows: impl Fn(usize, Asked) -> bool,
) -> usize {
    let Some(policies) = policies(text, profile) else { return 0 };
    let mut answers = Answers::default();
    answers.set_others(Answers::of_words([ADDRESS], Vec::new()).unwrap());
    let mut open = Vec::new();
    for asked in every_target() {
        let target: Target = asked.text().parse().unwrap();
        for policy in &policies {
            if judge(policy, &target, &mut answers.clone()).is_allow() {
                open.push(asked);
            }
        }
        let udp: Target = format!("udp://{}:{}", asked.host, asked.port).parse().unwrap();
        let is_open =
            policies.iter().any(|policy| judge(policy, &udp, &mut answers.clone()).is_allow());
        assert!(!is_open, "{} is open over UDP\n{text}", asked.host);
    }
    let wider = |world| open.iter().find(|asked| !allows(world, **asked));
    let least = (0..worlds).map(wider).min_by_key(Option::is_some).flatten();
    if let Some(asked) = least {
        panic!("{} is open, and closed in the source ({profile:?})\n{text}", asked.text());
    }
    open.len()
}

/// A name or literal of a list: the same text, whatever the case and a dot at the end.
fn is_same(entry: &str, asked: Asked) -> bool {
    let entry = entry.trim_end_matches('.').trim_matches(['[', ']']).to_lowercase();
    let literal = |text: &str| text.parse::<std::net::IpAddr>().ok().map(|one| one.to_canonical());
    entry == asked.bare() || (literal(&entry).is_some() && literal(&entry) == literal(asked.bare()))
}

/// Whether the host is a name below this one.
fn is_below(base: &str, asked: Asked) -> bool {
    let base = base.trim_end_matches('.').to_lowercase();
    asked.bare().parse::<std::net::IpAddr>().is_err() && asked.host.ends_with(&format!(".{base}"))
}

/// The addresses that a host stands for.
fn addresses(asked: Asked) -> Vec<std::net::IpAddr> {
    let texts = match asked.host {
        "localhost" => vec!["127.0.0.1", "::1"],
        _ if asked.bare().parse::<std::net::IpAddr>().is_ok() => vec![asked.bare()],
        _ => vec![ADDRESS],
    };
    texts.into_iter().map(|text| text.parse().unwrap()).collect()
}
