//! One verdict on both ways: what the kernel lets out, the proxy lets out, and a refusal has one reason.
use std::collections::BTreeSet;

use super::support::{PYTHON, World, slowness};
use super::{OTHER, SITE};

/// What was refused, by reason, and whether anything passed.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    passed: bool,
    reasons: BTreeSet<String>,
}

/// Runs `how` twice: a hello that only the proxy reads passes at the second attempt.
fn verdict(world: &World, policy: &str, port: u16, name: &str, how: &str) -> (Verdict, bool) {
    let policy = world.policy(policy);
    let lookups: String = ["allowed.test", "beside.test", "elsewhere.test", "denied.test"]
        .iter()
        .map(|name| format!("getent ahosts {name} > found; "))
        .collect();
    let line = format!("{lookups} {PYTHON} hellos.py {SITE} {port} {name} {how} {how}");
    let out = world.egress(&policy.options()).shell(&line);
    let text = out.succeeded().text();
    let passed = text.lines().any(|line| line.ends_with(" answer") || line.ends_with(" ok"));
    let direct = text.lines().any(|line| line.contains("=> direct"));
    // Denied lookups are refused alike, and beside the point.
    let complaints = out.complaints();
    let reasons = complaints
        .lines()
        .filter(|line| line.starts_with("  ") && line.contains(SITE))
        .filter_map(|line| line.rsplit_once(": "))
        .map(|(_, reason)| reason.split([' ', ',']).next().unwrap_or_default().to_owned())
        .collect();
    (Verdict { passed, reasons }, direct)
}

fn world() -> World {
    World::new()
        .site("allowed.test", SITE)
        .site("elsewhere.test", OTHER)
        .record("beside.test", &[SITE])
        .record("denied.test", &[SITE])
        .record("shared.test", &[SITE])
        .build()
}

/// Compares both ways for every policy, name and form; `PATH` in a policy stands for the way.
#[track_caller]
fn agree(policies: &[&str], port: u16, tries: &[(&str, &str)]) {
    let world = world();
    let mut directs = 0;
    for policy in policies {
        for &(name, how) in tries {
            let by = |path| verdict(&world, &policy.replace("PATH", path), port, name, how);
            let (kernel, direct) = by("via = \"kernel\"");
            let (proxy, _) = by("via = \"proxy\"");
            assert_eq!(kernel, proxy, "{name} {how} under {policy}");
            directs += usize::from(direct);
        }
    }
    // Or nothing was compared.
    assert!(directs > 0);
}

#[test]
#[ignore = "kernel: needs root"]
fn names_are_judged_alike() {
    agree(
        &["[network.domains]\n\
           \"allowed.test\" = { action = \"allow\", PATH }\n\
           \"elsewhere.test\" = { action = \"allow\", PATH }\n\
           \"denied.test\" = \"deny\"\n"],
        443,
        &[
            ("allowed.test", "whole"),
            ("shared.test", "whole"),
            ("denied.test", "whole"),
            ("elsewhere.test", "whole"),
            ("93.184.216.34", "whole"),
            ("-", "whole"),
            ("allowed.test", "grease"),
            ("shared.test", "grease"),
            ("allowed.test", "text"),
        ],
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn options_are_judged_alike() {
    agree(
        &["[network]\nech = \"allow\"\n[network.domains]\n\
           \"allowed.test\" = { action = \"allow\", PATH }\n"],
        443,
        &[("allowed.test", "grease"), ("shared.test", "grease")],
    );
    agree(
        &["[network.domains]\n\
           \"allowed.test\" = { action = \"allow\", protocol = \"any\", PATH }\n\
           \"beside.test\" = { action = \"allow\", PATH }\n"],
        443,
        &[("beside.test", "text"), ("beside.test", "whole"), ("-", "whole")],
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn ports_are_judged_alike() {
    agree(
        &["[network.domains]\n\
           \"allowed.test\" = { action = \"allow\", ports = [443], PATH }\n\
           \"beside.test\" = { action = \"allow\", ports = [8443], PATH }\n"],
        8443,
        &[("allowed.test", "whole"), ("beside.test", "whole")],
    );
    agree(
        &["[network.domains]\n\
           \"allowed.test\" = { action = \"allow\", ports = [22], protocol = \"any\", PATH }\n\
           \"beside.test\" = { action = \"allow\", ports = [22], PATH }\n"],
        22,
        &[("allowed.test", "text")],
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn ech_is_judged_by_the_rule_of_the_name_that_is_read() {
    let world = world();
    for policy in [
        "[network.domains]\n\
         \"allowed.test\" = { action = \"allow\", ech = \"allow\" }\n\"beside.test\" = \"allow\"\n",
        "[network]\nech = \"allow\"\n[network.domains]\n\
         \"allowed.test\" = \"allow\"\n\"beside.test\" = { action = \"allow\", ech = \"refuse\" }\n",
    ] {
        let told = |name, how| verdict(&world, policy, 443, name, how);
        let passed = Verdict { passed: true, reasons: BTreeSet::new() };
        // Another name of the address may be asked for the same: all of them take the proxy.
        assert_eq!(told("allowed.test", "grease"), (passed, false), "{policy}");
        let before = world.arrived_at(SITE).on_port(443).payload();
        let refused = Verdict { passed: false, reasons: ["ech_refused".to_owned()].into() };
        assert_eq!(told("beside.test", "grease").0, refused, "{policy}");
        assert_eq!(world.arrived_at(SITE).on_port(443).payload(), before, "{world}");
        assert!(told("beside.test", "whole").0.passed, "{policy}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn requests_on_a_port_of_tls_are_the_proxys_to_judge() {
    let world = world();
    let way = |how: &str| {
        let line = format!(
            "getent ahosts allowed.test > found; {PYTHON} hellos.py {SITE} 443 allowed.test {how} {how}"
        );
        world.egress(&["--allow", "allowed.test"]).shell(&line)
    };
    // A server of TLS answers with an alert.
    let out = way("http");
    out.printed("http => direct aborted\nhttp => proxy ok\n");
    out.complained("no TLS hello to tcp 93.184.216.34:443 (the next one takes the proxy)");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_whose_pin_is_over_is_not_named_where_another_still_is() {
    let ttl = 3 * slowness();
    let world =
        World::new().site("allowed.test", SITE).record("beside.test", &[SITE]).ttl(ttl).build();
    let policy = format!(
        "[network.dns]\nmax_ttl = \"{ttl}s\"\n[network.domains]\n\
         \"allowed.test\" = \"allow\"\n\"beside.test\" = \"allow\"\n"
    );
    let policy = world.policy(policy);
    // The one connection lives on; the other name is tried until its pin is over.
    let line = format!(
        "exec 3<&0; {PYTHON} hellos.py {SITE} 443 beside.test lookup=allowed.test lookup=beside.test keep go <&3 > kept & \
         until grep -q ready kept; do sleep 0.1; done; \
         while {PYTHON} hellos.py {SITE} 443 allowed.test whole > last; grep -q answer last; do sleep 0.2; done; \
         head -n 1 kept; cat last; echo over; wait"
    );
    let running = world.egress(&policy.options()).idle_stdin().start(["sh", "-c", &line]);
    running.says("over");
    let out = running.finish();
    out.printed("keep => direct answer\nwhole => direct aborted\nover\n")
        .complained("sni_mismatch");
}
