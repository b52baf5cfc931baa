//! The two processes of a run: the broker, which has rights and reads nothing of others, and the worker, which reads
//! and has none. Each may die at any moment.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::death::token;
use super::support::processes::{eventually, with_argument, worker_of};
use super::support::{PYTHON, cgroup2};
use super::{ALLOWED, OTHER, THIRD, two_sites};

/// Where a build for tests lets a process die.
const POINTS: [&str; 25] = [
    "broker:loaded",
    "broker:cgroup",
    "broker:attached",
    "broker:init",
    "broker:given",
    "broker:probe",
    "broker:probed",
    "broker:start",
    "broker:started",
    "broker:ended",
    "broker:delivered",
    "broker:accounted",
    "worker:divided",
    "worker:without-rights",
    "worker:given",
    "worker:serves",
    "worker:open",
    "worker:started",
    "worker:lookup",
    "worker:connection",
    "worker:drain",
    "worker:drained",
    "init:isolated",
    "init:probed",
    "init:command",
];

/// Python that looks the allowed site up and talks to it, and then sends to one address all the time, for as long as
/// its standard input is open; or, with a third argument, so many times.
const SENDS: &str = "import select, socket, sys\n\
    to, times = sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1 << 30\n\
    if times > 1 << 20:\n  \
      try:\n    \
        s = socket.create_connection(('allowed.test', 80), 5)\n    \
        s.send(b'GET / HTTP/1.1\\r\\nHost: allowed.test\\r\\nConnection: close\\r\\n\\r\\n'); s.recv(9999)\n  \
      except OSError: pass\n\
    print('trying', flush=True)\n\
    for _ in range(times):\n  \
      for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n    \
        s = socket.socket(socket.AF_INET, kind); s.setblocking(False)\n    \
        try:\n      \
          s.connect((to, 22)); s.send(b'out')\n    \
        except OSError: pass\n    \
        s.close()\n  \
      if times > 1 << 20 and select.select([0], [], [], 0)[0]: break";

fn threads(process: i32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    tasks
        .map(|task| fs::read_to_string(task.expect("one").path().join("status")).expect("status"))
        .collect()
}

/// What is left of runs: cgroups, directories of pins, sockets of `egress status`.
fn remains() -> BTreeSet<PathBuf> {
    let places =
        [cgroup2().join("egress"), "/sys/fs/bpf/egress".into(), "/run/egress/bpf/egress".into()];
    let of = |place: PathBuf| fs::read_dir(place).into_iter().flatten().flatten().map(|e| e.path());
    let is_run =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("run-"));
    let all = places.into_iter().flat_map(of).filter(is_run);
    all.chain(of("/run/egress/status".into())).collect()
}

#[test]
#[ignore = "kernel: needs root"]
fn who_reads_has_no_rights_and_who_has_rights_has_no_connection() {
    let world = two_sites();
    let talk = "import socket, sys\n\
        s = socket.create_connection(('allowed.test', 22)); print(s.recv(100), flush=True)\n\
        sys.stdin.read()";
    let running = world.egress(ALLOWED).idle_stdin().start([PYTHON, "-c", talk]);
    running.says("speaks first");
    let run = running.pid();
    let worker = worker_of(run).expect("a worker");
    let own = threads(worker);
    assert!(own.len() > 2, "its runtimes run: {}", own.len());
    for status in own {
        for (key, wanted) in [
            ("CapEff:", "0000000000000000"),
            ("CapPrm:", "0000000000000000"),
            ("CapInh:", "0000000000000000"),
            ("CapAmb:", "0000000000000000"),
            ("CapBnd:", "0000000000000000"),
            ("NoNewPrivs:", "1"),
            ("Groups:", ""),
        ] {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
            assert_eq!(line.trim(), wanted, "{key}\n{status}");
        }
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a user");
        let ids: BTreeSet<_> = uid.split_whitespace().collect();
        assert_eq!(ids.len(), 1, "{uid}");
    }
    // Nobody of its user reads it: its files in /proc are root's (prctl(2), PR_SET_DUMPABLE).
    let owner = std::os::unix::fs::MetadataExt::uid(
        &fs::metadata(format!("/proc/{worker}/environ")).expect("it"),
    );
    assert_eq!(owner, 0, "the worker is dumpable");
    // No connection of a sandbox's or a server's is the broker's.
    let held = sockets(run.as_raw());
    let of_network = network_sockets(run.as_raw());
    let connected: Vec<_> = held.iter().filter_map(|inode| of_network.get(inode)).collect();
    assert!(connected.is_empty(), "the broker has {connected:?}");
    let workers = sockets(worker).iter().filter(|inode| of_network.contains_key(*inode)).count();
    assert!(workers >= 2, "the connection's two ends are the worker's: {workers}");
    running.finish().succeeded();
}

/// Inodes of the sockets that a process has.
fn sockets(process: i32) -> BTreeSet<String> {
    let held = fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors");
    let name = |fd: std::io::Result<fs::DirEntry>| fs::read_link(fd.ok()?.path()).ok();
    let socket = |path: PathBuf| {
        Some(path.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    held.filter_map(name).filter_map(socket).collect()
}

/// Sockets of TCP and UDP in a process's network namespace, listeners too, by their inodes.
fn network_sockets(process: i32) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            if let Some(inode) = line.split_whitespace().nth(9) {
                found.insert(inode.to_owned(), format!("{table} {line}"));
            }
        }
    }
    found
}

/// Each is killed where something of a run has just been done, while a program of the sandbox sends all the time.
#[test]
#[ignore = "kernel: needs root"]
fn killed_at_any_point_they_open_nothing_and_leave_nothing() {
    let world = two_sites();
    let reaper = token(&world);
    let token = reaper.token.as_str();
    world.direct().run([PYTHON, "-c", SENDS, token, THIRD, "1000"]).succeeded();
    let twins = world.arrived_at(THIRD).count();
    assert!(twins >= 2000, "the twin without a filter sent {twins} packets");
    for point in POINTS {
        let before = remains();
        let running = world
            .egress(ALLOWED)
            .env("EGRESS_DIE_AT", point)
            .start([PYTHON, "-c", SENDS, token, OTHER]);
        let finished = running.finish();
        eprintln!("{point}: {:?} {}", finished.status, finished.complaints());
        eventually(&format!("{point}: every process is gone"), || with_argument(token).is_empty());
        world.arrived_at(OTHER).none();
        // Who is killed says nothing; the other one does.
        let says = match point.split_once(':') {
            Some(("worker", "drained")) | Some(("broker", "accounted")) => "",
            Some(("worker", _)) => "the process that serves the sandbox has died",
            Some((
                "broker",
                "given" | "probe" | "probed" | "start" | "started" | "ended" | "delivered",
            )) => "egress-broker) has died",
            Some(("init", _)) => "died before the command was started",
            _ => "",
        };
        assert!(finished.complaints().contains(says), "{point}: {finished}");
        assert!(!finished.status.success() || says.is_empty(), "{point}: {finished}");
        // What a killed broker could not clear away, the next run does.
        world.egress(ALLOWED).run(["true"]).succeeded();
        let mine = || remains().difference(&before).count();
        eventually(&format!("{point}: nothing is left"), || mine() == 0);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn killed_while_a_program_sends_they_open_nothing() {
    let world = two_sites();
    let reaper = token(&world);
    let token = reaper.token.as_str();
    for whose in ["broker", "worker", "both"] {
        let running = world.egress(ALLOWED).idle_stdin().start([PYTHON, "-c", SENDS, token, OTHER]);
        running.says("trying");
        let (run, worker) = (running.pid(), worker_of(running.pid()).expect("a worker"));
        let killed: &[i32] = match whose {
            "broker" => &[run.as_raw()],
            "worker" => &[worker],
            _ => &[worker, run.as_raw()],
        };
        for id in killed {
            kill(Pid::from_raw(*id), Signal::SIGKILL).expect("kill it");
        }
        let finished = running.finish();
        eventually(&format!("{whose}: every process is gone"), || with_argument(token).is_empty());
        world.arrived_at(OTHER).none();
        match whose {
            "worker" => {
                finished.exited(125).complained("has died by SIGKILL");
            }
            "broker" => {
                finished.complained("(egress-broker) has died");
            }
            _ => {}
        }
    }
    world.direct().run([PYTHON, "-c", SENDS, token, THIRD, "1000"]).succeeded();
    let twins = world.arrived_at(THIRD).count();
    assert!(twins >= 2000, "the twin without a filter sent {twins} packets");
}
