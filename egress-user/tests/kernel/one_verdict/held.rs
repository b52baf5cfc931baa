//! What is held while it is judged: nothing of it leaves by itself, and nobody else waits for it.
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::super::support::processes::eventually;
use super::super::support::{PYTHON, World, slowness};
use super::super::{ALLOWED, SITE, two_sites};

/// Sends hellos in records to the site, and tells how each ended.
fn line(name: &str, hows: &str) -> String {
    format!("getent ahosts allowed.test > found; exec {PYTHON} hellos.py {SITE} 443 {name} {hows}")
}

fn connected(world: &World, count: usize) -> bool {
    let mut contacts = world.contacts();
    contacts.retain(|contact| contact.at.port() == 443);
    contacts.len() >= count
}

#[test]
#[ignore = "kernel: needs root"]
fn nothing_of_it_leaves_while_nobody_judges() {
    let world = two_sites();
    let egress = world.egress(ALLOWED).idle_stdin();
    let running = egress.start(["sh", "-c", &line("allowed.test", "whole go records=30 go whole")]);
    running.says("ready");
    // Its packets are still held; nobody hears of it.
    let before = world.arrived_at(SITE).on_port(443).payload();
    running.stop();
    running.tell("go");
    // The hello has a right to leave, and the kernel alone cannot tell.
    running.says("records=30 => direct ETIMEDOUT");
    running.says("ready");
    assert_eq!(world.arrived_at(SITE).on_port(443).payload(), before, "{world}");
    running.go_on();
    running.tell("go");
    running.says("whole => direct answer");
    running.finish();
}

#[test]
#[ignore = "kernel: needs root"]
fn what_waits_for_its_end_is_gone_when_the_filter_is_killed() {
    let world = two_sites();
    for round in 1..=3 {
        // Half of the records of a hello that would pass.
        let running = world.egress(ALLOWED).start(["sh", "-c", &line("allowed.test", "half+4000")]);
        eventually("the connection", || connected(&world, round));
        running.signal(Signal::SIGKILL);
        drop(running);
    }
    world.arrived_at(SITE).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn what_was_approved_for_one_connection_is_not_for_another() {
    let world = two_sites();
    let out = world.egress(ALLOWED).shell(&format!(
        "getent ahosts allowed.test > found; {PYTHON} -c '{}'",
        RECONNECTS.replace("SITE", SITE)
    ));
    out.printed("answer aborted aborted\n");
    world.arrived_at(SITE).without("shared.test");
}

/// A good hello in records, and then one of another name: over the same socket, connected anew, and over another one.
const RECONNECTS: &str = r#"
import ctypes, socket, struct
from base import word
from hellos import connected, hello, records, result
def outcome(work):
    try:
        return work()
    except OSError as error:
        return word(error)
def said(sock, name):
    sock.sendall(records(hello(name), [30]))
    return result(sock)
sock = connected("SITE", 443)
first = outcome(lambda: said(sock, "allowed.test"))
ctypes.CDLL(None).connect(sock.fileno(), struct.pack("@H14x", 0), 16)
sock.connect(("SITE", 443))
print(first, outcome(lambda: said(sock, "shared.test")), outcome(lambda: said(connected("SITE", 443), "shared.test")))
"#;

/// Opens so many connections, each with the beginning of a hello in records. Tells, and tells once more when one of them
/// is ended; then waits to be told.
const FLOOD: &str = r#"
import resource, select, socket, sys
from hellos import hello, records
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
count, size = int(sys.argv[2]), int(sys.argv[3])
begun = records(hello("allowed.test", size + 2000), [1000] * 20)[:size]
held, poll = [], select.poll()
for _ in range(count):
    sock = socket.create_connection((sys.argv[1], 443), 30)
    sock.sendall(begun)
    poll.register(sock, 0)
    held.append(sock)
print("held", flush=True)
if count > 1:
    print("ended" if poll.poll(25_000) else "none ended", flush=True)
sys.stdin.readline()
"#;

fn resident_kib(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
#[ignore = "kernel: needs root"]
fn a_flood_of_it_is_bounded_and_keeps_nobody_waiting() {
    let world = two_sites();
    let script = world.file("flood.py", FLOOD).display().to_string();
    let flood = |count: &str, size: &str| {
        let line = format!(
            "getent ahosts allowed.test > found; exec {PYTHON} {script} {SITE} {count} {size}"
        );
        world.egress(ALLOWED).idle_stdin().start(["sh", "-c", &line])
    };
    let few = flood("1", "14000");
    few.says("held");
    let alone = resident_kib(few.reader().as_raw());
    few.tell("end");
    few.finish().exited(0);
    // Of 2,000 times 14,000 bytes 16 MiB may be held.
    let many = flood("2000", "14000");
    many.says("held");
    let beside = Instant::now();
    // Another sandbox, meanwhile: judged by the kernel alone, and by user space.
    let out = world.egress(ALLOWED).shell(&line("allowed.test", "whole records=30 records=7"));
    for how in ["whole", "records=30", "records=7"] {
        out.probe(how, &["direct answer"]);
    }
    assert!(beside.elapsed() < Duration::from_secs(25) * slowness(), "{:?}", beside.elapsed());
    let more = resident_kib(many.reader().as_raw()).saturating_sub(alone);
    assert!(more < 48 << 10, "{more} KiB for 2,000 that are held");
    many.says("ended");
    many.tell("end");
    many.finish().exited(0).complained("rate_limited");
    let arrived = world.arrived_at(SITE).on_port(443).payload();
    // Three whole hellos of the other one.
    assert!(arrived < 3 * 700, "{arrived} bytes");
}
