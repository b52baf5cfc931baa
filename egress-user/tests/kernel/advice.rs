//! What the end of a run advises helps: whoever does it, and runs again, reaches the target.
//!
//! Each case is refused for one reason, and told to do one thing; the test takes that from the text,
//! as a person pastes it, and demands that what was refused arrives in the end. Where no line of a
//! policy would help, the text says so: those are listed, and few.
//!
//! What other tests' runs advise is of these kinds, or those tests fail (`support/advice.rs`).
use std::collections::BTreeSet;

use super::support::advice::{KINDS, NO_LINE, Told, told};
use super::support::{Answer, CLIENT, Finished, NAME_SERVER, World};
use super::{METADATA, OTHER, PRIVATE, SITE, SITE_V6, THIRD};

mod cases;

use cases::{CASES, Case, NOT_HERE, Reached};

/// Worlds at once, with a part of the cases each.
const WORKERS: usize = 3;

/// How often somebody does as told before giving up: one thing may be refused for two reasons.
const MOST_ROUNDS: usize = 4;

fn world() -> World {
    World::new()
        .site("allowed.test", SITE)
        .site("refused.test", OTHER)
        .site("third.test", THIRD)
        .site("six.test", SITE_V6)
        .record("shared.test", &[SITE])
        .record("inside.test", &[PRIVATE])
        .record("pair.test", &[PRIVATE, "fd00:9::7"])
        .site("pypi.example", THIRD)
        .record("six-shared.test", &[SITE_V6])
        .record("metadata.test", &[METADATA])
        .record("deep.test", &["fd00:9::7"])
        .record("pypi.org", &[PRIVATE])
        .record("crates.io", &[THIRD])
        .record("own.test", &[CLIENT])
        .record("blocked.test", &["0.0.0.0"])
        .record("more.test", &[THIRD])
        // Its certificate and its server are there, and the hosts file alone has its address.
        .answers("listed.test", Answer::Failure)
        .answers("alias.test", Answer::Alias("allowed.test".to_owned()))
        .answers("broken.test", Answer::Failure)
        .build()
}

/// Runs the case with these options, on a machine whose hosts file has a name of its own.
fn attempt<'w>(world: &'w World, case: &Case, options: &[String]) -> Finished<'w> {
    let hosts = world.file("hosts", format!("{THIRD} listed.test\n{PRIVATE} listed-inside.test\n"));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let port = world.host_port().to_string();
    let command = case.command.iter().map(|word| word.replace("{port}", &port));
    world.egress(&options).mount(&hosts, "/etc/hosts").run(command)
}

/// Whether the target was reached; of bytes, since there were so many.
fn has_reached(out: &Finished<'_>, reached: Reached, before: usize) -> bool {
    match reached {
        Reached::Said(text) => out.text().contains(text),
        Reached::Bytes(port) => bytes_at(out.world, port) > before,
        Reached::Never(_) => false,
    }
}

fn bytes_at(world: &World, port: u16) -> usize {
    world.arrived_at(SITE).on_port(port).payload()
}

/// Follows the advice until the target is reached; the kinds of what was advised.
fn followed(world: &World, case: &Case) -> Vec<(String, String)> {
    let Case { reason, policy, flags, reached, .. } = case;
    let mut options: Vec<_> = world.policy(policy).options().map(str::to_owned).into();
    options.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let before = match reached {
        Reached::Bytes(port) => bytes_at(world, *port),
        _ => 0,
    };
    let mut kinds = Vec::new();
    for round in 0.. {
        let out = attempt(world, case, &options);
        if has_reached(&out, *reached, before) {
            assert!(round > 0, "{reason} refused nothing\n{out}");
            break;
        }
        // What comes next may have another reason.
        let is_of = |told: &&Told| round > 0 || told.reason == *reason;
        let all = told(&out.complaints());
        let next = all.iter().find(is_of).unwrap_or_else(|| panic!("{reason}: no advice\n{out}"));
        kinds.push(next.kind());
        if let Reached::Never(words) = reached {
            assert!(next.has_no_line() && next.advice.contains(words), "{next:?}\n{out}");
            break;
        }
        assert!(round < MOST_ROUNDS, "{next:?} does not help\n{options:?}\n{out}");
        println!("{reason}: {}", next.advice);
        next.follow(&mut options);
    }
    kinds
}

#[test]
#[ignore = "kernel: needs root"]
fn whoever_follows_the_advice_reaches_the_target() {
    let part = CASES.len().div_ceil(WORKERS);
    let kinds: BTreeSet<_> = std::thread::scope(|scope| {
        let all = |cases: &'static [Case]| {
            let world = world();
            cases.iter().flat_map(|case| followed(&world, case)).collect::<Vec<_>>()
        };
        let parts: Vec<_> = CASES.chunks(part).map(|part| scope.spawn(move || all(part))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("its cases hold")).collect()
    });
    // Neither is there one that no run has, nor one that other runs have and nobody follows.
    let here = |(reason, shape): &&(&str, &str)| {
        *shape != NO_LINE || !NOT_HERE.iter().any(|(other, _)| other == reason)
    };
    let known = KINDS.iter().filter(here);
    let known: BTreeSet<_> =
        known.map(|(reason, shape)| ((*reason).to_owned(), (*shape).to_owned())).collect();
    assert_eq!(kinds, known);
}

#[test]
fn every_reason_is_followed_and_few_have_no_line() {
    let tried: BTreeSet<_> = CASES.iter().map(|case| case.reason).collect();
    let other: BTreeSet<_> = NOT_HERE.iter().map(|(reason, _)| *reason).collect();
    let all: BTreeSet<_> = egress_common::Reason::ALL.iter().map(|reason| reason.name()).collect();
    let both: BTreeSet<_> = tried.union(&other).copied().collect();
    assert_eq!(both, all);
    assert_eq!(tried.intersection(&other).collect::<Vec<_>>(), [&"rate_limited"]);
    let never = CASES.iter().filter(|case| matches!(case.reached, Reached::Never(_))).count();
    // Other tests' runs have these.
    let untried = |(reason, shape): &&(&str, &str)| *shape == NO_LINE && other.contains(reason);
    let never = never + KINDS.iter().filter(untried).count();
    assert!(never * 10 <= CASES.len(), "{never} of {} have no line", CASES.len());
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_no_refusal_is_not_told() {
    let world = world();
    let resolv = format!(
        "nameserver {NAME_SERVER}\nsearch a.corp.test b.corp.test corp.test other.test\noptions ndots:5\n"
    );
    world.file("resolv.conf", resolv);
    // Libraries complete the name first, and the rule is of the name alone.
    let options = ["--allow", "allowed.test", "--allow", "absent.test"];
    let out = world.egress(&options).run(["curl", "-sS", "http://allowed.test/x"]);
    out.succeeded();
    assert!(!out.complaints().contains("refused"), "{out}");
    let line = "dig +short -t SRV _http._tcp.allowed.test && curl -sS http://allowed.test/x";
    let out = world.egress(&options).shell(line);
    out.succeeded();
    assert!(!out.complaints().contains("refused"), "{out}");
    // A name that does not exist is no refusal either; a refused one is.
    let out = world.egress(&options).run(["dig", "absent.test"]);
    out.said("status: NXDOMAIN");
    assert!(!out.complaints().contains("refused"), "{out}");
    world.asked_for("absent.test");
    let out = world.egress(&options).shell("curl -sS http://refused.test/x");
    out.complained("egress: refused").complained("refused.test.corp.test: not_allowed");
    out.complained("  refused.test: not_allowed");
}
