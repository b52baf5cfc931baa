//! How refused direct connections end, for the program and for `egress`: at once, and without traces.
use aya::maps::{HashMap, Map, MapData};
use egress_common::event::Unverified;
use nix::unistd::Pid;

use super::support::processes::eventually;
use super::support::{Finished, PYTHON, World};
use super::{ALLOWED, OTHER, SITE, two_sites};

fn line(which: &[&str]) -> String {
    format!(
        "getent ahosts allowed.test > found && exec {PYTHON} attacks.py {SITE} 443 shared.test {OTHER} {}",
        which.join(" ")
    )
}

fn attacks<'w>(world: &'w World, options: &[&str], which: &[&str]) -> Finished<'w> {
    world.egress(options).shell(&line(which))
}

#[test]
#[ignore = "kernel: needs root"]
fn a_refusal_wakes_whoever_waits() {
    let world = two_sites();
    let which = ["nonblocking", "blocked-reader", "blocked-writer", "shut", "linger"];
    let out = attacks(&world, ALLOWED, &[&which[..], &["corked-close", "reset-close"]].concat());
    out.probe("nonblocking", &["EPOLLIN EPOLLERR EPOLLHUP ECONNABORTED"]);
    out.probe("blocked-reader", &["aborted"]);
    // What is sent after the error finds a closed connection.
    out.probe("blocked-writer", &["aborted", "reset"]);
    out.probe("shut", &["aborted", "ENOTCONN"]).probe("linger", &["closed"]);
    out.probe("corked-close", &["closed"]).probe("reset-close", &["closed"]);
    world.arrived_at(SITE).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_socket_that_its_program_holds_fast_holds_nothing_else() {
    let world = two_sites();
    // Longer than anything here is waited for.
    let options = ["--set", "network.drain=1h", "--allow", "*.test"];
    // And `egress` ends with its program, or this does.
    let out = attacks(&world, &options, &["locked"]);
    // Before 6.1 no program without rights has the memory that this takes.
    out.probe("locked", &["resolved", "no userfaultfd"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_refusal_that_a_full_ring_lost_is_told_again() {
    let world = two_sites();
    let tries = format!(
        "import socket\nfor n in range(6000):\n \
         s = socket.socket(); s.setblocking(False)\n \
         try: s.connect(('{OTHER}', 443))\n \
         except OSError: pass\n \
         s.close()\n"
    );
    let tries = world.file("tries.py", tries).display().to_string();
    let line = format!(
        "getent ahosts allowed.test > found; echo ready; read go; {PYTHON} {tries}; echo full; \
         exec {PYTHON} hellos.py {SITE} 443 shared.test whole"
    );
    let running = world.egress(ALLOWED).idle_stdin().start(["sh", "-c", &line]);
    running.says("ready");
    running.stop();
    running.tell("go");
    running.says("full");
    let connected = || world.contacts().iter().any(|contact| contact.at.port() == 443);
    eventually("the connection", connected);
    // Its hello stays in the kernel: nobody has heard of the refusal.
    eventually("the hello that does not leave", || {
        let sockets = world.client_netns().tcp_sockets();
        sockets.iter().any(|socket| socket.peer_port == 443 && socket.unsent > 0)
    });
    running.go_on();
    running.finish().probe("whole", &["direct aborted"]);
    world.arrived_at(SITE).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_flood_of_refusals_costs_the_program_alone() {
    let world = two_sites();
    let out = attacks(&world, ALLOWED, &["flood", "good-again"]);
    out.probe("flood", &["done"]).succeeded();
    // Half hellos may have sent the address to the proxy.
    out.probe("good-again", &["direct answer", "proxy answer"]);
    assert!(out.complaints().len() < 32 << 10, "{}", out.complaints());
    assert!(!out.complaints().contains("panic"), "{out}");
    world.arrived_at(SITE).without("shared.test");
}

type Table = HashMap<MapData, u64, [u8; size_of::<Unverified>()]>;

/// The kernel's table of connections that hold something back, of the run with this process.
fn table(egress: Pid) -> Table {
    let prefix = format!("run-{egress}-");
    // Where `egress` keeps its pins, with or without a bpffs of the machine's own.
    let directories = ["/sys/fs/bpf/egress", "/run/egress/bpf/egress"].map(std::fs::read_dir);
    let mut pinned = directories.into_iter().flatten().flatten().flatten();
    let own = pinned.find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    let pins = std::fs::read_dir(own.expect("its pins").path()).expect("the pins");
    let mut paths = pins.flatten().map(|entry| entry.path());
    let held = paths.find(|path| path.to_string_lossy().contains("/HELD-")).expect("the pin");
    let map = MapData::from_pin(held).expect("the table");
    HashMap::try_from(Map::HashMap(map)).expect("a table of such entries")
}

#[test]
#[ignore = "kernel: needs root"]
fn no_end_of_a_connection_leaves_an_entry() {
    const PLACE: &str = "151.101.1.61";
    const CLOSED: &str = "151.101.1.62";
    const DEAD: &str = "151.101.1.63";
    let world = World::new()
        .site("allowed.test", PLACE)
        .closed(CLOSED)
        .record("closed.test", &[CLOSED])
        .record("dead.test", &[DEAD])
        .build();
    let names = ["allowed.test", "closed.test", "dead.test"];
    let options: Vec<&str> = names.iter().flat_map(|name| ["--allow", name]).collect();
    let lookups: String =
        names.iter().map(|name| format!("getent ahosts {name} > found; ")).collect();
    let line = format!(
        "{lookups} {PYTHON} attacks.py {CLOSED} 443 shared.test {DEAD} whole; \
         exec {PYTHON} attacks.py {PLACE} 443 shared.test {DEAD} keep idle leaks go"
    );
    let running = world.egress(&options).idle_stdin().start(["sh", "-c", &line]);
    running.says("whole => ECONNREFUSED");
    running.says("ready");
    // The idle one is all that holds anything back.
    let table = table(running.pid());
    eventually("one entry", || table.keys().count() == 1);
    running.tell("go");
    running.finish().probe("leaks", &["done"]).succeeded();
    world.arrived_at(PLACE).without("shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn where_the_table_is_full_connections_are_given_up() {
    const PLACE: &str = "151.101.1.64";
    const SECOND: &str = "151.101.1.65";
    let world = World::new().site("allowed.test", PLACE).site("second.test", SECOND).build();
    let line = format!(
        "getent ahosts allowed.test > found; getent ahosts second.test > found; \
         {PYTHON} attacks.py {PLACE} 443 shared.test {OTHER} idle go & \
         read go; {PYTHON} hellos.py {SECOND} 443 second.test whole; read go"
    );
    let egress = world.egress(&["--allow", "allowed.test", "--allow", "second.test"]);
    let running = egress.env("PROBE_DEADLINE", "30").idle_stdin().start(["sh", "-c", &line]);
    running.says("ready");
    let mut table = table(running.pid());
    let fill = (1..=100_000).map(|number| u64::MAX - number);
    let filled: Vec<u64> = fill
        .take_while(|cookie| table.insert(cookie, [0; size_of::<Unverified>()], 0).is_ok())
        .collect();
    assert!(filled.len() > 16_000, "{}", filled.len());
    running.tell("go");
    running.says("whole => none ETIMEDOUT");
    for cookie in filled {
        table.remove(&cookie).expect("take the entry out");
    }
    running.tell("go");
    running.finish();
    world.arrived_at(SECOND).none();
}
