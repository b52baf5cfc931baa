//! The machine's own addresses, public ones among them: a service on every address of the host is behind each, and
//! none is reached by one.
use super::support::{CLIENT, CLIENT_DEVICE, EGRESS, PYTHON, World};
use super::{REFUSED, SITE, two_sites};

const CLIENT_V6: &str = "2606:2800:220:1::2";

/// More addresses of the client's: a second one, one on loopback, one of a link with two ends, one of an interface that
/// is down, and blocks that a route makes its own.
const MORE: &str = "addr add 93.184.216.3/24 dev client0\n\
    addr add 151.101.64.1/32 dev lo\n\
    addr add 151.101.65.1 peer 151.101.65.2/32 dev client0\n\
    link add down0 type veth peer name down1\n\
    addr add 151.101.66.1/32 dev down0\n\
    route add local 151.101.67.0/24 dev lo\n\
    addr add 2a00:1450::1/128 dev lo nodad\n\
    route add local 2a00:1450:1::/48 dev lo\n";

/// One of each.
const OWN: [&str; 10] = [
    CLIENT,
    CLIENT_V6,
    "93.184.216.3",
    "151.101.64.1",
    "151.101.65.1",
    "151.101.66.1",
    "151.101.67.89",
    "2a00:1450::1",
    "2a00:1450:1::89",
    "::ffff:93.184.216.2",
];

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn no_own_address_is_public() {
    let world = two_sites();
    world.client_netns().ip(MORE);
    let port = world.host_port();
    let probes: Vec<_> = OWN.iter().map(|address| format!("send {address} {port}")).collect();
    let out = world.direct().probes(&probes);
    // Its service understands no word of it, and closes.
    for probe in &probes {
        out.probe(probe, &["closed"]);
    }
    let direct = world.host_contacts().len();
    assert_eq!(direct, OWN.len(), "{world}");
    let more: Vec<_> = ["nonblocking", "fastopen", "udp", "udp-connect"]
        .iter()
        .flat_map(|how| [CLIENT, CLIENT_V6].map(|address| format!("{how} {address} {port}")))
        .collect();
    let all: Vec<_> = probes.iter().chain(&more).collect();
    let out = world.egress(&["--allow", "*"]).probes(&all);
    for probe in &all {
        out.probe(probe, REFUSED);
    }
    assert_eq!(world.host_contacts().len(), direct, "the host's service was reached\n{out}");
    out.complained("not_allowed_local").complained("is an address of this machine, on client0");
    // What is not the machine's own is as it was.
    let site = format!("connect {SITE} 22");
    world.egress(&["--allow", "*"]).probes(&[&site]).probe(&site, &["ok"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_leads_to_an_own_address_is_closed() {
    let names = ["own.test", "own6.test", "second.test", "anycast.test", "mixed.test"];
    let world = World::new()
        .record("own.test", &[CLIENT])
        .record("own6.test", &[CLIENT_V6])
        .record("second.test", &["93.184.216.3"])
        .record("anycast.test", &["151.101.67.1"])
        .record("mixed.test", &[SITE, CLIENT])
        .build();
    world.client_netns().ip(MORE);
    let port = world.host_port();
    for name in names {
        let url = format!("http://{name}:{port}/");
        let curl = ["curl", "-sS", "--max-time", "60", &url];
        if name != "mixed.test" {
            world.direct().run(curl).succeeded();
        }
        let before = world.host_contacts().len();
        for rule in ["*.test", "*", name] {
            let out = world.egress(&["--allow", rule]).run(curl);
            out.failed().complained(&format!("{name}: not_allowed_local"));
            out.complained("is an address of this machine, on ");
        }
        assert_eq!(world.host_contacts().len(), before, "{name}\n{world}");
    }
    // Nor is the rest of such an answer open.
    let site = format!("connect {SITE} 22");
    let out = world.egress(&["--allow", "mixed.test"]).probes(&["resolve mixed.test", &site]);
    out.probe(&site, REFUSED);
    world.arrived_at(SITE).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn exact_exceptions_open_own_addresses() {
    let world = World::new().record("own.test", &[CLIENT]).build();
    let port = world.host_port();
    let probe = format!("connect {CLIENT} {port}");
    let block = "network.addresses.\"93.184.216.0/24\"=\"allow\"";
    let local = "network.allow_local_binding=true";
    for options in [&["--allow", CLIENT][..], &["--set", block], &["--set", local, "--allow", "*"]]
    {
        world.egress(options).probes(&[&probe]).probe(&probe, &["ok"]);
    }
    let url = format!("http://own.test:{port}/");
    let curl = ["curl", "-sS", &url];
    world.egress(&["--set", local, "--allow", "own.test"]).run(curl).succeeded();
    // An exception opens the address, not the name.
    let denied = format!("tcp {CLIENT}");
    let out = world.egress(&["--allow", CLIENT, "--allow", "own.test"]).run(curl);
    out.failed().complained("own.test: not_allowed_local");
    let out = world.egress(&["--allow", "*", "--deny", CLIENT]).probes(&[&probe]);
    out.probe(&probe, REFUSED).complained(&denied).complained("denied");
}

#[test]
#[ignore = "kernel: needs root"]
fn check_says_what_run_would() {
    let world = two_sites();
    let check = |options: &[&str], target: &str| {
        let words = [EGRESS, "check"].iter().chain(options).chain([&target]);
        world.direct().run(words.copied().map(str::to_owned).collect::<Vec<_>>())
    };
    let on_device = format!("is an address of this machine, on {CLIENT_DEVICE}");
    for target in ["93.184.216.2:80", "[2606:2800:220:1::2]:80", "[64:ff9b::93.184.216.2]:80"] {
        check(&["--allow", "*"], target).exited(1).said("not_allowed_local").said(&on_device);
    }
    let resolved = "--resolve=own.test=93.184.216.2";
    check(&["--allow", "*", resolved], "own.test:80")
        .exited(1)
        .said("not_allowed_local")
        .said(&on_device);
    check(&["--allow", CLIENT], "93.184.216.2:80").exited(0);
    check(&["--allow", "*"], "93.184.216.34:80").exited(0);
}

/// Looks a name up, waits for a line of input, and then sends to the address until it is refused in the kernel. Each
/// connection writes what must not arrive.
const PROGRAM: &str = "import socket, sys, time\n\
    name, address, port, first = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]\n\
    if name != '-': socket.getaddrinfo(name, port)\n\
    family = socket.AF_INET6 if ':' in address else socket.AF_INET\n\
    print('ready', flush=True)\n\
    input()\n\
    hello = bytes.fromhex(first) if first != '-' else b'secret from inside'\n\
    end, got = time.time() + 60, ''\n\
    while time.time() < end:\n    \
        s = socket.socket(family); s.settimeout(2)\n    \
        try:\n        \
            s.connect((address, port)); s.sendall(hello); got = repr(s.recv(100))\n    \
        except PermissionError:\n        \
            got = 'EPERM'; break\n    \
        except OSError as e:\n        \
            got = str(e)\n    \
        finally: s.close()\n\
    print('got', got)\n";

/// Runs [`PROGRAM`], makes the address the machine's own while it waits, and claims that nothing of it came there.
#[track_caller]
fn added_later(options: &[&str], name: &str, address: &str, lines: &str, first: &str) {
    let make = || {
        World::new()
            .site("later.test", "151.101.68.1")
            .site("later6.test", "2a00:1450:2::1")
            .build()
    };
    let world = make();
    let port = world.host_port().to_string();
    let rule = format!(
        "network.domains.\"*.test\"={{ action = \"allow\", ports = [{port}], protocol = \"any\", via = \"PATH\" }}"
    );
    let options: Vec<_> = options
        .iter()
        .map(|option| match *option {
            "RULE-KERNEL" => rule.replace("PATH", "kernel"),
            "RULE-PROXY" => rule.replace("PATH", "proxy"),
            option => option.to_owned(),
        })
        .collect();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let command = [PYTHON, "-c", PROGRAM, name, address, &port, first];
    let running = world.egress(&options).idle_stdin().start(command);
    running.says("ready");
    world.client_netns().ip(lines);
    running.tell("go");
    let out = running.finish();
    out.said("got EPERM");
    let arrived: usize = world.host_contacts().iter().map(|contact| contact.received).sum();
    assert_eq!(arrived, 0, "the host's service got something\n{out}");
    // Without the filter it arrives there.
    let once = PROGRAM.replace("time.time() + 60", "time.time() + 0.5");
    let running =
        world.direct().idle_stdin().start([PYTHON, "-c", &once, name, address, &port, first]);
    running.says("ready");
    running.tell("go");
    running.finish();
    assert!(world.host_contacts().iter().any(|contact| contact.received > 0), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn an_address_that_is_added_behind_the_pin_is_closed() {
    for (path, first) in [("RULE-PROXY", "-"), ("RULE-KERNEL", "-")] {
        let options = ["--set", path];
        added_later(
            &options,
            "later.test",
            "151.101.68.1",
            "addr add 151.101.68.1/32 dev lo\n",
            first,
        );
        added_later(
            &options,
            "later6.test",
            "2a00:1450:2::1",
            "addr add 2a00:1450:2::1/128 dev lo nodad\n",
            first,
        );
        added_later(
            &options,
            "later.test",
            "151.101.68.1",
            "route add local 151.101.68.0/24 dev lo\n",
            first,
        );
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn an_address_that_is_added_later_is_closed_to_a_star() {
    let options = [
        "--allow",
        "*",
        "--set",
        "network.domains.\"*\"={ action = \"allow\", protocol = \"any\" }",
    ];
    added_later(&options, "-", "151.101.69.1", "addr add 151.101.69.1/24 dev client0\n", "-");
    added_later(&options, "-", "2a00:1450:3::1", "route add local 2a00:1450:3::/48 dev lo\n", "-");
}

#[test]
#[ignore = "kernel: needs root"]
fn more_changes_than_the_kernel_can_tell_lose_none() {
    // More messages than the socket of whoever watches has room for.
    let mut lines = String::new();
    for number in 0..3000 {
        let (a, b) = (number / 250, number % 250);
        lines.push_str(&format!("addr add 151.101.{}.{b}/32 dev lo\n", 100 + a));
        if number % 3 != 0 {
            lines.push_str(&format!("addr del 151.101.{}.{b}/32 dev lo\n", 100 + a));
        }
    }
    lines.push_str("addr add 151.101.69.1/32 dev lo\n");
    added_later(&["--allow", "*"], "-", "151.101.69.1", &lines, "-");
}

#[test]
#[ignore = "kernel: needs root"]
fn an_address_that_the_machine_gives_up_is_public_again() {
    let world = World::new().site("moved.test", "151.101.68.1").build();
    world.client_netns().ip("addr add 151.101.68.1/32 dev lo\n");
    let program = "import socket, time\n\
        print('ready', flush=True)\n\
        input()\n\
        end = time.time() + 60\n\
        while time.time() < end:\n    \
            try: socket.create_connection(('moved.test', 22)).recv(3); print('reached'); break\n    \
            except OSError: time.sleep(0.1)\n";
    let out = world.egress(&["--allow", "moved.test"]).run(["getent", "hosts", "moved.test"]);
    out.exited(2);
    let running =
        world.egress(&["--allow", "moved.test"]).idle_stdin().start([PYTHON, "-c", program]);
    running.says("ready");
    world.client_netns().ip("addr del 151.101.68.1/32 dev lo\n");
    running.tell("go");
    running.finish().succeeded().said("reached");
    world.arrived_at("151.101.68.1").on_port(22).some();
}
