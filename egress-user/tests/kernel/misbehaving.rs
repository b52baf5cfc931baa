//! A worker that somebody else has in hand: it asks for what is not its own, and tries what it has no right to. It gets
//! nothing, and it is told.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use egress_user::kernel::{Connected, connections_of};

use super::death::{cgroup_is_a_box, cgroup_of, token};
use super::support::cgroup2;
use super::support::processes::{Reaper, eventually, with_argument};
use super::{ALLOWED, two_sites};

/// The id of a sandbox of this world, by a word that only its command has among its arguments.
fn sandbox_of(reaper: &Reaper) -> u64 {
    let inside = with_argument(&reaper.token).into_iter().find(|id| cgroup_is_a_box(*id));
    let cgroup = cgroup_of(inside.expect("a command in a box"));
    std::fs::metadata(cgroup.join("box")).expect("its box").ino()
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_anothers_or_out_of_turn_ends_the_worker_and_its_sandbox() {
    let world = two_sites();
    let reaper = token(&world);
    let other = world.egress(ALLOWED).idle_stdin().start([
        "sh",
        "-c",
        "echo ready; read x; curl -sS https://allowed.test/",
        &reaper.token,
    ]);
    other.says("ready");
    let anothers = format!("another-sandbox {}", sandbox_of(&reaper));
    for (asks, told) in [
        (anothers.as_str(), "asked for something of another sandbox"),
        ("another-proof", "asked for something out of turn"),
        ("another-start", "asked for something out of turn"),
        ("an-early-end", "asked for something out of turn"),
        ("no-record", "sent what is no request"),
        ("a-long-record", "sent what is no request"),
        ("descriptors", "sent descriptors that nobody asked for"),
        ("deaf", "did not read what it was told"),
    ] {
        let run = world.egress(ALLOWED).env("EGRESS_MISBEHAVE", asks).idle_stdin();
        let running = run.start(["sh", "-c", "echo begun; read x; echo went on"]);
        // It ends while the command would wait for ever.
        running.says_no_more();
        let finished = running.finish();
        finished.exited(125).complained(told).complained("it got nothing");
        assert!(!finished.text().contains("went on"), "{asks}: {finished}");
    }
    other.tell("on");
    other.finish().succeeded().said("host=allowed.test");
}

/// Its run ends all the same: whoever waits for it has its exit code.
#[test]
#[ignore = "kernel: needs root"]
fn a_worker_that_says_that_it_ends_and_stays_is_ended() {
    let world = two_sites();
    let run = world.egress(ALLOWED).env("EGRESS_MISBEHAVE", "stays");
    run.run(["echo", "fine"]).succeeded().printed("fine\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_socket_of_others_is_not_ended() {
    let world = two_sites();
    // A connection of this test's, in this test's cgroup and in the network namespace of the worker.
    let listener = world.client_netns().enter(|| TcpListener::bind("127.0.0.1:0").expect("listen"));
    let at = listener.local_addr().expect("its address");
    let mut client = world.client_netns().enter(move || TcpStream::connect(at).expect("connect"));
    let (mut server, _) = listener.accept().expect("accept");
    let own = std::fs::read_to_string("/proc/self/cgroup").expect("this test's cgroup");
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("of cgroup v2");
    let id = std::fs::metadata(cgroup2().join(own)).expect("its directory").ino();
    let all = world.client_netns().enter(|| connections_of(id).expect("this cgroup's sockets"));
    let Connected { source, destination, cookie } =
        *all.iter().find(|one| one.destination == at).expect("the connection");
    let asks = format!("a-foreign-socket {source} {destination} {cookie}");
    let running = world
        .egress(ALLOWED)
        .env("EGRESS_MISBEHAVE", &asks)
        .idle_stdin()
        .start(["sh", "-c", "read x"]);
    running.says_no_more();
    running.finish().exited(125).complained("asked for a socket of others");
    client.write_all(b"on").expect("the connection lives");
    let mut heard = [0; 2];
    server.read_exact(&mut heard).expect("both ways");
    // One that has gone is nobody's: a worker asks for the end of such by chance.
    let run = world.egress(ALLOWED).env("EGRESS_MISBEHAVE", "a-gone-socket");
    run.run(["echo", "fine"]).succeeded().printed("fine\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_needs_a_right_is_refused_by_the_kernel() {
    let world = two_sites();
    let mut outside =
        Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("a process");
    let asks = format!("rights {}", outside.id());
    let run = world.egress(ALLOWED).env("EGRESS_MISBEHAVE", &asks).env("EGRESS_LOG", "error");
    let finished = run.run(["echo", "fine"]);
    let said = finished.complaints();
    let tried = said.lines().filter(|line| line.contains("misbehave: ")).count();
    assert!(!said.contains(": done"), "{finished}");
    // Where the filter ends a process for what it tries, the first try is its last, and that is told.
    let was_ended = said.contains("the process that serves the sandbox has died");
    assert!(tried >= 10 || was_ended, "{tried} tries: {finished}");
    assert_eq!(outside.try_wait().expect("its state"), None, "it was signalled");
    eventually("nothing is pinned", || {
        !std::path::Path::new("/sys/fs/bpf/egress/misbehave").exists()
    });
    outside.kill().expect("end it");
    outside.wait().expect("wait for it");
}
