//! What a program may try to get past the judgement of its direct connections, and what the network does to
//! them. Each is judged by what arrived.
use std::process::Command;

use super::support::processes::{eventually, with_argument};
use super::support::{CLIENT, Client, Finished, PYTHON, SILENT, World, skip};
use super::{ALLOWED, OTHER, OTHER_V6, SITE, SITE_V6, two_sites};

/// Looks `allowed.test` up, then runs `attacks.py` with hellos for `name` where the attack has no other.
fn attacks<'w>(world: &'w World, options: &[&str], name: &str, which: &[&str]) -> Finished<'w> {
    world.egress(options).shell(&line("allowed.test", SITE, name, which))
}

fn line(lookup: &str, address: &str, name: &str, which: &[&str]) -> String {
    format!(
        "getent ahosts {lookup} > found && exec {PYTHON} attacks.py {address} 443 {name} {OTHER} {}",
        which.join(" ")
    )
}

/// What `name`'s hello would show, were any of it at the far side.
#[track_caller]
fn nothing_names(world: &World, name: &str) {
    world.arrived_at(SITE).without(name);
    world.arrived_at(OTHER).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_verdict_is_one_connections() {
    let world = two_sites();
    let out = attacks(&world, ALLOWED, "shared.test", &["reconnect", "fast-open-reconnect"]);
    // 8080 is the proxy's, and nobody is there.
    out.probe("reconnect", &["EPERM ECONNREFUSED direct aborted"]);
    out.probe("fast-open-reconnect", &["EPERM aborted"]);
    nothing_names(&world, "shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_connection_stays_where_it_was_made_to() {
    let world = two_sites();
    let which = ["connect-twice", "address-after", "repair", "empty-segments", "second-name"];
    let out = attacks(&world, ALLOWED, "shared.test", &which);
    // The second one answers for the first and does not read its address.
    out.probe("connect-twice", &["EISCONN aborted", "connected aborted"]);
    out.probe("address-after", &["aborted", "EISCONN"]);
    out.probe("repair", &["EPERM"]);
    out.probe("empty-segments", &["aborted"]);
    out.probe("second-name", &["aborted"]);
    world.arrived_at(OTHER).no_payload();
    world.arrived_at(SITE).no_payload();
    let after = attacks(&world, ALLOWED, "shared.test", &["options-after", "zerocopy-after"]);
    assert!(after.probed("options-after").starts_with("EPERM EPERM "), "{after}");
    // The rest of the answer may still be on the way.
    after.probe("zerocopy-after", &["7 answer", "7 ok", "7 closed", "7 reset"]);
    nothing_names(&world, "shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_v4_address_in_v6_form_is_judged_and_ended_alike() {
    let world = two_sites();
    let mapped = format!("::ffff:{SITE}");
    let run = |name: &str, which: &[&str]| {
        world.egress(ALLOWED).shell(&line("allowed.test", &mapped, name, which))
    };
    run("shared.test", &["whole"]).probe("whole", &["direct aborted"]);
    world.arrived_at(SITE).no_payload();
    run("shared.test", &["good-again"]).probe("good-again", &["direct answer"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_fast_open_cookie_carries_no_hello() {
    let world = two_sites();
    // With cookies on both sides, unlike other worlds.
    world.client_netns().sysctl("net/ipv4/tcp_fastopen", "1");
    world.far_netns().sysctl("net/ipv4/tcp_fastopen", "1027");
    let out = attacks(&world, ALLOWED, "shared.test", &["cookie"]);
    out.probe("cookie", &["aborted"]);
    nothing_names(&world, "shared.test");
    // The same against the far side without a filter: the hello is in the SYN, or this proves nothing.
    world.direct().shell(&line("allowed.test", SITE, "shared.test", &["cookie"])).succeeded();
    assert!(world.arrived_at(SITE).payload() > 0, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn both_ends_may_open_at_once() {
    let world = World::new().record("allowed.test", &[SILENT]).build();
    world.far_netns().ip(&format!("addr add {SILENT}/32 dev far0"));
    // The far side's own SYN crosses the client's, which it does not answer.
    world.far_netns().nft(&format!(
        "table ip crossing {{ chain in {{ type filter hook input priority 0; \
         ip daddr {SILENT} tcp flags & (syn|ack) == syn drop; }}\n}}\n"
    ));
    let far = |port: u16, wait: u32| {
        format!(
            "import socket,time\n\
             s = socket.socket()\n\
             s.settimeout(20)\n\
             s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
             s.bind(('{SILENT}', 443))\n\
             s.connect(('{CLIENT}', {port}))\n\
             s.settimeout({wait})\n\
             try: print(len(s.recv(9999)))\n\
             except OSError: print(0)\n"
        )
    };
    for (port, name, wait, expected) in
        [(40_001, "shared.test", 2, "0\n"), (40_002, "allowed.test", 30, "")]
    {
        let inner = format!(
            "import sys; sys.argv = ['x', '{SILENT}', '443', '{name}', 'o']\n\
             import socket, hellos\n\
             s = socket.socket(); s.bind(('{CLIENT}', {port})); s.settimeout(30)\n\
             s.connect(('{SILENT}', 443)); print('open', flush=True)\n\
             s.sendall(hellos.hello('{name}'))\n\
             try: s.recv(1)\n\
             except OSError as e: print(e.errno)\n"
        );
        let file = world.file("inner.py", inner).display().to_string();
        let line = format!("getent ahosts allowed.test > found; echo ready; {PYTHON} {file}");
        let running = world.egress(ALLOWED).start(["sh", "-c", &line]);
        running.says("ready");
        let before = world.arrived_at(SILENT).count();
        let sent = || world.arrived_at(SILENT).count() > before;
        eventually("a SYN", sent);
        let heard = world.far_netns().enter(|| {
            Command::new(PYTHON).args(["-c", &far(port, wait)]).output().expect("run python")
        });
        assert!(heard.status.success(), "{heard:?}");
        let heard = String::from_utf8_lossy(&heard.stdout).into_owned();
        let out = running.finish();
        out.said("open");
        if expected.is_empty() {
            assert!(heard.trim().parse().is_ok_and(|bytes: usize| bytes > 200), "{heard}{out}");
        } else {
            assert_eq!(heard, expected, "{out}");
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn lost_packets_change_no_verdict() {
    let world = two_sites();
    // SYNs, hellos and answers are lost: each first one.
    world.far_netns().nft(
        "table inet loss { chain in { type filter hook input priority 0\n\
         tcp dport 443 tcp flags & (syn|ack) == syn limit rate 1/hour burst 1 packets drop\n\
         tcp dport 443 tcp flags & psh == psh limit rate 1/hour burst 2 packets drop\n}\n}\n",
    );
    let good = attacks(&world, ALLOWED, "shared.test", &["good-again", "zerocopy-after"]);
    good.probe("good-again", &["direct answer"]);
    assert!(good.probed("zerocopy-after").starts_with("7 "), "{good}");
    attacks(&world, ALLOWED, "shared.test", &["whole"]).probe("whole", &["direct aborted"]);
    nothing_names(&world, "shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn small_packets_change_no_verdict() {
    let world = two_sites();
    world.client_netns().ip("link set client0 mtu 576");
    let out = attacks(&world, ALLOWED, "shared.test", &["whole", "good-again"]);
    out.probe("whole", &["direct aborted"]).probe("good-again", &["direct answer"]);
    nothing_names(&world, "shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn packets_of_more_than_64_kib_pass() {
    let world = World::new().site("allowed.test", SITE).site("six.test", SITE_V6).build();
    let rule = "{ action = \"allow\", ports = [7000], protocol = \"any\", via = \"kernel\" }";
    let policy = world.domains(&[("allowed.test", rule), ("six.test", rule)]);
    world.client_netns().ip("link set client0 gso_max_size 200000\n");
    for (name, address) in [("allowed.test", SITE), ("six.test", SITE_V6)] {
        let out = world.egress(&policy.options()).shell(&line(name, address, name, &["upload"]));
        out.probe("upload", &["direct 67108871"]);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn where_the_machine_changes_packets_the_proxy_takes_them() {
    let world = World::new().site("other.test", OTHER).record("allowed.test", &[SILENT]).build();
    // A service address of the machine's own, as cluster networks have them.
    world.client_netns().nft(&format!(
        "table ip nat {{ chain out {{ type nat hook output priority -100; \
         ip daddr {SILENT} tcp dport 443 dnat to {OTHER}; }}\n}}\n"
    ));
    let options = ["--allow", "allowed.test", "--allow", "other.test"];
    let hows = "whole whole";
    let out = world.egress(&options).shell(&format!(
        "getent ahosts allowed.test > found && {PYTHON} hellos.py {SILENT} 443 allowed.test {hows}; \
         getent ahosts other.test > found && {PYTHON} hellos.py {OTHER} 443 other.test whole"
    ));
    // The second place is new, but its packets would be changed by the same machine.
    out.printed("whole => none aborted\nwhole => proxy answer\nwhole => proxy answer\n");
}

/// Sends `judged-later`'s bytes once the client's machine turns what goes to `site` to `elsewhere`.
fn turned(client: Client<'_>, world: &World, name: &str, site: &str, elsewhere: &str) -> String {
    let family = if site.contains(':') { "ip6" } else { "ip" };
    let line = format!(
        "getent ahosts {name} > found && \
         exec {PYTHON} attacks.py {site} 443 shared.test {elsewhere} judged-later={name}"
    );
    let client = client.env("PROBE_DEADLINE", "4").idle_stdin();
    let running = client.start(["sh", "-c", &line]);
    running.says("descriptor");
    world.client_netns().nft(&format!(
        "table {family} turn {{ chain out {{ type route hook output priority 0; \
         {family} daddr {site} {family} daddr set {elsewhere}; }}\n}}\n"
    ));
    running.tell("go");
    running.finish().probed(&format!("judged-later={name}"))
}

#[test]
#[ignore = "kernel: needs root"]
fn a_judged_connection_goes_nowhere_else() {
    for (name, site, elsewhere) in [("allowed.test", SITE, OTHER), ("six.test", SITE_V6, OTHER_V6)]
    {
        let world = two_sites();
        let got = turned(world.egress(&["--allow", name]), &world, name, site, elsewhere);
        assert!(["timeout", "closed"].contains(&got.as_str()), "{got}");
        world.arrived_at(elsewhere).none();
        // The same without a filter: the place is reached, or this proves nothing.
        let world = two_sites();
        turned(world.direct(), &world, name, site, elsewhere);
        assert!(world.arrived_at(elsewhere).payload() >= 100, "{world}");
    }
}

/// From outside of the sandbox, with every right: makes the socket believe that it has sent 100 bytes.
const REPAIR: &str = "\
import ctypes, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
process = libc.syscall(434, int(sys.argv[1]), 0)
sock = socket.socket(fileno=libc.syscall(438, process, int(sys.argv[2]), 0))
sock.setsockopt(socket.IPPROTO_TCP, 19, 1)
sock.setsockopt(socket.IPPROTO_TCP, 20, 2)
assert sock.send(bytes(100)) == 100
sock.setsockopt(socket.IPPROTO_TCP, 19, 0)
";

#[test]
#[ignore = "kernel: needs root"]
fn a_good_hello_behind_other_bytes_is_none() {
    let world = two_sites();
    let line = line("allowed.test", SITE, "repaired.test", &["fresh-later"]);
    let running = world.egress(ALLOWED).idle_stdin().start(["sh", "-c", &line]);
    let said = running.says("descriptor");
    let descriptor = said.trim().rsplit(' ').next().unwrap_or_default();
    // The program, and neither `egress` nor its helpers, which have the line as one argument.
    let process = with_argument("repaired.test").into_iter().max().unwrap_or_default();
    let outside = Command::new(PYTHON)
        .args(["-c", REPAIR, &process.to_string(), descriptor])
        .output()
        .expect("run python");
    assert!(outside.status.success(), "{outside:?}");
    running.tell("go");
    running.finish().probe("fresh-later", &["aborted"]);
    world.arrived_at(SITE).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_changed_source_keeps_no_refusal_from_its_program() {
    let world = two_sites();
    world.client_netns().ip("addr add 93.184.216.77/24 dev client0");
    world.client_netns().nft(
        "table ip nat { chain post { type nat hook postrouting priority 100; \
         tcp dport 443 snat to 93.184.216.77; }\n}\n",
    );
    let out = attacks(&world, ALLOWED, "shared.test", &["whole", "good-again"]);
    out.probe("whole", &["direct aborted"]).probe("good-again", &["direct answer"]);
    nothing_names(&world, "shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_namespace_of_the_programs_own_has_no_direct_way() {
    let world = two_sites();
    if !super::networks::can_be_made(&world) {
        return skip(super::networks::NONE);
    }
    let options = [ALLOWED, &["--user", "nobody"]].concat();
    let line = line("allowed.test", SITE, "shared.test", &["foreign"]);
    let out = world.egress(&options).shell(&line.replace("> found", "> /dev/null"));
    out.probe("foreign", &["ECONNREFUSED"]);
}
