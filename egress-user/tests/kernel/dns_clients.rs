//! Resolvers as programs have them: each finds an allowed name, and is told no at once.
//!
//! Once means: as many queries as it has types to ask for, counted by our own summary, as each of them asks again
//! when one of its timers fires. And it gives up without waiting for the last of them: the timers are made so long
//! here that a wait cannot be taken for a slow start, which the same command without a filter shows.
use std::time::Duration;

use super::support::{Answer, Client, Finished, NAME_SERVER, PYTHON, RESOLVERS, World, slowness};
use super::{ALLOWED, OTHER, SITE};

/// Seconds that a resolver waits before it asks again: the most that glibc knows. musl asks again after half of it,
/// c-ares after some six seconds whatever is said, and then twice more at least.
const TIMER: u32 = 30;
/// How much longer than the same command without a filter it may take. Less than what any of them waits for answers
/// that do not come: `without_an_answer_each_of_them_waits`.
const AT_ONCE: Duration = Duration::from_secs(10);
/// The longest that anything takes here that is to be measured.
const MEASURED: Duration = Duration::from_secs(25);

const GLIBC: &[&str] = &["getent", "ahosts", "NAME"];
const MUSL: &[&str] = &["./musl", "NAME"];
const DIG: &[&str] = &["dig", "+time=30", "NAME"];
const CURL: &[&str] = &["curl", "-sSo", "/dev/null", "https://NAME/"];
const PYTHONS: &[&str] = &[
    PYTHON,
    "-c",
    "import socket, sys; print(socket.getaddrinfo('NAME', 443, type=socket.SOCK_STREAM))",
];
/// getaddrinfo in a thread, as http does it.
const NODE: &[&str] = &[
    "node",
    "-e",
    "require('dns').lookup('NAME', (error, found) => { \
     if (error) { console.log(error.code); process.exit(2) } console.log(found) })",
];
/// Node's own resolver is c-ares.
const C_ARES: &[&str] = &[
    "node",
    "-e",
    "require('dns').resolve4('NAME', (error, found) => { \
     if (error) { console.log(error.code); process.exit(2) } console.log(found) })",
];
const GO: &[&str] = &[PYTHON, "resolvers.py", "go", "NAME"];

fn world() -> World {
    let world = World::new().tools(RESOLVERS).site("allowed.test", SITE);
    let world = world.site("refused.test", OTHER).answers("silent.test", Answer::Silence).build();
    let text = format!("nameserver {NAME_SERVER}\noptions timeout:{TIMER} attempts:2\n");
    world.file("resolv.conf", text);
    world
}

fn with_musl(world: World) -> World {
    world.direct().run(["musl-gcc", "-static", "-o", "musl", "getaddrinfo.c"]).succeeded();
    world
}

/// Runs the command with `name` put in for `NAME`; ends it where it takes longer than `limit`.
#[track_caller]
fn timed<'w>(client: Client<'w>, command: &[&str], name: &str, limit: Duration) -> Finished<'w> {
    let words = command.iter().map(|word| word.replace("NAME", name));
    let limit = limit.as_secs().to_string();
    let timer = [PYTHON, "timed.py", &limit].map(str::to_owned);
    client.env("PROBE_DEADLINE", &TIMER.to_string()).run(timer.into_iter().chain(words))
}

/// The time that `timed.py` measured.
#[track_caller]
fn took(out: &Finished<'_>) -> Duration {
    let text = out.text();
    let seconds = text.lines().last().and_then(|line| {
        line.strip_prefix("exit ")?.split_once(" after ")?.1.strip_suffix(" s")?.parse().ok()
    });
    Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("no time measured\n{out}")))
}

/// Claims that the command finds the allowed name and not the refused one. For that it asks once for each of
/// `types`; `asked_again` times where it takes REFUSED for a reason to ask again, which no timer is.
#[track_caller]
fn resolves_and_fails_at_once(world: &World, command: &[&str], types: usize, asked_again: usize) {
    let limit = MEASURED * slowness();
    let unfiltered = timed(world.direct(), command, "allowed.test", limit);
    unfiltered.said("exit 0 ");
    let within = took(&unfiltered) + AT_ONCE;
    let found = timed(world.egress(ALLOWED), command, "allowed.test", limit);
    found.succeeded().said("exit 0 ");
    assert!(took(&found) < within, "took {:?} to find it, over {within:?}\n{found}", took(&found));
    for (refusal, queries) in [("nxdomain", types), ("refused", types * asked_again)] {
        // musl takes REFUSED for no answer, and waits for one until its time is up: what `refusal` is documented for.
        if queries == 0 {
            continue;
        }
        let text = format!(
            "[network.domains]\n\"allowed.test\" = \"allow\"\n[network.dns]\nrefusal = \"{refusal}\"\n"
        );
        let policy = world.policy(text);
        let out = timed(world.egress(&policy.options()), command, "refused.test", limit);
        // dig reports whatever the answer is.
        let is_told = out.text().contains(&refusal.to_ascii_uppercase());
        assert!(is_told || !out.text().contains("exit 0"), "found it\n{out}");
        let times = if queries == 1 { String::new() } else { format!(" ({queries} times)") };
        out.complained(&format!("refused.test: not_allowed{times}\n"));
        assert!(took(&out) < within, "took {:?}, over {within:?}\n{out}", took(&out));
    }
    world.never_asked_for("refused.test");
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn without_an_answer_each_of_them_waits() {
    let world = with_musl(world());
    let wait = AT_ONCE + Duration::from_secs(4);
    let clients = [GLIBC, MUSL, DIG, CURL, PYTHONS, NODE, C_ARES, GO];
    std::thread::scope(|scope| {
        let waits = clients.map(|command| {
            let client = world.direct();
            (command, scope.spawn(move || timed(client, command, "silent.test", wait).text()))
        });
        for (command, said) in waits {
            let said = said.join().expect("a client that waits");
            assert!(said.contains("still waits"), "{command:?} said {said}\n{world}");
        }
    });
    world.asked_for("silent.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn glibc_fails_at_once() {
    resolves_and_fails_at_once(&world(), GLIBC, 2, 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_static_musl_binary_fails_at_once() {
    resolves_and_fails_at_once(&with_musl(world()), MUSL, 2, 0);
}

#[test]
#[ignore = "kernel: needs root"]
fn dig_fails_at_once() {
    resolves_and_fails_at_once(&world(), DIG, 1, 1);
}

#[test]
#[ignore = "kernel: needs root"]
fn curl_fails_at_once() {
    resolves_and_fails_at_once(&world(), CURL, 2, 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn python_fails_at_once() {
    resolves_and_fails_at_once(&world(), PYTHONS, 2, 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn node_fails_at_once() {
    resolves_and_fails_at_once(&world(), NODE, 2, 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn c_ares_fails_at_once() {
    resolves_and_fails_at_once(&world(), C_ARES, 1, 1);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_resolver_as_gos_fails_at_once() {
    resolves_and_fails_at_once(&world(), GO, 2, 1);
}

#[test]
#[ignore = "kernel: needs root"]
fn search_domains_and_short_names_work_as_elsewhere() {
    let world = world();
    let text =
        format!("nameserver {NAME_SERVER}\nsearch corp.test svc.corp.test\noptions ndots:5\n");
    world.file("resolv.conf", text);
    let found = world.egress(ALLOWED).run(["getent", "ahostsv4", "allowed.test"]);
    found.succeeded().said(SITE);
    // A short name is found below the search domain that a rule allows.
    let allowed = &["--allow", "allowed.corp.test"];
    let out = world.egress(allowed).run(["getent", "ahostsv4", "allowed"]);
    out.exited(2);
    world.asked_for("allowed.corp.test");
    let out = world.egress(ALLOWED).run(["getent", "ahostsv4", "intranet"]);
    out.exited(2).complained("intranet: not_allowed");
    for name in ["allowed.test.corp.test", "intranet", "intranet.corp.test", "localhost"] {
        world.never_asked_for(name);
    }
}
