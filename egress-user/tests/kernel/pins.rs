//! Pins of a sandbox: as many as it may have, for as long as they last, and nobody else's affair.
use super::support::{PYTHON, World, slowness};
use super::{ALLOWED, OTHER, SITE, THIRD, two_sites};

/// Addresses of a name, of which each has so many.
const OF_A_NAME: usize = 64;

/// Addresses `from`..`to` of a block of public ones.
fn block(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("93.190.{}.{}", number / 250, number % 250 + 1)).collect()
}

/// A function that looks up and says how many addresses came, or which error.
const FOUND: &str = "import socket, time\n\
    def found(name):\n  \
      try: return {a[4][0] for a in socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)}\n  \
      except socket.gaierror: return set()\n";

#[test]
#[ignore = "kernel: needs root"]
fn a_sandbox_that_fills_its_pins_hurts_none_but_itself() {
    let mut builder = World::new().site("allowed.test", SITE).site("later.test", THIRD);
    for number in 0..66 {
        let addresses = block(number * OF_A_NAME, (number + 1) * OF_A_NAME);
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        builder = builder.record(&format!("n{number}.pins.test"), &addresses);
    }
    let world = builder.build();
    let line = format!(
        "getent hosts allowed.test; echo looked up; read x; getent hosts later.test; \
         {PYTHON} probe.py 'connect {SITE} 443' 'connect {THIRD} 443'"
    );
    let options = &["--allow", "allowed.test", "--allow", "later.test"];
    let other = world.egress(options).idle_stdin().start(["sh", "-c", &line]);
    other.says("looked up");
    // With the one of allowed.test, 4096 pins are 63 names and a part of the next, which gets none.
    let fill = format!(
        "{FOUND}found('allowed.test')\n\
         print('full at', next(n for n in range(66) if len(found(f'n{{n}}.pins.test')) != {OF_A_NAME}))\n\
         print('beyond:', len(found('n65.pins.test')))\n\
         print('known:', len(found('n0.pins.test')))\n\
         socket.create_connection(('{SITE}', 22), 5).close()\n\
         print('the first pin is still there')"
    );
    let options = &["--allow", "**.pins.test", "--allow", "allowed.test"];
    let out = world.egress(options).run([PYTHON, "-c", &fill]);
    out.succeeded().printed("full at 63\nbeyond: 0\nknown: 64\nthe first pin is still there\n");
    out.complained("live pins of names at once: rate_limited");
    let out = other.finish();
    for address in [SITE, THIRD] {
        assert!(out.probed(&format!("connect {address} 443")).starts_with("ok"), "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_moves_without_end_fills_its_own_quota_alone() {
    let rounds: Vec<Vec<String>> =
        (0..10).map(|round| block(round * OF_A_NAME, (round + 1) * OF_A_NAME)).collect();
    let rounds: Vec<Vec<&str>> =
        rounds.iter().map(|round| round.iter().map(String::as_str).collect()).collect();
    let rounds: Vec<&[&str]> = rounds.iter().map(Vec::as_slice).collect();
    let world = World::new().site("allowed.test", SITE).flips("moves.test", &rounds).ttl(0).build();
    // An outcome is shared for half a second: this asks until there is none, and that may take eight
    // times as long.
    let ask = format!(
        "{FOUND}seen = set()\n\
         for _ in range(300):\n  \
           got = found('moves.test')\n  \
           if not got: break\n  \
           seen |= got; time.sleep(0.1)\n\
         print(len(seen), 'then', len(got))\n\
         print('another name:', *found('allowed.test'))"
    );
    let options = &["--allow", "moves.test", "--allow", "allowed.test"];
    let out = world.egress(options).run([PYTHON, "-c", &ask]);
    out.succeeded().printed(&format!("512 then 0\nanother name: {SITE}\n"));
    out.complained("live pins of names at once: rate_limited");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_pin_that_has_ended_is_told_apart_from_one_that_never_was() {
    // It moves, so that the address is not opened anew by the lookup for its next connection.
    let moves: &[&[&str]] = &[&[SITE], &[THIRD]];
    let world = World::new().flips("allowed.test", moves).address(OTHER).ttl(0).build();
    let ttl = 3 * slowness();
    let text = format!(
        "[network.domains]\n\"allowed.test\" = \"allow\"\n\
         [network.dns]\nmin_ttl = \"{ttl}s\"\nmax_ttl = \"{ttl}s\"\n"
    );
    let policy = world.policy(text);
    // What ends a pin is time, so this tries until it has.
    let program = format!(
        "import errno, socket, time\n\
         def outcome(address):\n  \
           try:\n    \
             with socket.create_connection((address, 22), 60) as s: return 'open' if s.recv(9) else 'closed'\n  \
           except OSError as e: return errno.errorcode[e.errno]\n\
         socket.getaddrinfo('allowed.test', 22)\n\
         print('at once:', outcome('{SITE}'))\n\
         for _ in range(1000):\n  \
           last = outcome('{SITE}')\n  \
           if last != 'open': break\n  \
           time.sleep(0.1)\n\
         print('ended:', last)\n\
         print('never:', outcome('{OTHER}'))\n\
         print('asked again:', outcome('{THIRD}'))"
    );
    let out = world.egress(&policy.options()).run([PYTHON, "-c", &program]);
    out.succeeded().printed("at once: open\nended: ECONNRESET\nnever: EPERM\nasked again: open\n");
    out.complained(&format!(
        "tcp {SITE}:22 (expired pin of allowed.test, which does not have this address any more): not_pinned"
    ));
    out.complained(&format!("tcp {OTHER}:22: not_allowed"));
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_pin_of_another_sandbox_is_never_one_that_has_ended() {
    let world = two_sites();
    let first = world.egress(ALLOWED).run(["getent", "hosts", "allowed.test"]);
    first.succeeded();
    let out = world.egress(ALLOWED).run([
        PYTHON,
        "-c",
        &format!("import socket; print(socket.socket().connect_ex(('{SITE}', 22)))"),
    ]);
    out.printed("1\n").complained(&format!("tcp {SITE}:22: not_allowed"));
    world.arrived_at(SITE).none();
}
