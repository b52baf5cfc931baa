//! What the command is handed: no descriptor leads to what its mounts hide.
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::place::{HIDDEN, Services, moving};
use super::support::processes::eventually;
use super::support::{Client, EGRESS, PYTHON, skip};
use super::{ALLOWED, OTHER, SECRET, two_sites};

/// Opens it as a path only.
fn as_path(path: impl AsRef<Path>) -> File {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags).open(path).expect("open a path")
}

#[test]
#[ignore = "kernel: needs root"]
fn a_standard_stream_that_leads_outside_is_refused() {
    let world = two_sites();
    let groups = world.path("groups");
    std::fs::create_dir(&groups).expect("make a mount point");
    let mount = format!("mount -t cgroup2 none {}", groups.display());
    let procs = format!("{mount} && exec <{}/cgroup.procs", groups.display());
    let attempt = moving("/proc/self/fd/0");
    let out = world.egress(ALLOWED).after(&procs).run([PYTHON, "-c", &attempt]);
    assert!(!out.text().contains("sent"), "{out}");
    world.arrived_at(OTHER).none();
    out.exited(125).complained("stdin is a file of the kernel's");
    world.direct().after(&procs).run([PYTHON, "-c", &attempt]).said("moved\nsent");
    world.arrived_at(OTHER).some();

    for (redirection, what) in [
        ("exec </proc/1/status", "stdin is a file of the kernel's"),
        ("exec >>/proc/self/comm", "stdout is a file of the kernel's"),
        ("exec </sys/kernel/mm/ksm/run", "stdin is a file of the kernel's"),
        ("exec </proc/self/ns/net", "stdin is a file of the kernel's"),
        ("exec 2>&1 0</run", "stdin is a directory"),
    ] {
        let out = world.egress(&[]).after(redirection).run(["true"]);
        let told = format!("{}{}", out.text(), out.complaints());
        out.exited(125);
        assert!(told.contains(what), "{redirection}\n{out}");
    }
    for of in ["/dev/null", "/run", "/etc/passwd"] {
        world.egress(&[]).pass(as_path(of), 0).run(["true"]).exited(125).complained("stdin is a");
    }
    let events = nix::sys::eventfd::EventFd::new().expect("make an event counter");
    world.egress(&[]).pass(events, 0).run(["true"]).exited(125).complained("no file");
    // What a shell passes every day.
    let file = File::open(world.file("data", "data")).expect("open a file");
    world.egress(&[]).pass(file, 0).run(["cat"]).succeeded().printed("data");
    world.egress(&[]).after("exec </dev/null").run(["cat"]).succeeded().printed("");
}

/// Descriptors that are opened as paths only.
struct Paths([File; 3]);

impl Paths {
    fn pass_to<'w>(&self, client: Client<'w>) -> Client<'w> {
        client.pass(&self.0[0], 5).pass(&self.0[1], 7).pass(&self.0[2], 9)
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn no_path_descriptor_survives() {
    let services = Services::new();
    let world = &services.world;
    let fifo = services.run.join("podman/fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666))
        .expect("make a pipe");
    let socket = services.run.join("docker.sock");
    let opened = Paths([&services.run, &socket, &fifo].map(as_path));
    let ways = ["/proc/self/fd/5/docker.sock", "/proc/self/fd/7"].map(|way| format!("unix {way}"));
    let out = opened.pass_to(world.direct()).probes(&ways);
    for way in &ways {
        out.probe(way, &["ok"]);
    }
    eventually("the service was heard twice", || services.reached.load(Ordering::SeqCst) == 2);
    let out = opened.pass_to(world.egress(&[])).probes(&ways);
    for way in &ways {
        out.probe(way, HIDDEN);
    }
    assert_eq!(services.reached.load(Ordering::SeqCst), 2, "the service was reached\n{out}");
    let left = "for n in 5 7 9; do [ -e /proc/self/fd/$n ] && echo $n; [ -L /proc/self/fd/$n ] && echo $n; done; true";
    opened.pass_to(world.egress(&[])).shell(left).succeeded().printed("");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_handle_on_a_process_outside_is_refused() {
    let world = two_sites();
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let holder = format!(
        "import socket, sys\ns = socket.create_connection(('{OTHER}', 22)); print('at', s.fileno(), flush=True)\n\
         sys.stdin.readline()"
    );
    let outside = world.direct().idle_stdin();
    let outside = outside.start(nobody.into_iter().chain([PYTHON, "-c", &holder]));
    let said = outside.says("\n");
    let number = said.trim().strip_prefix("at ").expect("a descriptor's number").to_owned();
    // Takes the socket out of the process behind stdin, and writes.
    let attempt = format!(
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n\
         n = libc.syscall(ctypes.c_long(438), 0, {number}, 0)\n\
         print('got it' if n >= 0 else os.strerror(ctypes.get_errno()))\n\
         if n >= 0: os.write(n, b'{SECRET}')"
    );
    let handle = || {
        // The one that opens it becomes the command.
        format!(
            "import os, sys; os.dup2(os.pidfd_open({}), 0); os.execvp(sys.argv[1], sys.argv[1:])",
            outside.pid()
        )
    };
    let egress = [EGRESS, "run", "--user", "nobody", "--"];
    let opened = [PYTHON, "-c", &handle()].map(str::to_owned);
    let under = opened
        .iter()
        .cloned()
        .chain(egress.map(str::to_owned))
        .chain([PYTHON, "-c", &attempt].map(str::to_owned));
    let out = world.direct().run(under);
    world.arrived_at(OTHER).without(SECRET);
    out.exited(125).complained("stdin is a");
    let direct = opened
        .into_iter()
        .chain(nobody.map(str::to_owned))
        .chain([PYTHON, "-c", &attempt].map(str::to_owned));
    let out = world.direct().run(direct);
    if !out.text().contains("got it") {
        return skip("this kernel keeps processes of one user from each other (Yama)");
    }
    let arrived = || world.arrived_at(OTHER).payload() >= SECRET.len();
    eventually("the twin's bytes arrive", arrived);
}
