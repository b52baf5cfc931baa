//! Ends, natural and violent: nothing of a sandbox outlives it, and nothing opens meanwhile.
use std::fs::File;
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::launch::init_of;
use super::support::processes::{Reaper, eventually, with_argument};
use super::support::{PYTHON, World, cgroup2};
use super::{ALLOWED, OTHER, PRIVATE, SITE, THIRD, two_sites};

/// A word that only processes of this world have among their arguments.
pub(super) fn token(world: &World) -> Reaper {
    Reaper { token: world.path("token").display().to_string() }
}

/// The cgroup of a run, which holds the box that this process is in.
pub(super) fn cgroup_of(process: i32) -> PathBuf {
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup"))
        .expect("read the process's cgroup");
    let inside =
        groups.lines().find_map(|line| line.strip_prefix("0::/")).expect("a cgroup v2 line");
    let cgroup = cgroup2().join(inside);
    assert_eq!(
        cgroup.file_name().and_then(|name| name.to_str()),
        Some("box"),
        "{}",
        cgroup.display()
    );
    cgroup.parent().expect("the run's cgroup").to_owned()
}

/// Python that goes on in the background, free of its parent, session and streams.
const DAEMON: &str = "import os, sys, time\n\
    if os.fork(): os._exit(0)\n\
    os.setsid()\n\
    if os.fork(): os._exit(0)\n\
    for fd in range(64):\n  \
      try: os.close(fd)\n  \
      except OSError: pass\n\
    time.sleep(1000)";

/// Python that for ever tries to reach what it may not, and says when it began.
fn attempts() -> String {
    format!(
        "import socket\n\
         print('trying', flush=True)\n\
         while True:\n  \
           for address in ('{OTHER}', '{PRIVATE}', '{THIRD}'):\n    \
             for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n      \
               s = socket.socket(socket.AF_INET, kind); s.settimeout(0.2)\n      \
               try: s.connect((address, 22)); s.send(b'out')\n      \
               except OSError: pass\n      \
               s.close()"
    )
}

#[test]
#[ignore = "kernel: needs root"]
fn stragglers_are_killed() {
    let world = World::new().build();
    let reaper = token(&world);
    let token = reaper.token.as_str();
    let line = format!("{PYTHON} -c '{DAEMON}' {token} & wait; echo done");
    world.egress(&[]).shell(&line).succeeded().printed("done\n");
    assert_eq!(with_argument(token), [] as [i32; 0], "a background process outlived the run");
}

#[test]
#[ignore = "kernel: needs root"]
fn the_cgroup_is_gone_after_the_run() {
    let world = World::new().build();
    let reaper = token(&world);
    let token = reaper.token.as_str();
    let running = world.egress(&[]).idle_stdin().start(["sh", "-c", "echo ready; read x", token]);
    running.says("ready");
    let shell = with_argument(token)
        .into_iter()
        .find(|id| cgroup_is_a_box(*id))
        .expect("the command runs in a box");
    let cgroup = cgroup_of(shell);
    assert!(cgroup.exists(), "{}", cgroup.display());
    running.finish();
    assert!(!cgroup.exists(), "{} is left", cgroup.display());
}

pub(super) fn cgroup_is_a_box(process: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/cgroup"))
        .is_ok_and(|groups| groups.contains("/box\n"))
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn killing_it_kills_everything_inside_and_opens_nothing() {
    let world = two_sites();
    let reaper = token(&world);
    let token = reaper.token.as_str();
    let line = format!("{PYTHON} -c '{DAEMON}' {token}; exec {PYTHON} -c \"$0\" {token}");
    let running = world.egress(ALLOWED).start(["sh", "-c", &line, &attempts()]);
    running.says("trying");
    let processes = with_argument(token);
    let boxed: Vec<_> = processes.into_iter().filter(|id| cgroup_is_a_box(*id)).collect();
    assert!(boxed.len() >= 2, "the daemon and the attempts should run: {boxed:?}");
    let cgroup = cgroup_of(boxed[0]);

    // Another test's run would sweep this one's remains, and so kill what should have died by itself.
    let parent = File::open(cgroup.parent().expect("egress's cgroup")).expect("open it");
    let others_wait = Flock::lock(parent, FlockArg::LockExclusive).expect("lock it");
    running.signal(Signal::SIGKILL);
    eventually("every process of the sandbox is gone", || with_argument(token).is_empty());
    drop(running);
    drop(others_wait);
    world.arrived().besides_lookups().none();

    // What the killed one could not clear away, the next one does.
    world.egress(ALLOWED).run(["true"]).succeeded();
    eventually("the dead run's cgroup is swept", || !cgroup.exists());
}

#[test]
#[ignore = "kernel: needs root"]
fn killing_it_kills_everything_where_the_init_is_stopped() {
    let world = World::new().build();
    let reaper = token(&world);
    let token = reaper.token.as_str();
    let running = world.egress(&[]).idle_stdin().start(["sh", "-c", "echo ready; read x", token]);
    running.says("ready");
    let processes = with_argument(token);
    let shell = processes.into_iter().find(|id| cgroup_is_a_box(*id)).expect("a box");
    let init = init_of(shell);
    kill(Pid::from_raw(init), Signal::SIGSTOP).expect("stop the init");
    eventually("the init is stopped", || {
        std::fs::read_to_string(format!("/proc/{init}/status"))
            .is_ok_and(|status| status.contains("State:\tT"))
    });
    let parent = File::open(cgroup_of(shell).parent().expect("egress's cgroup")).expect("open it");
    let others_wait = Flock::lock(parent, FlockArg::LockExclusive).expect("lock it");
    running.signal(Signal::SIGKILL);
    eventually("every process of the sandbox is gone", || with_argument(token).is_empty());
    drop(others_wait);
}

#[test]
#[ignore = "kernel: needs root"]
fn killing_it_leaves_running_sandboxes_alone() {
    let world = two_sites();
    let survivor = world.egress(ALLOWED).idle_stdin().start([
        "sh",
        "-c",
        "echo ready; read x; curl -sS https://allowed.test/",
    ]);
    survivor.says("ready");
    let killed = world.egress(ALLOWED).idle_stdin().start(["sh", "-c", "echo ready; read x"]);
    killed.says("ready");
    killed.signal(Signal::SIGKILL);
    drop(killed);
    world.egress(ALLOWED).run(["true"]).succeeded();
    survivor.finish().succeeded().said("host=allowed.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn open_connections_end_with_it() {
    let world = two_sites();
    let talk = "import socket, time\n\
        s = socket.create_connection(('allowed.test', 22)); print(s.recv(100), flush=True)\n\
        while True:\n  \
          s.send(b'x' * 100); s.recv(100)";
    let running = world.egress(ALLOWED).start([PYTHON, "-c", talk]);
    running.says("speaks first");
    running.signal(Signal::SIGKILL);
    drop(running);
    eventually("the server sees the end of the connection", || {
        world.contacts().iter().any(|contact| contact.at.port() == 22 && contact.ended)
    });
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn its_listeners_serve_nobody_else() {
    let world = two_sites();
    let running = world.egress(ALLOWED).idle_stdin().start([
        "sh",
        "-c",
        "getent hosts allowed.test; echo ready; read x",
    ]);
    running.says("ready");
    let ports = world.direct().shell("cat /proc/net/tcp /proc/net/tcp6").text();
    let listening = ports.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_listening = fields.get(3) == Some(&"0A");
        let port = fields.get(1)?.rsplit(':').next()?;
        is_listening.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    });
    let own: Vec<_> = listening.filter(|port| *port != world.host_port()).collect();
    assert!(!own.is_empty(), "no listener of the sandbox is seen:\n{ports}");
    let probes: Vec<_> =
        own.iter().map(|port| format!("http 127.0.0.1 {port} allowed.test")).collect();
    for client in [world.direct(), world.egress(ALLOWED)] {
        let out = client.probes(&probes);
        for probe in &probes {
            assert_ne!(out.probed(probe), "200", "{out}");
        }
    }
    running.finish();
    world.arrived_at(SITE).none();
}
