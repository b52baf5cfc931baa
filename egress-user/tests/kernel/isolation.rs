//! What a process may ask of the kernel and of the machine outside, besides sockets.
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::support::{EGRESS, PYTHON, World, cgroup2};
use super::{ALLOWED, SITE, two_sites};

/// IP protocol number of group reports.
const IGMP: u8 = 2;

/// Python that joins groups of both families by every option that joins, and says how it went.
const JOIN: &str = "import socket, struct, os\n\
    index = socket.if_nametoindex('client0')\n\
    v4 = socket.inet_aton('239.83.69.67')\n\
    v6 = socket.inet_pton(socket.AF_INET6, 'ff15:5345:4352:4554::1')\n\
    def group(address, family):\n  \
      start = struct.pack('HH4s', family, 0, address) if family == 2 else struct.pack('HHI16s', family, 0, 0, address)\n  \
      return struct.pack('I4x', index) + start.ljust(128, bytes(1))\n\
    tries = [(2, 0, 35, v4 + socket.inet_aton('93.184.216.2')), (2, 0, 42, group(v4, 2)),\n  \
      (10, 41, 20, v6 + struct.pack('I', index)), (10, 41, 42, group(v6, 10))]\n\
    for family, level, option, value in tries:\n  \
      s = socket.socket(family, socket.SOCK_DGRAM)\n  \
      try: s.setsockopt(level, option, value); print(level, option, 'joined')\n  \
      except OSError as e: print(level, option, e.strerror)";

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn joining_a_group_tells_the_network_nothing() {
    let world = two_sites();
    let out = world.egress(ALLOWED).run([PYTHON, "-c", JOIN]);
    out.succeeded();
    assert_eq!(out.text().matches("Operation not permitted").count(), 4, "{out}");
    world.arrived_at("224.0.0.22").of(IGMP).none();
    // Without the filter the report names the group, which is the program's to choose.
    world.direct().run([PYTHON, "-c", JOIN]).succeeded().said("joined");
    super::support::processes::eventually("the reports arrive", || {
        world.arrived().of(IGMP).count() > 0
    });
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn nothing_is_typed_into_a_terminal_or_joined_to_a_network() {
    let world = World::new().build();
    // EPERM from the filter; a file that is no terminal would give ENOTTY. The kernel ignores the
    // request's upper half, and so must the filter.
    let attempt = "import ctypes\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        for request in (0x5412, 0x541c, 0x100005412, 0xffffffff0000541c, *REQUESTS):\n  \
          ctypes.set_errno(0)\n  \
          libc.syscall(ctypes.c_long(IOCTL), ctypes.c_long(0), ctypes.c_ulong(request), b'x')\n  \
          print(ctypes.get_errno())";
    // TUNSETIFF, TUNSETQUEUE; of ppp and vhost what joins a descriptor to a network.
    let requests = "(0x400454ca, 0x400454d9, 0xc004743e, 0x4004743d, 0x40047438, 0x4008af30, 0x4008af60, 0x4004af61)";
    let attempt = attempt.replace("REQUESTS", requests);
    let attempt = attempt.replace("IOCTL", &libc::SYS_ioctl.to_string());
    world.egress(&[]).run([PYTHON, "-c", &attempt]).succeeded().printed(&"1\n".repeat(12));
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn keyrings_are_absent() {
    let world = World::new().build();
    let attempt = format!(
        "import ctypes\n\
         libc = ctypes.CDLL(None, use_errno=True)\n\
         for call in ({}, {}, {}):\n  \
           libc.syscall(ctypes.c_long(call), b'dns_resolver', b'secret.test', b'', ctypes.c_long(-2))\n  \
           print(ctypes.get_errno())",
        libc::SYS_request_key,
        libc::SYS_add_key,
        libc::SYS_keyctl
    );
    let absent = format!("{}\n", libc::ENOSYS).repeat(3);
    world.egress(&[]).run([PYTHON, "-c", &attempt]).succeeded().printed(&absent);
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn second_mounts_of_the_kernels_controls_are_closed() {
    let world = World::new().build();
    let points = ["groups", "processes", "kernel"].map(|name| world.path(name));
    for point in &points {
        std::fs::create_dir(point).expect("make a mount point");
    }
    // Opened and not written: a filter that fails here must not disturb the host.
    let attempt = "for file in groups/cgroup.procs processes/sys/net/ipv4/ip_forward kernel/mm/ksm/run; do \
        (: >>$file) 2>/dev/null && echo opened $file; done; \
        [ -e groups/egress ] && echo sees the other groups; ls processes; true";
    let egress = world.egress(&[]);
    let egress = egress.mount(&cgroup2(), &points[0].display().to_string());
    let egress = egress.mount(Path::new("/proc"), &points[1].display().to_string());
    let egress = egress.mount(Path::new("/sys/kernel"), &points[2].display().to_string());
    egress.shell(attempt).succeeded().printed("");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_service_that_restarts_stays_hidden() {
    let world = World::new().build();
    let run = world.path("run");
    let sockets = ["docker.sock", "podman/podman.sock", "new.sock"].map(|name| run.join(name));
    let serve = |path: &Path| {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("make a directory");
        let listener = UnixListener::bind(path).expect("listen");
        let everyone = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path, everyone).expect("open the socket to all");
        listener
    };
    let before = (serve(&sockets[0]), serve(&sockets[1]));
    std::fs::write(run.join("kept"), "kept").expect("write a file");
    let probes = sockets.iter().map(|path| {
        let name = path.strip_prefix(&run).expect("below run").display().to_string();
        format!("'unix /run/{name}'")
    });
    let probes: Vec<_> = probes.collect();
    let line =
        format!("cat /run/kept; echo; echo ready; read x; {PYTHON} probe.py {}", probes.join(" "));
    let running =
        world.egress(&[]).mount(&run, "/run").idle_stdin().start(["sh", "-c", line.as_str()]);
    running.says("kept\nready");
    // What a service manager does: the socket, or its whole directory, is removed and made anew.
    drop(before);
    std::fs::remove_file(&sockets[0]).expect("remove a socket");
    std::fs::remove_dir_all(run.join("podman")).expect("remove a directory");
    let _after: Vec<_> = sockets.iter().map(|path| serve(path)).collect();
    let out = running.finish();
    out.succeeded();
    assert_eq!(out.text().matches("=> ENOENT").count(), 3, "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_caller_that_ignores_its_children_is_no_reason_to_hang() {
    let world = World::new().build();
    let ignoring = "import os, signal, sys\n\
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
        os.execv(sys.argv[1], [sys.argv[1], 'run', '--', 'sh', '-c', 'sleep 0.1; exit 3'])";
    world.direct().run([PYTHON, "-c", ignoring, EGRESS]).exited(3);
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn nobody_else_can_lock_the_groups() {
    let world = World::new().build();
    // Every run takes this lock when it starts: who holds it would keep them all waiting.
    let attempt = "import fcntl, os, sys\n\
        for line in open('/proc/mounts'):\n  \
          kind, point = line.split()[2], line.split()[1]\n  \
          if kind != 'cgroup2': continue\n  \
          try: fcntl.flock(os.open(point + '/egress', os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB); print('locked')\n  \
          except BlockingIOError: print('could wait for it')\n  \
          except OSError as e: pass";
    world.egress(&[]).run([PYTHON, "-c", attempt]).succeeded().printed("");
    let outside = ["setpriv", "--reuid", "65534", "--clear-groups", PYTHON, "-c", attempt];
    world.direct().run(outside).succeeded().printed("");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_flood_of_refusals_keeps_no_connection_waiting() {
    let world = two_sites();
    let flood = format!(
        "import os, signal, socket, time\n\
         children = []\n\
         for k in range(3):\n  \
           child = os.fork()\n  \
           if child: children.append(child); continue\n  \
           s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); i = 0\n  \
           while True:\n    \
             i += 1\n    \
             try: s.sendto(b'x', ('10.%d.%d.%d' % (k, i // 250 % 250, i % 250), 99))\n    \
             except OSError: pass\n\
         time.sleep(0.5)\n\
         try:\n  \
           socket.getaddrinfo('allowed.test', 22)\n  \
           s = socket.create_connection(('{SITE}', 22), 60); s.settimeout(60)\n  \
           print(s.recv(3).decode())\n\
         finally:\n  \
           for child in children: os.kill(child, signal.SIGKILL)"
    );
    world.egress(ALLOWED).run([PYTHON, "-c", &flood]).succeeded().printed("SSH\n");
}
