//! The proxy's verdicts, and what is told of them, where a program tries to be clever or a library is.
use super::support::{Answer, EGRESS, PYTHON, World};
use super::{ALLOWED, OTHER, SITE, THIRD, two_sites};

/// Sends the first byte of a message, waits longer than the proxy does for text protocols, and sends the rest.
const PAUSED: &str = "import socket, ssl, sys, time\n\
    address, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]\n\
    context = ssl._create_unverified_context()\n\
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()\n\
    hello = context.wrap_bio(inward, outward, server_hostname='shared.test')\n\
    try: hello.do_handshake()\n\
    except ssl.SSLWantReadError: pass\n\
    message = outward.read() if kind == 'tls' else b'GET / HTTP/1.1\\r\\nHost: shared.test\\r\\n\\r\\n'\n\
    socket.getaddrinfo('allowed.test', port, socket.AF_INET)\n\
    with socket.create_connection((address, port), 60) as s:\n  \
      s.sendall(message[:1]); time.sleep(2.5)\n  \
      try: s.sendall(message[1:]); print(s.recv(100)[9:12].decode() or 'closed')\n  \
      except ConnectionError: print('reset')";

#[test]
#[ignore = "kernel: needs root"]
fn a_pause_takes_nothing_past_the_check() {
    let world = two_sites();
    // The port of no web protocol: there a client that pauses may speak any text protocol.
    let paused = |kind| world.egress(ALLOWED).run([PYTHON, "-c", PAUSED, SITE, "7000", kind]);
    paused("tls").printed("reset\n").complained("tls shared.test at");
    world.arrived_at(SITE).on_port(7000).no_payload();
    paused("http").printed("403\n").complained("http shared.test at");
    // The one byte that any protocol may begin with.
    assert_eq!(world.arrived_at(SITE).on_port(7000).payload(), 1, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn rules_over_the_addresses_of_the_probe_are_rules_like_others() {
    let world = two_sites();
    for options in [
        &["--allow", "192.0.2.0/24", "--allow", "allowed.test"][..],
        &["--allow", "0.0.0.0/0", "--allow", "allowed.test"],
        &["--deny", "192.0.2.0/24", "--allow", "allowed.test"],
    ] {
        world.egress(options).run(["curl", "-sS", "http://allowed.test/"]).succeeded();
    }
    let text = "[network]\nallow_local_binding = true\n[network.domains]\n\"*\" = \"allow\"\n";
    let policy = world.policy(text);
    world.egress(&policy.options()).run(["curl", "-sS", "http://allowed.test/"]).succeeded();
    // Denies of whole families hold from the first instruction of the command on.
    let connect = format!("connect {OTHER} 22");
    let options = &["--allow", "*", "--deny", "0.0.0.0/0"];
    world.egress(options).probes(&[&connect]).probe(&connect, &["EPERM"]);
    world.arrived_at(OTHER).on_port(22).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn how_libraries_sort_addresses_is_no_news() {
    let world =
        World::new().site("several.test", SITE).record("several.test", &[SITE, OTHER]).build();
    let several = &["--allow", "several.test"];
    let out = world.egress(several).run(["curl", "-sS", "http://several.test/"]);
    assert!(!out.succeeded().complaints().contains("refused"), "{out}");
    world.egress(several).run(["getent", "ahosts", "several.test"]).succeeded();
    // A program that really wants datagrams hears of it.
    let out = world.egress(several).run([
        PYTHON,
        "-c",
        "import socket; socket.getaddrinfo('several.test', 0, type=socket.SOCK_STREAM)\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((__import__('sys').argv[1], 123))\n\
         try: s.send(b'x')\n\
         except PermissionError: print('EPERM')",
        SITE,
    ]);
    out.printed("EPERM\n").complained(&format!("udp {SITE}:123: protocol_not_allowed"));
}

#[test]
#[ignore = "kernel: needs root"]
fn the_line_that_would_allow_does() {
    let world = two_sites();
    let opaque = "import socket, sys; a = socket.getaddrinfo('allowed.test', 22, socket.AF_INET)[0][4][0]\n\
        s = socket.create_connection((a, 443)); s.sendall(b'SSH-2.0-x\\r\\n')\n\
        try: print(len(s.recv(100)) > 0)\n\
        except ConnectionError: print('reset')";
    let line = "\"allowed.test\" = { action = \"allow\", protocol = \"any\" }";
    world
        .egress(ALLOWED)
        .run([PYTHON, "-c", opaque])
        .printed("reset\n")
        .complained(&format!("instead of allowed.test (--allow), in [network.domains]: {line}"));
    let policy = world.policy(format!("[network.domains]\n{line}\n"));
    // The server of TLS answers with an alert.
    world.egress(&policy.options()).run([PYTHON, "-c", opaque]).printed("True\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_refusal_is_told_even_when_the_program_ends_with_it() {
    let world = two_sites();
    for _ in 0..10 {
        let host = "Host: shared.test";
        let out = world.egress(ALLOWED).run(["curl", "-s", "-H", host, "http://allowed.test/"]);
        out.complained("http shared.test at").said("egress refused");
    }
    world.arrived_at(SITE).without("shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn check_judges_the_chain_as_run_does() {
    let world = World::new()
        .answers("alias.test", Answer::Alias("target.test".into()))
        .site("target.test", THIRD)
        .build();
    let egress = EGRESS;
    let allow = ["--allow", "alias.test"];
    let check = |deny: &[&str]| {
        let words = [&[egress, "check"][..], &allow, deny, &["alias.test:443"]].concat();
        world.direct().run(words)
    };
    check(&[]).succeeded().said(THIRD);
    check(&["--deny", "target.test"]).exited(1).said("denied");
}

#[test]
#[ignore = "kernel: needs root"]
fn many_lookups_at_once_are_all_answered() {
    let world = World::new().record("many.test", &[SITE]).build();
    let burst = "import socket, struct, select, time\n\
        name = b'\\x04many\\x04test\\x00\\x00\\x01\\x00\\x01'\n\
        waiting = []\n\
        for i in range(500):\n  \
          s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); waiting.append(s)\n  \
          s.sendto(struct.pack('>HHHHHH', i, 256, 1, 0, 0, 0) + name, ('93.184.216.53', 53))\n\
        end, answered = time.time() + 60, 0\n\
        while waiting and time.time() < end:\n  \
          ready = select.select(waiting, [], [], 0.5)[0]\n  \
          answered += len(ready); waiting = [s for s in waiting if s not in ready]\n\
        print(answered)";
    world.egress(&["--allow", "many.test"]).run([PYTHON, "-c", burst]).printed("500\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_server_that_leaves_an_upgrade_unanswered_was_not_refused() {
    let world = two_sites();
    // Its greeting is no answer to a request that comes later, and then it has closed its half.
    let upgrade = "import socket; s = socket.create_connection(('allowed.test', 7001)); s.recv(100)\n\
        s.sendall(b'GET / HTTP/1.1\\r\\nHost: allowed.test\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')\n\
        print(s.recv(100))";
    let out = world.egress(ALLOWED).run([PYTHON, "-c", upgrade]);
    assert!(!out.succeeded().complaints().contains("refused"), "{out}");
    out.printed("b''\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn the_end_of_a_client_reaches_a_server_that_owes_it_an_upgrade() {
    let world = two_sites();
    // The server counts until the end of what it is sent, and only then answers.
    let upgrade = "import socket; s = socket.create_connection(('allowed.test', 7000)); s.settimeout(60)\n\
        request = b'GET / HTTP/1.1\\r\\nHost: allowed.test\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n'\n\
        s.sendall(request); s.shutdown(socket.SHUT_WR); print(int(s.recv(100)) == len(request))";
    world.egress(ALLOWED).run([PYTHON, "-c", upgrade]).printed("True\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn the_unspecified_address_is_no_way_around_a_deny_of_loopback() {
    let world = two_sites();
    let text = "[network]\nallow_local_binding = true\n[network.domains]\n\"*\" = \"allow\"\n\
        [network.addresses]\n\"127.0.0.0/8\" = \"deny\"\n\"::1\" = \"deny\"\n";
    let policy = world.policy(text);
    let probes = ["0.0.0.0", "::", "::ffff:0.0.0.0", "127.0.0.1", "::1"]
        .map(|address| format!("connect {address} {}", world.host_port()));
    let out = world.egress(&policy.options()).probes(&probes);
    for probe in &probes {
        out.probe(probe, &["EPERM"]);
    }
    assert_eq!(world.host_contacts(), [], "{out}");
}
