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

/// Functions that say what comes of a connection, and how long its address stays open; and how a pin that a
/// connection keeps ends.
const KEPT: &str = "import ctypes, errno, os, socket, struct, sys, time\n\
    site, silent, life = sys.argv[1], sys.argv[2], int(sys.argv[3])\n\
    def open_at(address, limit=60):\n  \
      try: s = socket.create_connection((address, 22), limit); s.recv(3); return s\n  \
      except TimeoutError: return 'silent'\n  \
      except OSError as e: return errno.errorcode[e.errno]\n\
    def until_refused(address):\n  \
      for _ in range(300):\n    \
        s = open_at(address)\n    \
        if isinstance(s, str): return s\n    \
        s.close(); time.sleep(0.1)\n  \
      return 'still open'\n\
    def keep_and_let_go():\n  \
      kept = open_at(site)\n  \
      time.sleep(life + 0.5)\n  \
      print('while one lives:', 'refused' if isinstance(open_at(site), str) else 'open')\n  \
      kept.close()\n  \
      print('after:', until_refused(site))\n\
    socket.getaddrinfo('allowed.test', 22)\n";

/// Runs it by the way that the rule says, with pins that live so long. The name moves, so that the address is not
/// looked up anew for its next connection.
fn keeping(rule: &str, lines: &str, printed: &str) {
    let world = World::new().flips("allowed.test", &[&[SITE, SILENT], &[OTHER]]).ttl(0).build();
    let life = 3 * slowness();
    let policy = world.policy(format!(
        "[network.domains]\n\"allowed.test\" = {rule}\n\
         [network.dns]\nmin_ttl = \"{life}s\"\nmax_ttl = \"{life}s\"\n"
    ));
    let life = life.to_string();
    let words = [PYTHON, "-c", &format!("{KEPT}{lines}"), SITE, SILENT, &life];
    let out = world.egress(&policy.options()).run(words);
    out.succeeded().printed(printed).complained("expired pin of allowed.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_pin_outlives_its_time_while_a_connection_lives() {
    for rule in [BY_PROXY, "\"allow\""] {
        keeping(rule, "keep_and_let_go()", "while one lives: open\nafter: ECONNRESET\n");
    }
}

/// Connections that go straight out and end in every way; none of them may keep the pin, nor take from what another
/// one keeps.
const ENDS: &str = "\
    for _ in range(20):\n  \
      s = open_at(site); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()\n\
    for port in (5432, 22):\n  \
      s = socket.socket(); s.settimeout(60); print('closed' if s.connect_ex((site, port)) else 'open')\n  \
      s.close()\n\
    asked = socket.socket(); asked.setblocking(False); asked.connect_ex((silent, 22))\n\
    child = os.fork()\n\
    if child == 0:\n  \
      mine = [open_at(site), socket.socket()]; mine[1].setblocking(False); mine[1].connect_ex((silent, 22))\n  \
      os.kill(os.getpid(), 9)\n\
    os.waitpid(child, 0)\n\
    shared = open_at(site)\n\
    if os.fork() == 0: os._exit(0)\n\
    os.wait(); shared.close()\n\
    def bound(port):\n  \
      s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('', port)); return s\n\
    def disconnect(s): ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)\n\
    again = open_at(site)\n\
    for _ in range(5): disconnect(again); again.connect((site, 22))\n\
    again.close()\n\
    first = bound(0); first.connect((site, 22))\n\
    second = bound(first.getsockname()[1])\n\
    for port in (5432, 22): print(errno.errorcode[second.connect_ex((site, port))])\n\
    first.close(); second.close()\n";

#[test]
#[ignore = "kernel: needs root"]
fn no_end_of_a_connection_keeps_a_pin_or_takes_what_keeps_it() {
    let lines = format!("{ENDS}keep_and_let_go()\nprint('silent:', open_at(silent, 10))");
    let printed = "closed\nopen\nECONNREFUSED\nEADDRNOTAVAIL\n\
                   while one lives: open\nafter: ECONNRESET\nsilent: ECONNRESET\n";
    keeping("\"allow\"", &lines, printed);
}
