//! Whatever the host has mounted, and however it is named: a run starts, and is isolated.
use super::support::{Client, Finished, PYTHON, World};
use super::{ALLOWED, OTHER, SECRET, two_sites};

/// Python that writes itself into the cgroups behind the files that it is given, and connects. The
/// names come in the environment, where they may be of any bytes.
const MOVE: &str = "import os, socket\n\
    for name in os.environb[b'FILES'].split(b'|'):\n  \
      try:\n    \
        with open(name, 'w') as f: f.write('0')\n    \
        print('moved')\n  \
      except OSError as e: print(e.strerror)\n\
    try: s = socket.create_connection(('OTHER', 22), 5); s.sendall(b'SECRET'); print('sent')\n\
    except OSError as e: print(e.strerror)";

struct Mounted {
    world: World,
}

impl Mounted {
    fn new() -> Self {
        let world = two_sites();
        std::fs::create_dir(world.path("m")).expect("make a directory");
        Mounted { world }
    }

    /// `line` of shell mounts, in the directory `m` of the world, and sets FILES.
    fn run<'w>(&'w self, client: Client<'w>, line: &str) -> Finished<'w> {
        let line = format!("cd {} && {line} && export FILES", self.world.path("m").display());
        let attempt = MOVE.replace("OTHER", OTHER).replace("SECRET", SECRET);
        client.after(&line).run([PYTHON, "-c", attempt.as_str()])
    }

    /// Claims that without the filter the files lead out, and that a run starts all the same and they
    /// do not lead out of it.
    #[track_caller]
    fn hold(&self, line: &str) {
        let arrived = || self.world.arrived_at(OTHER).count();
        let before = arrived();
        let out = self.run(self.world.egress(ALLOWED), line);
        assert!(!out.succeeded().text().contains("sent"), "{line}\n{out}");
        assert_eq!(arrived(), before, "{line}: something arrived\n{out}");
        let out = self.run(self.world.direct(), line);
        assert!(out.text().starts_with("moved") && out.text().ends_with("sent\n"), "{line}\n{out}");
        assert!(arrived() > before, "{line}\n{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn names_of_any_bytes_are_mount_points_like_others() {
    let mounted = Mounted::new();
    // In the words of printf(1).
    for name in [
        r"plain",
        r"latin\344\377",
        r"line\nbreak",
        r"blank tab\tback\134slash",
        r"\134040",
        r"a - b",
        r"\001\033[2J",
    ] {
        mounted.hold(&format!(
            "d=\"$PWD/$(printf '{name}')\" && mkdir -p \"$d\" && mount -t cgroup2 none \"$d\" && FILES=\"$d/cgroup.procs\""
        ));
    }
    // Names in the way only: nothing of the kernel's is mounted there.
    mounted.hold(
        "mkdir -p x \"$(printf 'n\\377')\" && mount -t tmpfs none \"$(printf 'n\\377')\" && \
         mount -t cgroup2 none x && FILES=$PWD/x/cgroup.procs",
    );
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn single_files_of_the_kernel_are_hidden() {
    let mounted = Mounted::new();
    let groups = "mkdir -p x && mount -t cgroup2 none x && : >file";
    mounted.hold(&format!("{groups} && mount --bind x/cgroup.procs file && FILES=$PWD/file"));
    // What it is of is gone from sight.
    mounted.hold(&format!(
        "{groups} && mount --bind x/cgroup.procs file && umount x && FILES=$PWD/file"
    ));
    // One over the other, and one in a directory that is mounted itself.
    mounted.hold(&format!(
        "{groups} && mount --bind x/cgroup.procs file && mount --bind x/cgroup.threads file && \
         mount --bind x/cgroup.procs file && FILES=$PWD/file"
    ));
    mounted.hold(&format!(
        "{groups} && mkdir -p y && mount -t tmpfs none y && : >y/f && mount --bind x/cgroup.procs y/f && FILES=$PWD/y/f"
    ));
}

#[test]
#[ignore = "kernel: needs root"]
fn mounts_below_others_keep_no_run_from_starting() {
    let mounted = Mounted::new();
    let groups = "mkdir -p x/y z && mount -t cgroup2 none x/y && mount -t cgroup2 none z";
    let files = "FILES=$PWD/z/cgroup.procs";
    // A file system over the parent: of another kind, empty; with the same directories; with a file or
    // a link in place of one.
    for over in [
        "mount -t tmpfs none x",
        "mount -t tmpfs none x && mkdir x/y",
        "mount -t tmpfs none x && : >x/y",
        "mount -t tmpfs none x && ln -s /etc x/y",
        "mount -t tmpfs none x && ln -s y x/y",
        "mount -t tmpfs none x/y",
        "mount -t tmpfs none x && mkdir x/y && mount -t cgroup2 none x/y",
    ] {
        mounted.hold(&format!("{groups} && {over} && {files}"));
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_newer_sysfs_over_the_old_one_is_closed_too() {
    let mounted = Mounted::new();
    let newer = "mount -t sysfs none /sys && mount -t cgroup2 none /sys/fs/cgroup";
    mounted.hold(&format!("{newer} && FILES=/sys/fs/cgroup/cgroup.procs"));
    mounted.hold(&format!(
        "{newer} && mount -t tmpfs none /sys && {newer} && FILES=/sys/fs/cgroup/cgroup.procs"
    ));
    // Opened and not written: a filter that fails here must not disturb the host.
    let attempt = "(: >>/sys/kernel/mm/ksm/run) 2>/dev/null && echo opened; true";
    mounted.world.direct().after(newer).shell(attempt).printed("opened\n");
    mounted.world.egress(&[]).after(newer).shell(attempt).succeeded().printed("");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_machine_without_sys_or_with_a_read_only_one_is_no_other() {
    let mounted = Mounted::new();
    let files = "FILES=$PWD/x/cgroup.procs";
    let groups = "mkdir -p x && mount -t cgroup2 none x";
    mounted.hold(&format!("{groups} && umount -R /sys && {files}"));
    mounted.hold(&format!("{groups} && mount -o remount,ro,bind /sys && {files}"));
    mounted.hold(&format!("{groups} && mount -t tmpfs -o ro none /sys && {files}"));
}

#[test]
#[ignore = "kernel: needs root"]
fn a_table_of_two_thousand_mounts_is_read_to_its_end() {
    let mounted = Mounted::new();
    let many = "import ctypes, os\nlibc = ctypes.CDLL(None)\n\
        for n in range(2000):\n  \
          d = b'n%d' % n; os.path.isdir(d) or os.mkdir(d)\n  \
          assert libc.mount(b'n0' if n else b'none', d, b'tmpfs', 0 if n == 0 else 4096, None) == 0";
    mounted.hold(&format!(
        "{PYTHON} -c \"{many}\" && mkdir -p x && mount -t cgroup2 none x && FILES=$PWD/x/cgroup.procs"
    ));
}

#[test]
#[ignore = "kernel: needs root"]
fn a_proc_that_hides_processes_starts_like_any_other() {
    let mounted = Mounted::new();
    let groups = "mkdir -p x p && mount -t cgroup2 none x && FILES=$PWD/x/cgroup.procs";
    // An instance of its own: the host's keeps its options.
    mounted.hold(&format!("{groups} && mount -t proc -o hidepid=invisible none /proc"));
    mounted.hold(&format!("{groups} && mount -t proc -o hidepid=ptraceable,subset=pid none /proc"));
    // A second one, and one of its directories.
    let attempt = "ls -d p/[0-9]* p/self 2>/dev/null; (: >>p/sys/net/ipv4/ip_forward) 2>/dev/null && echo opened; true";
    for (line, finds) in
        [("mount -t proc none p", true), ("mkdir -p p/sys && mount --bind /proc/sys p/sys", false)]
    {
        let line = format!("cd {} && mkdir -p p && {line}", mounted.world.path("m").display());
        let out = mounted.world.direct().after(&line).shell(attempt);
        out.said("opened");
        assert!(!finds || out.text().contains("p/self"), "{out}");
        mounted.world.egress(&[]).after(&line).shell(attempt).succeeded().printed("");
    }
}
