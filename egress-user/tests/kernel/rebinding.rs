//! Names whose addresses change or fail: only what this sandbox's own lookups gave is ever dialled.
use super::support::{PYTHON, SILENT, World, slowness};
use super::{ALLOWED, METADATA, OTHER, PRIVATE, REFUSED, SITE, two_sites};

/// The proxy tries other addresses; a direct connection is the program's own.
const BY_PROXY: &str = "{ action = \"allow\", via = \"proxy\" }";

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_turns_private_keeps_to_its_pin() {
    for inside in [PRIVATE, METADATA] {
        let world = World::new().flips("flip.test", &[&[SITE], &[inside]]).ttl(0).build();
        let (pinned, moved) =
            (format!("tls {SITE} 443 flip.test"), format!("connect {inside} 443"));
        let fetch = format!(
            "curl -sS https://flip.test/1; curl -sS https://flip.test/2; curl -sS https://flip.test/3; \
             {PYTHON} probe.py '{pinned}' '{moved}'"
        );
        let out = world.egress(&["--allow", "flip.test"]).shell(&fetch);
        out.said("path=/1").probe(&moved, REFUSED);
        assert!(
            out.probed(&pinned).starts_with("ok"),
            "the pin of the first lookup is gone\n{out}"
        );
        world.arrived_at(inside).none();
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_starts_private_opens_only_what_it_turns_to() {
    let world = World::new().flips("flip.test", &[&[PRIVATE], &[SITE]]).ttl(0).build();
    let private = format!("connect {PRIVATE} 443");
    let out = world.egress(&["--allow", "flip.test"]).probes(&[
        "resolve flip.test",
        &private,
        "resolve flip.test",
    ]);
    out.probe(&private, REFUSED);
    world.arrived_at(PRIVATE).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn an_address_that_no_lookup_gave_is_refused() {
    // The second site is where the name will point next, but this sandbox has not asked again.
    let world = World::new().flips("flip.test", &[&[SITE], &[OTHER]]).build();
    let (pinned, other) = (format!("connect {SITE} 443"), format!("connect {OTHER} 443"));
    let out =
        world.egress(&["--allow", "flip.test"]).probes(&["resolve flip.test", &pinned, &other]);
    out.probe(&pinned, &["ok"]).probe(&other, REFUSED);
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn one_sandboxs_lookups_open_nothing_for_another() {
    let world = two_sites();
    let connect = format!("connect {SITE} 443");
    let first = world.egress(ALLOWED).idle_stdin().start([
        "sh",
        "-c",
        "getent hosts allowed.test; echo looked up; read x",
    ]);
    first.says("looked up");
    world.egress(ALLOWED).probes(&[&connect]).probe(&connect, REFUSED);
    first.finish();
    world.arrived_at(SITE).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn another_pin_is_tried_when_the_asked_one_resets() {
    let dead = "93.184.216.40";
    let world = World::new().record("multi.test", &[dead, SITE]).closed(dead).build();
    let asked = format!("tls {dead} 443 multi.test");
    let policy = world.domains(&[("multi.test", BY_PROXY)]);
    // The program hears of it, and tries the next one itself.
    let out = world.egress(&policy.options()).probes(&["resolve multi.test", &asked]);
    out.probe(&asked, &["ECONNREFUSED"]);
    world.arrived_at(SITE).none();
    // One whose connect was not held does not.
    let out = world.unheld(&policy.options()).probes(&["resolve multi.test", &asked]);
    out.probe(&asked, &["ok host=multi.test sni=multi.test path=/probe"]);
    world.arrived_at(dead).some();
}

#[test]
#[ignore = "kernel: needs root"]
fn another_pin_is_tried_when_the_asked_one_is_silent() {
    let world = World::new().record("multi.test", &[SILENT, SITE]).build();
    let asked = format!("tls {SILENT} 443 multi.test");
    let policy = world.domains(&[("multi.test", BY_PROXY)]);
    let egress = world.unheld(&policy.options()).env("PROBE_DEADLINE", "25");
    let out = egress.probes(&["resolve multi.test", &asked]);
    assert!(out.probed(&asked).starts_with("ok host=multi.test"), "{out}");
    // Beside it, not after it: the kernel asks the silent one again after a second, then after two more.
    let asked = world.arrived_at(SILENT).count();
    assert!((1..=2).contains(&asked), "asked {asked} times\n{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn where_several_names_share_a_silent_address_only_pins_of_the_named_one_are_tried() {
    let addresses = [SILENT, SITE];
    let beside = [SILENT, OTHER];
    let world =
        World::new().record("multi.test", &addresses).record("beside.test", &beside).build();
    let policy = world.domains(&[("multi.test", BY_PROXY), ("beside.test", BY_PROXY)]);
    let asked = format!("tls {SILENT} 443 multi.test");
    let egress = world.unheld(&policy.options()).env("PROBE_DEADLINE", "25");
    let out = egress.probes(&["resolve multi.test", "resolve beside.test", &asked]);
    assert!(out.probed(&asked).starts_with("ok host=multi.test"), "{out}");
    world.arrived_at(SITE).some();
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_whose_only_address_is_dead_fails_as_such() {
    let dead = "93.184.216.40";
    let world = World::new().record("dead.test", &[dead]).closed(dead).build();
    let out = world.egress(&["--allow", "dead.test"]).run([
        "curl",
        "-sS",
        "--max-time",
        "20",
        "https://dead.test/",
    ]);
    let timed_out = 28;
    assert!(out.status.code().is_some_and(|code| code != 0 && code != timed_out), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_pin_outlives_its_time_while_a_connection_lives() {
    // It moves, so that the address is not looked up anew for its next connection.
    let world = World::new().flips("allowed.test", &[&[SITE], &[OTHER]]).ttl(0).build();
    let ttl = 3 * slowness();
    let text = format!(
        "[network.domains]\n\"allowed.test\" = {{ action = \"allow\", via = \"proxy\" }}\n\
         [network.dns]\nmin_ttl = \"{ttl}s\"\nmax_ttl = \"{ttl}s\"\n"
    );
    let policy = world.policy(text);
    // The first connection is kept; another name server answer is never asked for. What ends a pin
    // is time, so this waits for it, on another address that nothing holds.
    let program = format!(
        "import errno, socket, time\n\
         def open_at(address):\n  \
           try: s = socket.create_connection((address, 22), 60); s.recv(3); return s\n  \
           except OSError as e: return errno.errorcode[e.errno]\n\
         def until_refused(address):\n  \
           for _ in range(1000):\n    \
             s = open_at(address)\n    \
             if isinstance(s, str): return s\n    \
             s.close(); time.sleep(0.1)\n  \
           return 'still open'\n\
         socket.getaddrinfo('allowed.test', 22)\n\
         kept = open_at('{SITE}')\n\
         time.sleep({ttl} + 0.5)\n\
         print('while one lives:', 'refused' if isinstance(open_at('{SITE}'), str) else 'open')\n\
         kept.close()\n\
         print('after:', until_refused('{SITE}'))"
    );
    world
        .egress(&policy.options())
        .run([PYTHON, "-c", &program])
        .succeeded()
        .printed("while one lives: open\nafter: ECONNRESET\n")
        .complained("expired pin of allowed.test");
}
