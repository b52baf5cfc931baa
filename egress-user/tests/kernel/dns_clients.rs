//! Resolvers as programs have them: each finds an allowed name, and is told no at once.
//!
//! Once means: as many queries as it has types to ask for, counted by our own summary, and well before the first of
//! its timers, of which musl's is the shortest with 2.5 s.
use super::support::{PYTHON, RESOLVERS, World, slowness};
use super::{ALLOWED, OTHER, SITE};

/// Seconds; so many times more where all is slow, and there the count of queries says the rest.
const AT_ONCE: u32 = 2;

fn world() -> World {
    let world = World::new().tools(RESOLVERS).site("allowed.test", SITE);
    world.site("refused.test", OTHER).build()
}

/// Claims that the command, with the name put in for `NAME`, finds the allowed name and not the refused one; that
/// is asked for `queries` times.
#[track_caller]
fn resolves_and_fails_at_once(world: &World, command: &[&str], queries: usize) {
    let run = |options: &[&str], name: &str| {
        let words = command.iter().map(|word| word.replace("NAME", name));
        let limit = (AT_ONCE * slowness()).to_string();
        let timed = [PYTHON, "timed.py", &limit].map(str::to_owned);
        world.egress(options).run(timed.into_iter().chain(words))
    };
    let found = run(ALLOWED, "allowed.test");
    found.succeeded().said("exit 0 in time");
    // musl takes REFUSED for no answer, and waits for one until its time is up: what `refusal` is documented for.
    let refusals: &[&str] = match command {
        ["./musl", ..] => &["nxdomain"],
        _ => &["nxdomain", "refused"],
    };
    for refusal in refusals {
        let text = format!(
            "[network.domains]\n\"allowed.test\" = \"allow\"\n[network.dns]\nrefusal = \"{refusal}\"\n"
        );
        let policy = world.file("policy.toml", text).display().to_string();
        let out = run(&["--policy", &policy], "refused.test");
        out.said(" in time");
        assert!(!out.text().contains("exit 0") || command[0] == "dig", "found it\n{out}");
        if *refusal == "nxdomain" {
            let times = if queries == 1 { String::new() } else { format!(" ({queries} times)") };
            out.complained(&format!("refused.test: not_allowed{times}\n"));
        }
    }
    world.never_asked_for("refused.test");
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn glibc_fails_at_once() {
    resolves_and_fails_at_once(&world(), &["getent", "ahosts", "NAME"], 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_static_musl_binary_fails_at_once() {
    let world = world();
    let built = world.direct().run(["musl-gcc", "-static", "-o", "musl", "getaddrinfo.c"]);
    built.succeeded();
    resolves_and_fails_at_once(&world, &["./musl", "NAME"], 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn dig_fails_at_once() {
    resolves_and_fails_at_once(&world(), &["dig", "NAME"], 1);
}

#[test]
#[ignore = "kernel: needs root"]
fn curl_fails_at_once() {
    resolves_and_fails_at_once(&world(), &["curl", "-sSo", "/dev/null", "https://NAME/"], 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn python_fails_at_once() {
    let fetch =
        "import socket, sys; print(socket.getaddrinfo('NAME', 443, type=socket.SOCK_STREAM))";
    resolves_and_fails_at_once(&world(), &[PYTHON, "-c", fetch], 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn node_fails_at_once() {
    // getaddrinfo in a thread, as http does it.
    let lookup = "require('dns').lookup('NAME', (error, found) => { \
                  if (error) { console.log(error.code); process.exit(2) } console.log(found) })";
    resolves_and_fails_at_once(&world(), &["node", "-e", lookup], 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn c_ares_fails_at_once() {
    // Node's own resolver is c-ares.
    let resolve = "require('dns').resolve4('NAME', (error, found) => { \
                   if (error) { console.log(error.code); process.exit(2) } console.log(found) })";
    resolves_and_fails_at_once(&world(), &["node", "-e", resolve], 1);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_resolver_as_gos_fails_at_once() {
    let world = world();
    let resolve = |name| {
        let limit = (AT_ONCE * slowness()).to_string();
        let words = [PYTHON, "timed.py", &limit, PYTHON, "resolvers.py", "go", name];
        world.egress(ALLOWED).run(words)
    };
    resolve("allowed.test").said(&format!("ok {SITE}")).said("exit 0 in time");
    let out = resolve("refused.test");
    out.said("NXDOMAIN").said(" in time").complained("refused.test: not_allowed (2 times)\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn search_domains_and_short_names_work_as_elsewhere() {
    let world = world();
    let server = super::support::NAME_SERVER;
    let text = format!("nameserver {server}\nsearch corp.test svc.corp.test\noptions ndots:5\n");
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
