//! The sandbox's init, a process that executes `egress` anew: what it hands on to the command, what it lives
//! and dies with, and who may ask for it.
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;

use egress_user::host::{Cgroup, Host};
use egress_user::launch::{Capabilities, Command, Init, InitError, set_executable};
use egress_user::sandbox::end_of;
use nix::sys::signal::Signal;
use nix::unistd::gettid;

use super::death::{cgroup_is_a_box, cgroup_of, token};
use super::support::World;
use super::support::processes::{eventually, with_argument};

const EGRESS: &str = env!("CARGO_BIN_EXE_egress");

/// What tells how a process was started.
const FILES: [&str; 7] = [
    "/proc/self/status",
    "/proc/self/limits",
    "/proc/self/oom_score_adj",
    "/proc/self/timerslack_ns",
    "/proc/self/personality",
    "/proc/self/coredump_filter",
    "/proc/self/stat",
];

/// Of /proc/self/status, what a caller chooses.
const CHOSEN: [&str; 8] = [
    "Umask:",
    "Groups:",
    "SigBlk:",
    "SigIgn:",
    "SigCgt:",
    "Cpus_allowed:",
    "Mems_allowed:",
    "THP_enabled:",
];

/// Lines of shell by which a caller makes itself unusual; `"$@"` is what it starts.
const CALLERS: [&str; 5] = [
    "true",
    "set -- env --ignore-signal=PIPE \"$@\"",
    "set -- env --ignore-signal=CHLD,HUP,USR2,WINCH \"$@\"",
    "set -- env --block-signal=TERM,CHLD,USR1,PIPE,URG \"$@\"",
    "umask 027 && ulimit -Sn 500 && ulimit -Hn 600 && ulimit -c 0 && ulimit -s 4096 \
     && echo 321 > /proc/self/oom_score_adj && set -- nice -n 5 chrt --batch 0 taskset 1 \"$@\"",
];

/// What of [`FILES`] a caller chooses.
fn chosen(text: &str) -> Vec<String> {
    let is_status = |line: &&str| line.starts_with("Name:\t") || line.contains(":\t");
    let status = text.lines().filter(is_status);
    let status = status.filter(|line| CHOSEN.iter().any(|key| line.starts_with(key)));
    let mut chosen: Vec<_> = status.map(str::to_owned).collect();
    chosen.extend(text.lines().filter(|line| !is_status(line)).map(|line| {
        match line.rsplit_once(") ") {
            // proc_pid_stat(5): nice is the 19th field, rt_priority and policy the 40th and 41st.
            Some((_, fields)) => {
                let fields: Vec<_> = fields.split(' ').collect();
                format!("nice {} policy {:?}", fields[19 - 3], &fields[40 - 3..=41 - 3])
            }
            None => line.to_owned(),
        }
    }));
    chosen
}

#[test]
#[ignore = "kernel: needs root"]
fn a_command_is_started_as_its_caller_would_start_it() {
    let world = World::new().build();
    for caller in CALLERS {
        let cat = || std::iter::once("cat").chain(FILES);
        let direct = world.direct().after(caller).run(cat());
        let filtered = world.egress(&[]).after(caller).run(cat());
        let (direct, filtered) =
            (chosen(&direct.succeeded().text()), chosen(&filtered.succeeded().text()));
        assert!(direct.len() > CHOSEN.len() + 16, "{direct:?}");
        assert_eq!(direct, filtered, "behind {caller}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_blocked_signal_stays_blocked_and_an_ignored_one_ignored() {
    let world = World::new().build();
    let caller = "set -- env --ignore-signal=USR1 --block-signal=USR2 \"$@\"";
    let script = "kill -USR1 $$; kill -USR2 $$; echo alive";
    world.direct().after(caller).shell(script).succeeded().printed("alive\n");
    world.egress(&[]).after(caller).shell(script).succeeded().printed("alive\n");
    // And without that it ends the command.
    world.egress(&[]).shell(script).exited(128 + 10).printed("");
}

#[test]
#[ignore = "kernel: needs root"]
fn the_init_holds_nothing_of_its_parent() {
    let world = World::new().build();
    let reaper = token(&world);
    let running =
        world.egress(&[]).idle_stdin().start(["sh", "-c", "echo ready; read x", &reaper.token]);
    running.says("ready");
    let boxed = with_argument(&reaper.token).into_iter().find(|id| cgroup_is_a_box(*id));
    let init = init_of(boxed.expect("the command runs in a box"));
    let open = |process: i32| -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{process}/fd")).expect("list descriptors");
        let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.display().to_string()).collect()
    };
    let parents = open(running.pid().as_raw());
    let held = |kind: &str| parents.iter().any(|link| link.starts_with(kind));
    assert!(held("anon_inode:bpf") && held("socket:"), "{parents:?}");
    // What remains is what the test itself was started with.
    let own = open(init);
    let of_parent =
        ["anon_inode:bpf", "anon_inode:[eventpoll]", "anon_inode:[pidfd]", "/sys", "/proc"];
    let handed = |link: &&String| of_parent.iter().any(|kind| link.starts_with(kind));
    assert_eq!(own.iter().find(handed), None, "{own:?}");
    let sockets: Vec<_> = own.iter().filter(|link| link.starts_with("socket:")).collect();
    assert_eq!(sockets.len(), 1, "{own:?}");
    assert!(!parents.contains(sockets[0]), "{own:?} and {parents:?}");
    running.finish();
}

/// The init of the sandbox that a process is in.
pub(super) fn init_of(process: i32) -> i32 {
    let processes = std::fs::read_to_string(cgroup_of(process).join("box/cgroup.procs"))
        .expect("read the processes of the box");
    let inits = with_argument("egress-init");
    let mut found = processes.lines().filter_map(|line| line.parse().ok());
    found.find(|id| inits.contains(id)).expect("the box has an init")
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn nobody_gets_an_init_by_hand() {
    let world = World::new().build();
    let refused = |out: super::support::Finished<'_>| {
        out.exited(2).printed("").complained("`egress run`");
        assert_eq!(out.complaints().matches("egress: ").count(), 1, "{out}");
    };
    refused(world.direct().run([EGRESS, "egress-init"]));
    refused(world.direct().run([EGRESS, "egress-init", "--help"]));
    refused(world.direct().run([EGRESS, "egress-init", "0"]));
    refused(world.direct().run([EGRESS, "egress-init", "99999999999"]));
    let (passed, _other) = UnixStream::pair().expect("make a socket pair");
    refused(world.direct().pass(passed, 5).run([EGRESS, "egress-init", "5"]));
    let alone = ["unshare", "--pid", "--fork", "--kill-child", EGRESS, "egress-init", "5"];
    refused(world.direct().run(alone));
    // From inside, where there is one already.
    let options = &["--user", "root", "--capabilities", "none"];
    refused(world.egress(options).run([EGRESS, "egress-init", "5"]));
}

/// An init that was started by a thread that has ended, in a cgroup without programs.
fn started_elsewhere(host: &Host) -> (Init, Cgroup) {
    let cgroup = Cgroup::create(&host.cgroup2, &host.pins).expect("make a cgroup");
    let command = Command {
        program: "true".into(),
        arguments: Vec::new(),
        user: None,
        capabilities: Capabilities::None,
    };
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let init = Init::spawn(&cgroup, &command).expect("start an init");
        // From where on its parent's death would kill it.
        let comm = init.proc().ancestors().nth(2).expect("/proc/ID").join("comm");
        eventually("the init has begun", || {
            std::fs::read(&comm).is_ok_and(|name| name == b"egress-init\n")
        });
        sender.send((gettid(), cgroup, init)).expect("hand the init over");
    });
    let (thread_id, cgroup, init) = receiver.recv().expect("an init");
    thread.join().expect("the thread ends");
    // The kernel tells a thread's children of its death before it is gone from here.
    let thread_id = thread_id.to_string();
    eventually("the thread is gone", || !Path::new("/proc/self/task").join(&thread_id).exists());
    (init, cgroup)
}

fn host() -> Host {
    set_executable(EGRESS.as_ref());
    Host::prepare().expect("find where sandboxes are made")
}

/// Only a live init says what is wrong with an order that comes too early.
#[track_caller]
fn is_alive(init: &mut Init) {
    match init.start() {
        Err(InitError::Failed { code: 125, text }) if text.contains("Probe") => {}
        other => panic!("the init is dead, or did not object: {other:?}"),
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_sandbox_outlives_the_thread_that_started_it() {
    let host = host();
    let (mut init, _cgroup) = started_elsewhere(&host);
    is_alive(&mut init);
}

#[test]
#[ignore = "kernel: needs root"]
fn many_threads_start_sandboxes_at_once() {
    let host = host();
    std::thread::scope(|threads| {
        let starts: Vec<_> = (0..10).map(|_| threads.spawn(|| started_elsewhere(&host))).collect();
        let mut inits: Vec<_> =
            starts.into_iter().map(|start| start.join().expect("it starts")).collect();
        // One that ends takes no other with it.
        drop(inits.pop());
        inits.iter_mut().for_each(|(init, _)| is_alive(init));
    });
}

#[test]
#[ignore = "kernel: needs root"]
fn the_end_of_one_init_is_waited_for() {
    let host = host();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("start a runtime");
    let (killed, _cgroup) = started_elsewhere(&host);
    let (other, _other_cgroup) = started_elsewhere(&host);
    assert_eq!(killed.ended(), None);
    killed.signal(Signal::SIGKILL);
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            code = end_of(&other) => panic!("the other one ended: {code:?}"),
            code = end_of(&killed) => code.expect("wait for it"),
        }
    });
    assert_eq!((ended, killed.ended(), other.ended()), (128 + 9, Some(128 + 9), None));
}

#[test]
#[ignore = "kernel: needs root"]
fn an_init_ends_with_its_handle() {
    let host = host();
    let (init, _cgroup) = started_elsewhere(&host);
    let process = init.proc();
    let process = process.ancestors().nth(2).expect("/proc/ID");
    assert!(process.exists());
    drop(init);
    assert!(!process.exists(), "{} is left", process.display());
}
