//! Ways around: out of the cgroup, through other namespaces, by sockets and files of the host.
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::{Finished, PYTHON, World, landlock_version, skip};
use super::{ALLOWED, OTHER, OTHER_V6, PRIVATE, REFUSED, SECRET, two_sites};

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_new_network_namespace_reaches_nothing() {
    let world = two_sites();
    let probes = format!(
        "'connect {OTHER} 443' 'udp {OTHER} 9999' 'connect {OTHER_V6} 443' 'ping {OTHER}' 'raw {OTHER}'"
    );
    let can_be_made = super::networks::can_be_made(&world);
    for options in ALL {
        for inside in ["unshare -Urn", "unshare -Un", "unshare -UrnmpCf"] {
            let out =
                world.egress(options).shell(&format!("{inside} {PYTHON} probe.py {probes}; true"));
            assert!(!out.text().contains("=> ok"), "{options:?} {inside}\n{out}");
            if can_be_made {
                entered(&out, options, inside);
            }
        }
    }
    world.arrived().none();
    if !can_be_made {
        skip(super::networks::NONE);
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_new_user_namespace_gives_no_rights_here() {
    let world = two_sites();
    let probes =
        format!("'packet client0 {PRIVATE}' 'raw {OTHER}' 'raw-ip {OTHER}' 'connect {OTHER} 443'");
    for options in ALL {
        let inside = format!("unshare -Ur {PYTHON} probe.py {probes}; true");
        let out = world.egress(options).shell(&inside);
        assert!(!out.text().contains("=> ok"), "{options:?}\n{out}");
        entered(&out, options, &inside);
        let down = "unshare -Ur ip link set lo down && echo done; true";
        world.egress(options).shell(down).printed("");
    }
    world.arrived().none();
}

/// As root a sandbox may not map itself into a user namespace; as another user, or with a container's
/// capabilities, it may, and then has every capability in there.
const ALL: [&[&str]; 3] =
    [ALLOWED, &["--allow", "allowed.test", "--user", "nobody"], super::capabilities::CONTAINER];

/// An attempt that never got into its namespaces proves nothing. Hosts may forbid them to users.
fn entered(out: &Finished<'_>, options: &[&str], attempt: &str) {
    let forbidden = std::fs::read_to_string("/proc/sys/user/max_user_namespaces")
        .is_ok_and(|most| most.trim() == "0");
    if options.len() > ALLOWED.len() && !forbidden {
        assert!(out.text().contains("=>"), "the probes did not run: {attempt}\n{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn no_process_moves_itself_out() {
    let world = two_sites();
    let connect = format!("connect {OTHER} 443");
    // Others' groups are opened only, and nothing is written: a filter that fails here must not disturb the host.
    let attempts = "for file in $(find /sys/fs/cgroup -name cgroup.procs 2>/dev/null); do \
        (: >>$file) 2>/dev/null && echo opened $file; done; \
        root=$(awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts)/cgroup.procs; \
        [ -e $root ] && (echo 0 >$root) 2>/dev/null && echo moved";
    let out = world.egress(ALLOWED).shell(&format!("{attempts}; {PYTHON} probe.py '{connect}'"));
    assert!(!out.text().contains("opened") && !out.text().contains("moved"), "{out}");
    out.probe(&connect, REFUSED);
    // With a mount of its own, where the kernel lets it have one: it stays below where it was.
    let own = format!(
        "mount -t cgroup2 none /mnt && echo 0 >/mnt/cgroup.procs; {PYTHON} probe.py '{connect}'"
    );
    for options in ALL {
        let out = world.egress(options).run(["unshare", "-UrmC", "sh", "-c", &own]);
        assert!(!out.text().contains("=> ok"), "{options:?}\n{out}");
        entered(&out, options, &own);
    }
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn the_kernels_own_files_are_closed() {
    let world = World::new().build();
    world.egress(&[]).shell("ls -A /sys/fs/bpf 2>/dev/null; true").succeeded().printed("");
    // Opened and not written, made and removed: a filter that fails here must not disturb the host.
    let writes = "for file in /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/core_pattern /sys/kernel/mm/ksm/run; do \
        (: >>$file) 2>/dev/null && echo opened $file; done; \
        root=$(awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts); made=$root/made-by-a-test; \
        [ -n \"$root\" ] && mkdir $made 2>/dev/null && echo made && rmdir $made; true";
    world.egress(&[]).shell(writes).succeeded().printed("");
}

#[test]
#[ignore = "kernel: needs root"]
fn no_capability_is_left() {
    let world = World::new().build();
    for options in [&[][..], &["--user", "nobody"]] {
        let out = world.egress(options).shell("grep -E '^(Cap|NoNewPrivs)' /proc/self/status");
        for line in out.succeeded().text().lines() {
            let (key, value) = line.split_once(":\t").expect("a status line");
            let expected = if key == "NoNewPrivs" { "1" } else { "0000000000000000" };
            assert_eq!(value, expected, "{key}\n{out}");
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn processes_outside_are_out_of_sight() {
    let world = World::new().build();
    let own = "import os; print(len([p for p in os.listdir('/proc') if p.isdigit()]))";
    let seen = world.egress(&[]).run([PYTHON, "-c", own]);
    let count: usize = seen.text().trim().parse().expect("a number");
    assert!(count <= 3, "{count} processes are seen\n{seen}");
    // The way to the host's root through another process of the same user.
    world.egress(&[]).shell("cat /proc/1/root/proc/1/comm; true").succeeded();
    let outside = std::process::id();
    world
        .egress(&[])
        .shell(&format!("kill -0 {outside} 2>/dev/null && echo reached; true"))
        .printed("");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn inherited_sockets_are_closed() {
    let world = two_sites();
    let connected = world
        .client_netns()
        .enter(|| std::net::TcpStream::connect((OTHER, 22)))
        .expect("connect outside");
    let datagrams = world.client_netns().enter(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("bind outside");
        socket.connect((OTHER, 9999)).expect("connect outside");
        socket
    });
    let (pair, _other_end) = std::os::unix::net::UnixStream::pair().expect("make a socket pair");
    let egress = world.egress(ALLOWED).pass(&connected, 5).pass(&datagrams, 7).pass(&pair, 9);
    let out =
        egress.probes(&["descriptor 5", "descriptor 7", "descriptor 9", "write 5", "write 7"]);
    for probe in ["descriptor 5", "descriptor 7", "descriptor 9"] {
        out.probe(probe, &["ENOENT"]);
    }
    out.probe("write 5", &["EBADF"]).probe("write 7", &["EBADF"]);
    world.arrived().without(SECRET);
    // The same descriptors without the filter: they work.
    let out =
        world.direct().pass(&connected, 5).pass(&datagrams, 7).probes(&["write 5", "write 7"]);
    out.probe("write 5", &["ok"]).probe("write 7", &["ok"]);
}

/// The sockets by which a process talks the host's services into doing its work.
const SERVICES: &[&str] = &[
    "containerd/containerd.sock",
    "dbus/system_bus_socket",
    "docker.sock",
    "nscd/socket",
    "podman/podman.sock",
    "systemd/private",
    "systemd/resolve/io.systemd.Resolve",
    "user/0/bus",
];

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn the_hosts_well_known_sockets_are_hidden() {
    let world = World::new().build();
    let run = world.path("run");
    let reached = Arc::new(AtomicUsize::new(0));
    for service in SERVICES {
        listen(&run.join(service), &reached);
    }
    let ways = ["/run", "/var/run"]
        .into_iter()
        .flat_map(|base| SERVICES.iter().map(move |s| format!("unix {base}/{s}")));
    let probes: Vec<_> = ways.collect();
    // Without the filter each one answers; `/var/run` is a link to `/run` on every current system.
    let out = world.direct().mount(&run, "/run").probes(&probes);
    for probe in &probes {
        out.probe(probe, &["ok"]);
    }
    super::support::processes::eventually("every way was heard", || {
        reached.load(Ordering::SeqCst) == probes.len()
    });
    let out = world.egress(&[]).mount(&run, "/run").probes(&probes);
    for probe in &probes {
        out.probe(probe, &["ENOENT", "EACCES", "EPERM", "ECONNREFUSED"]);
    }
    assert_eq!(
        reached.load(Ordering::SeqCst),
        probes.len(),
        "a service of the host was reached\n{out}"
    );
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_users_multiplexer_and_agent_are_hidden() {
    let world = World::new().build();
    let reached = Arc::new(AtomicUsize::new(0));
    // The names that tmux and ssh-agent give, made unlike anybody's real ones.
    let directories = ["tmux", "ssh"].map(|of| {
        tempfile::Builder::new().prefix(&format!("{of}-egress-")).tempdir_in("/tmp").expect(of)
    });
    let sockets = directories.each_ref().map(|directory| directory.path().join("socket"));
    for socket in &sockets {
        listen(socket, &reached);
    }
    let probes = sockets.each_ref().map(|socket| format!("unix {}", socket.display()));
    for probe in &probes {
        world.direct().probes(&[probe]).probe(probe, &["ok"]);
    }
    super::support::processes::eventually("both were heard", || {
        reached.load(Ordering::SeqCst) == sockets.len()
    });
    let out = world.egress(&[]).probes(&probes);
    for probe in &probes {
        out.probe(probe, &["ENOENT"]);
    }
    assert_eq!(reached.load(Ordering::SeqCst), sockets.len(), "one was reached\n{out}");
}

/// Listens on a unix socket that every user may use, and counts.
pub(super) fn listen(path: &Path, reached: &Arc<AtomicUsize>) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(path.parent().expect("a directory"))
        .expect("make the socket's directory");
    let listener = UnixListener::bind(path)
        .unwrap_or_else(|error| panic!("listen on {}: {error}", path.display()));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
        .expect("open the socket to all");
    let reached = Arc::clone(reached);
    // Ends with the test's process: a listener costs nothing while it waits.
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            reached.fetch_add(1, Ordering::SeqCst);
        }
    });
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn abstract_sockets_of_the_host_are_refused() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let world = World::new().build();
    let name = format!("egress-world-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an abstract name");
    let listener = world
        .client_netns()
        .enter(|| UnixListener::bind_addr(&address))
        .expect("listen on the abstract name");
    let probe = format!("unix @{name}");
    world.direct().probes(&[&probe]).probe(&probe, &["ok"]);
    listener.accept().expect("the unfiltered connection");
    let version = landlock_version();
    if version < 6 {
        return skip(&format!(
            "abstract unix sockets are held by Landlock's scopes, ABI 6 (Linux 6.12); this kernel has ABI {version}"
        ));
    }
    world.egress(&[]).probes(&[&probe]).probe(&probe, &["EPERM", "EACCES", "ECONNREFUSED"]);
}
