//! Connections to addresses whose pins have ended: the name is looked up again, and what it gives is what counts.
use super::support::{Answer, Finished, PYTHON, Policy, World, slowness};
use super::{OTHER, PRIVATE, SITE};

/// Functions that say what comes of a connection, and wait until a pin is over: what ends one is time.
fn program(life: u32, lines: &str) -> String {
    format!(
        "import errno, socket, subprocess, threading, time\n\
         def greeting(address, port=22):\n  \
           try:\n    \
             with socket.create_connection((address, port), 90) as s: got = s.recv(100)\n    \
             return 'greeted' if got else 'closed'\n  \
           except OSError as e: return errno.errorcode[e.errno]\n\
         def over(): time.sleep({life} + 0.5)\n\
         socket.getaddrinfo('allowed.test', 22)\n{lines}"
    )
}

/// Every pin lives so many seconds, whatever the name server says.
fn policy(world: &World, life: u32) -> Policy {
    world.policy(format!(
        "[network.domains]\n\"allowed.test\" = \"allow\"\n\"other.test\" = \"allow\"\n\
         [network.dns]\ntimeout = \"2s\"\nmin_ttl = \"{life}s\"\nmax_ttl = \"{life}s\"\n"
    ))
}

fn run<'w>(world: &'w World, life: u32, lines: &str) -> Finished<'w> {
    let policy = policy(world, life);
    let out = world.egress(&policy.options()).run([PYTHON, "-c", &program(life, lines)]);
    out.succeeded();
    out
}

/// How often a name server was asked for the addresses of IPv4 of the name.
fn lookups(world: &World) -> usize {
    let queries = world.queries();
    queries.iter().filter(|query| query.name == "allowed.test" && query.kind == "A").count()
}

#[test]
#[ignore = "kernel: needs root"]
fn a_connection_goes_on_while_the_name_has_the_address() {
    let world = World::new().site("allowed.test", SITE).ttl(0).build();
    let lines = format!(
        "over()\nprint(greeting('{SITE}'), flush=True)\nover()\n\
         subprocess.run(['curl', '-sS', '--resolve', 'allowed.test:443:{SITE}', 'https://allowed.test/kept'])"
    );
    let out = run(&world, slowness(), &lines);
    assert!(out.text().starts_with("greeted\n"), "{out}");
    out.said("path=/kept");
    assert_eq!(lookups(&world), 3, "once by the program, once for each connection\n{out}");
    assert!(!out.complaints().contains("refused"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn so_it_does_when_the_pin_was_swept_out_long_ago() {
    let world = World::new().site("allowed.test", SITE).site("other.test", OTHER).ttl(0).build();
    // Expired pins are swept out with a later lookup, ten seconds after the last time.
    let lines = format!(
        "over()\ntime.sleep(11)\nsocket.getaddrinfo('other.test', 22)\nprint(greeting('{SITE}'))"
    );
    run(&world, slowness(), &lines).printed("greeted\n");
    assert_eq!(lookups(&world), 2);
}

#[test]
#[ignore = "kernel: needs root"]
fn an_address_that_the_name_has_no_longer_is_refused() {
    let world = World::new()
        .flips("allowed.test", &[&[SITE], &[OTHER]])
        .site("other.test", OTHER)
        .ttl(0)
        .build();
    let lines = format!("over()\nprint(greeting('{SITE}'))\nprint(greeting('{OTHER}'))");
    let out = run(&world, slowness(), &lines);
    assert!(out.text().ends_with("\ngreeted\n"), "the name's new address is open\n{out}");
    assert!(!out.text().starts_with("greeted"), "{out}");
    out.complained(&format!(
        "tcp {SITE}:22 (expired pin of allowed.test, which does not have this address any more): not_pinned"
    ));
    world.arrived_at(SITE).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_turns_private_meanwhile_opens_nothing() {
    let world = World::new().flips("allowed.test", &[&[SITE], &[PRIVATE]]).ttl(0).build();
    let lines = format!("over()\nfor at in ('{SITE}', '{PRIVATE}'): print(greeting(at))");
    let out = run(&world, slowness(), &lines);
    assert!(!out.text().contains("greeted"), "{out}");
    out.complained("allowed.test: not_allowed_local");
    world.arrived_at(SITE).none();
    world.arrived_at(PRIVATE).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_server_that_is_silent_by_then_keeps_nothing_waiting() {
    let once = Answer::Once(vec![SITE.parse().expect("an address")]);
    let world = World::new().answers("allowed.test", once).ttl(0).build();
    let limit = 10 + 4 * slowness();
    let lines = format!(
        "over()\nbegan = time.monotonic()\nprint(greeting('{SITE}') == 'greeted')\n\
         print(time.monotonic() - began < {limit})"
    );
    let out = run(&world, slowness(), &lines);
    out.printed("False\nTrue\n");
    out.complained("expired pin of allowed.test, which could not be looked up again): not_pinned");
    world.arrived_at(SITE).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_flood_of_connections_is_a_few_lookups() {
    let world = World::new().flips("allowed.test", &[&[SITE], &[OTHER]]).ttl(0).build();
    let lines = format!(
        "over()\nbegan, said = time.monotonic(), []\n\
         threads = [threading.Thread(target=lambda: said.append(greeting('{SITE}'))) for _ in range(200)]\n\
         for t in threads: t.start()\n\
         for t in threads: t.join()\n\
         print(len(said), 'greeted' in said)\nprint(int(time.monotonic() - began))"
    );
    let out = run(&world, slowness(), &lines);
    let text = out.text();
    let seconds = text.strip_prefix("200 False\n").unwrap_or_else(|| panic!("{out}"));
    let seconds: usize = seconds.trim().parse().expect("seconds");
    // One each half second, however many wait.
    let most = 1 + 2 * (seconds + 1);
    assert!((2..=most).contains(&lookups(&world)), "{} lookups\n{out}", lookups(&world));
    world.arrived_at(SITE).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_port_that_the_name_does_not_open_asks_nobody() {
    let world = World::new().site("allowed.test", SITE).ttl(0).build();
    let life = slowness();
    let policy = world.policy(format!(
        "[network.domains]\n\"allowed.test\" = {{ action = \"allow\", ports = [22] }}\n\
         [network.dns]\nmin_ttl = \"{life}s\"\nmax_ttl = \"{life}s\"\n"
    ));
    let lines = format!("over()\nprint(greeting('{SITE}', 25))");
    let out = world.egress(&policy.options()).run([PYTHON, "-c", &program(life, &lines)]);
    out.printed("EPERM\n");
    assert_eq!(lookups(&world), 1);
    world.arrived_at(SITE).none();
}
