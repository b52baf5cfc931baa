//! Ranges of ports: the kernel opens what the policy does, no port more and none less.
use std::fmt::Write as _;

use super::support::{PYTHON, World};
use super::{SITE, THIRD, two_sites};

/// Tells of each port whether connect() was let pass: whatever else becomes of it, EPERM is the filter's.
const ATTEMPTS: &str = "import errno, json, socket, sys\n\
    def passes(address, port):\n  \
      s = socket.socket(); s.settimeout(20)\n  \
      try: return s.connect_ex((address, port)) != errno.EPERM\n  \
      finally: s.close()\n";

/// As many ranges as a pattern may have, with the ports at and around their edges.
fn ranges(seed: u64) -> (Vec<(u16, u16)>, Vec<u16>) {
    // An LCG of Knuth's: each run asks for other ports.
    let mut state = seed;
    let mut random = move |below: u16| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from((state >> 33) % u64::from(below)).expect("below 65536")
    };
    let mut ranges = Vec::new();
    let mut from = 1 + random(50);
    for _ in 0..31 {
        let last = from + if random(3) == 0 { 0 } else { random(900) };
        ranges.push((from, last));
        from = last + 2 + random(900);
    }
    // To the end of what there is.
    ranges.push((65_000, u16::MAX));
    let mut ports: Vec<u16> = ranges
        .iter()
        .flat_map(|&(first, last)| [first - 1, first, last, last.saturating_add(1)])
        .filter(|port| ![0, 53].contains(port))
        .collect();
    ports.sort_unstable();
    ports.dedup();
    (ranges, ports)
}

fn listed(ranges: &[(u16, u16)]) -> String {
    let entries: Vec<_> =
        ranges.iter().map(|(first, last)| format!("\"{first}-{last}\"")).collect();
    entries.join(", ").replace("\"1-1\"", "1")
}

#[test]
#[ignore = "kernel: needs root"]
fn the_kernel_opens_the_ports_of_random_ranges_and_no_others() {
    let world = two_sites();
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = u64::from(seed.expect("a clock").subsec_nanos());
    let (ranges, ports) = ranges(seed);
    let list = listed(&ranges);
    let policy = world.policy(format!(
        "[network.domains]\n\"allowed.test\" = {{ action = \"allow\", ports = [{list}] }}\n\
         [network.addresses]\n\"{THIRD}\" = {{ action = \"allow\", ports = [{list}] }}\n"
    ));
    let mut program = format!("{ATTEMPTS}socket.getaddrinfo('allowed.test', 22)\n");
    for address in [SITE, THIRD] {
        writeln!(program, "print(*(p for p in {ports:?} if passes('{address}', p)))").unwrap();
    }
    let open = |port: &&u16| ranges.iter().any(|(first, last)| (first..=last).contains(port));
    let open: Vec<String> = ports.iter().filter(open).map(u16::to_string).collect();
    let open = open.join(" ");
    let out = world.egress(&policy.options()).run([PYTHON, "-c", &program]);
    let expected = format!("{open}\n{open}\n");
    assert_eq!(out.text(), expected, "seed {seed}\n{out}");
    // What the kernel refuses is nothing that leaves.
    for port in ports.iter().filter(|port| !open.split(' ').any(|one| one == port.to_string())) {
        world.arrived_at(SITE).on_port(*port).none();
        world.arrived_at(THIRD).on_port(*port).none();
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_range_may_go_straight_out() {
    let world = two_sites();
    let policy = world.domains(&[(
        "allowed.test",
        "{ action = \"allow\", ports = [\"440-450\", \"8440-8450\"], via = \"kernel\" }",
    )]);
    for (port, comes) in [(443, true), (8443, true), (22, false)] {
        let url = format!("https://allowed.test:{port}/");
        let out = world.egress(&policy.options()).run(["curl", "-sS", "--max-time", "60", &url]);
        match comes {
            true => drop(out.succeeded()),
            false => drop(out.failed()),
        }
    }
    world.arrived_at(SITE).on_port(22).none();
    let said = world.egress(&policy.options()).run([
        PYTHON,
        "-c",
        &format!(
            "import socket, ssl\n\
         socket.getaddrinfo('allowed.test', 8443)\n\
         s = socket.create_connection(('{SITE}', 8443), 30)\n\
         print(s.getsockname()[0])"
        ),
    ]);
    // The program's own address, and no proxy's.
    said.printed(&format!("{}\n", super::support::CLIENT));
}

#[test]
#[ignore = "kernel: needs root"]
fn names_that_share_an_address_open_the_ports_of_both_and_no_others() {
    // More ranges together than the kernel's record holds: then the proxy refuses the rest.
    let world = World::new().record("a.test", &[SITE]).record("b.test", &[SITE]).build();
    let list = |from: u16| {
        let ports: Vec<_> = (0..20).map(|at| (from + 2 * at).to_string()).collect();
        format!("{{ action = \"allow\", ports = [22, {}] }}", ports.join(", "))
    };
    let policy = world.domains(&[("a.test", &list(2000)), ("b.test", &list(3000))]);
    let (open, closed) = (format!("connect {SITE} 22"), format!("connect {SITE} 25"));
    let out = world.egress(&policy.options()).probes(&[
        "resolve a.test",
        "resolve b.test",
        &open,
        &closed,
    ]);
    out.probe(&open, &["ok"]);
    world.arrived_at(SITE).on_port(25).none();
}
