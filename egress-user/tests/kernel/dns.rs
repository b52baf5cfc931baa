//! Lookups: judged before anyone is asked, whatever server they are sent to.
use super::support::{Answer, NAME_SERVER, PYTHON, World};
use super::{ALLOWED, METADATA, OTHER, PRIVATE, REFUSED, SITE, two_sites};

#[test]
#[ignore = "kernel: needs root"]
fn another_server_is_never_reached() {
    let world = two_sites();
    for server in
        ["@8.8.8.8", "@2001:4860:4860::8888", "@169.254.169.254", "@10.9.8.7", "@127.0.0.53"]
    {
        for transport in ["+notcp", "+tcp"] {
            let dig = |name| {
                world.egress(ALLOWED).run(["dig", "+tries=1", "+time=20", transport, server, name])
            };
            dig("refused.test").succeeded().said("status: NXDOMAIN");
            dig("allowed.test").succeeded().said(SITE);
        }
    }
    world.never_asked_for("refused.test");
    world.arrived().besides_lookups().none();
    assert!(world.queries().iter().all(|query| query.server.to_string() == NAME_SERVER), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_refused_name_carries_nothing_out() {
    let world = two_sites();
    for kind in ["A", "AAAA", "TXT", "MX", "NULL", "ANY", "HTTPS", "SRV"] {
        let out = world.egress(ALLOWED).run([
            "dig",
            "+notcp",
            "+tries=1",
            "+time=20",
            "c2VjcmV0.refused.test",
            kind,
        ]);
        out.succeeded();
        assert!(out.text().contains("NXDOMAIN") || out.text().contains("REFUSED"), "{kind}\n{out}");
    }
    world.egress(ALLOWED).run(["dig", "+tries=1", "-x", OTHER]).succeeded();
    world.never_asked_for("refused.test");
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn other_types_of_an_allowed_name_are_empty() {
    let world = World::new()
        .answers("text.test", Answer::Text("word".into()))
        .site("allowed.test", SITE)
        .build();
    let out = world.egress(&["--allow", "text.test"]).run(["dig", "text.test", "TXT"]);
    out.succeeded().said("status: NOERROR").said("ANSWER: 0");
    assert!(!world.queries().iter().any(|query| query.kind == "TXT"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn failures_of_the_server_open_nothing() {
    let world = World::new().answers("broken.test", Answer::Failure).build();
    let options = &["--allow", "broken.test", "--allow", "absent.test"];
    world.egress(options).run(["dig", "+tries=1", "broken.test"]).said("status: SERVFAIL");
    world.egress(options).run(["dig", "+tries=1", "absent.test"]).said("status: NXDOMAIN");
    world.asked_for("absent.test");
}

/// Claims that an allowed `name` with these addresses is neither resolved nor reached.
#[track_caller]
fn stays_closed(addresses: &[&str]) {
    let world = World::new().record("inside.test", addresses).build();
    let options = &["--allow", "inside.test"];
    let connects: Vec<_> = addresses
        .iter()
        .map(|address| format!("connect {address} {}", world.host_port()))
        .collect();
    let words: Vec<_> =
        ["resolve inside.test"].into_iter().chain(connects.iter().map(String::as_str)).collect();
    let out = world.egress(options).probes(&words);
    assert!(!out.probed("resolve inside.test").starts_with("ok"), "{addresses:?}\n{out}");
    for connect in &connects {
        out.probe(connect, REFUSED);
    }
    world.egress(options).run(["curl", "-sSk", "https://inside.test/"]).failed();
    world.egress(options).run(["dig", "+short", "inside.test"]).printed("");
    world.asked_for("inside.test");
    world.arrived().besides_lookups().none();
    assert_eq!(world.host_contacts(), [], "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn an_allowed_name_with_a_private_address_stays_closed() {
    stays_closed(&[PRIVATE]);
    stays_closed(&["fd00:9::7"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn an_allowed_name_with_the_metadata_address_stays_closed() {
    stays_closed(&[METADATA]);
}

#[test]
#[ignore = "kernel: needs root"]
fn an_allowed_name_with_a_loopback_address_stays_closed() {
    stays_closed(&["127.0.0.1"]);
    stays_closed(&["::1"]);
    stays_closed(&["0.0.0.0"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn an_allowed_name_with_mixed_addresses_stays_closed() {
    stays_closed(&[SITE, PRIVATE]);
    stays_closed(&[PRIVATE, SITE]);
    stays_closed(&[SITE, "fd00:9::7"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn an_allowed_name_with_a_wrapped_address_stays_closed() {
    stays_closed(&["64:ff9b::10.9.8.7"]);
    stays_closed(&["::ffff:10.9.8.7"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn an_alias_counts_only_from_the_question() {
    let world = World::new()
        .answers("alias.test", Answer::Alias("target.test".into()))
        .site("target.test", SITE)
        .build();
    let alias = &["--allow", "alias.test"];
    world
        .egress(alias)
        .run(["curl", "-sS", "https://alias.test/"])
        .succeeded()
        .said("host=alias.test");
    world.egress(alias).run(["dig", "target.test"]).said("status: NXDOMAIN");
    let denied = &["--allow", "alias.test", "--deny", "target.test"];
    world.egress(denied).run(["curl", "-sS", "https://alias.test/"]).failed();
}

#[test]
#[ignore = "kernel: needs root"]
fn the_pin_is_there_before_the_answer() {
    let world = two_sites();
    // Asks by hand and connects in the next instruction, over and over.
    let race = "import socket, sys; sys.argv[1:] = ['musl', 'allowed.test']; exec(open('resolvers.py').read())\n\
        for _ in range(50):\n  \
          address = next(a for _, found in musl('allowed.test', '93.184.216.53') for a in found)\n  \
          socket.create_connection((address, 22), 20).close()\n\
        print('done')";
    world.egress(ALLOWED).run([PYTHON, "-c", race]).succeeded().said("done");
}
