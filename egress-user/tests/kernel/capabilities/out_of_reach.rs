//! What stays out of reach with a container's capabilities: the network's settings, the kernel's programs and files,
//! other processes, and what names are believed.
use std::path::Path;

use super::super::support::{CLIENT, EGRESS, NAME_SERVER, PYTHON, World};
use super::super::{OTHER, REFUSED, SECRET, two_sites};
use super::{CONTAINER, STRANGER};

#[test]
#[ignore = "kernel: needs root"]
fn the_network_is_not_theirs_to_change() {
    let world = two_sites();
    let connect = format!("connect {OTHER} 443");
    let inside = |line: &str| {
        let line = format!("({line}) >/dev/null 2>&1 && echo done; {PYTHON} probe.py '{connect}'");
        let out = world.egress(CONTAINER).shell(&line);
        assert!(!out.text().contains("done"), "{line}\n{out}");
        out.probe(&connect, REFUSED);
    };
    for line in [
        "ip link set lo down",
        "ip route add 192.0.2.0/24 via 93.184.216.1",
        "ip addr add 192.0.2.7/32 dev lo",
        "nft add table ip made_by_a_test",
        "unshare -Ur nft add table ip made_by_a_test",
        "unshare -Ur ip link add made type dummy",
        "nsenter --net=/proc/1/ns/net true",
        "nsenter --mount=/proc/1/ns/mnt true",
        "unshare -Ur nsenter --net=/proc/1/ns/net ip link set lo down",
        "mount -t tmpfs none /mnt",
        "mount -t bpf none /mnt",
        "mount -t cgroup2 none /mnt",
        "mount -o remount,bind,rw /proc/sys",
        "unshare -Urm mount -o remount,bind,rw /proc/sys",
        "umount -l /run",
        "umount -l /proc/sys",
        "unshare -Urm umount -l /run",
        "unshare -Urm umount -l /proc/sys",
        "unshare -Urmpf mount -t proc proc /mnt",
        "unshare -Urmn mount -t sysfs sys /mnt",
        "mknod made c 1 3",
        "unshare -Ur mknod made c 1 3",
    ] {
        inside(line);
    }
    world.arrived().without(SECRET);
    // Without the filter root does the harmless ones of these.
    world.direct().shell("ip addr add 192.0.2.7/32 dev lo && mknod made c 1 3").succeeded();
}

#[test]
#[ignore = "kernel: needs root"]
fn no_process_is_read_or_written_through_proc() {
    let world = World::new().build();
    // Process 1 is egress itself, with every capability.
    let attempts = "for file in mem maps environ auxv syscall stack io; do \
        head -c1 /proc/1/$file >/dev/null 2>&1 && echo read $file; done; \
        for link in cwd root exe fd/0 ns/net ns/mnt; do \
        readlink /proc/1/$link >/dev/null 2>&1 && echo followed $link; done; \
        ls -d /proc/1/root/ 2>/dev/null; \
        (: >> /proc/1/mem) 2>/dev/null && echo written; true";
    let out = world.egress(CONTAINER).shell(attempts);
    out.succeeded().printed("");
    let attach = "import ctypes; c = ctypes.CDLL(None, use_errno=True); \
                  print(c.ptrace(16, 1, 0, 0), c.syscall(438, c.syscall(434, 1, 0), 0, 0))";
    world.egress(CONTAINER).run([PYTHON, "-c", attach]).succeeded().printed("-1 -1\n");
    // By a user namespace of its own, too.
    let out = world.egress(CONTAINER).shell(&format!("unshare -Ur sh -c '{attempts}'"));
    out.succeeded().printed("");
    // Signals that it does not die of, and that reach nobody outside.
    let kill = "kill -KILL 1; kill -STOP 1; kill -SEGV 1; echo still here";
    world.egress(CONTAINER).shell(kill).succeeded().printed("still here\n");
}

/// Python that asks for the first program, map and link of the kernel (BPF_PROG_GET_NEXT_ID and the like).
const NEXT_IDS: &str = "import ctypes, os\n\
    c = ctypes.CDLL(None, use_errno=True)\n\
    bpf = {'x86_64': 321, 'aarch64': 280}[os.uname().machine]\n\
    for command in (11, 12, 31):\n  \
      attributes = ctypes.create_string_buffer(12)\n  \
      print('seen' if c.syscall(bpf, command, attributes, 12) == 0 else os.strerror(ctypes.get_errno()))";

#[test]
#[ignore = "kernel: needs root"]
fn the_kernels_programs_are_out_of_reach() {
    let world = World::new().build();
    let refused = "Operation not permitted\n".repeat(3);
    let running = world.egress(CONTAINER).idle_stdin().start(["sh", "-c", "echo ready; read x"]);
    running.says("ready");
    world.egress(CONTAINER).run([PYTHON, "-c", NEXT_IDS]).succeeded().printed(&refused);
    let own = ["unshare", "-Urm", PYTHON, "-c", NEXT_IDS];
    world.egress(CONTAINER).run(own).succeeded().printed(&refused);
    // A bpffs of its own, where the kernel lets it have one, has nothing of ours in it.
    let mounted = "unshare -Urm sh -c 'mount -t bpf none /mnt && ls -A /mnt'; true";
    world.egress(CONTAINER).shell(mounted).succeeded().printed("");
    world.direct().run([PYTHON, "-c", NEXT_IDS]).succeeded().printed(&"seen\n".repeat(3));
    running.finish();
}

/// Python that looks for a shared memory segment by its key, shmget(2), as any user.
const SEGMENT: &str = "import ctypes, os, sys\n\
    c = ctypes.CDLL(None, use_errno=True)\n\
    if len(sys.argv) > 2: os.setuid(int(sys.argv[2]))\n\
    print('found' if c.shmget(int(sys.argv[1]), 0, 0) >= 0 else os.strerror(ctypes.get_errno()))";

#[test]
#[ignore = "kernel: needs root"]
fn other_users_shared_memory_is_out_of_reach() {
    let world = World::new().build();
    let key = std::process::id().to_string();
    let owner = STRANGER.to_string();
    let make = format!(
        "import ctypes, os; os.setuid({owner}); print(ctypes.CDLL(None).shmget({key}, 4096, 0o1600))"
    );
    let made = world.direct().run([PYTHON, "-c", &make]);
    let id = made.succeeded().text().trim().to_owned();
    assert!(!id.starts_with('-'), "{made}");
    let as_owner = [PYTHON, "-c", SEGMENT, &key, &owner];
    let outside = world.direct().run(as_owner).text();
    let inside = world.egress(CONTAINER).run(as_owner).text();
    world.direct().run(["ipcrm", "-m", &id]).succeeded();
    assert_eq!((outside.as_str(), inside.as_str()), ("found\n", "No such file or directory\n"));
}

/// Python that answers every question on port 53 of an address, by UDP and TCP, with one address.
const SERVER: &str = "import socket, struct, sys, threading\n\
    def answer(q): return q[:2] + b'\\x81\\x80' + q[4:6] + b'\\0\\1\\0\\0\\0\\0' + q[12:q.index(b'\\0', 12) + 5] + \
      b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4' + socket.inet_aton('OTHER')\n\
    tcp = socket.socket(); tcp.setsockopt(1, 2, 1); tcp.bind((sys.argv[1], 53)); tcp.listen()\n\
    udp = socket.socket(type=socket.SOCK_DGRAM); udp.setsockopt(1, 2, 1); udp.bind((sys.argv[1], 53))\n\
    def streams():\n  \
      while True:\n    \
        s = tcp.accept()[0]; q = answer(s.recv(500)[2:]); s.sendall(struct.pack('!H', len(q)) + q)\n\
    threading.Thread(target=streams, daemon=True).start()\n\
    print('listens', flush=True)\n\
    while True:\n  \
      q, asker = udp.recvfrom(500)\n  \
      try: udp.sendto(answer(q), asker)\n  \
      except OSError as e: print(e.strerror, flush=True)";

#[test]
#[ignore = "kernel: needs root"]
fn a_low_port_makes_no_name_server_of_it() {
    let world = two_sites();
    let server = SERVER.replace("OTHER", OTHER);
    for address in ["127.0.0.1", CLIENT] {
        let conf = world.file("own.conf", format!("nameserver {address}\n"));
        let path = std::fs::canonicalize("/etc/resolv.conf").expect("find resolv.conf");
        let path = path.display().to_string();
        // Every name server of the machine is away, and the command takes its place.
        let ask = format!(
            "{PYTHON} server.py {address} & \
             {PYTHON} probe.py 'resolve allowed.test' 'connect {OTHER} 443'; kill $!; true"
        );
        world.file("server.py", &server);
        let inside = world.egress(CONTAINER).mount(&conf, &path).shell(&ask);
        assert!(!inside.text().contains("=> ok"), "{address}\n{inside}");
        inside.said("listens");
        // One that others of the machine ask is not answered either.
        let running = world.egress(CONTAINER).idle_stdin().start([PYTHON, "server.py", address]);
        running.says("listens");
        let dig =
            ["dig", "+short", "+tries=1", "+time=1", &format!("@{address}"), "allowed.test", "A"];
        world.direct().run(dig).exited(9);
        running.says("Operation not permitted");
        drop(running);
        // Without the filter it is one.
        let running = world.direct().idle_stdin().start([PYTHON, "server.py", address]);
        running.says("listens");
        world.direct().run(dig).succeeded().printed(&format!("{OTHER}\n"));
    }
    world.arrived_at(OTHER).none();
    assert!(world.queries().iter().all(|query| query.server.to_string() != NAME_SERVER), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn nothing_of_egress_is_theirs_to_write() {
    let world = two_sites();
    let own = Path::new(EGRESS).display();
    // Opened, and nothing is written: a filter that fails here must not disturb the host.
    let writes = "for file in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs /sys/fs/bpf/* \
        /run/egress/status/* /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/core_pattern /proc/sysrq-trigger \
        /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run /proc/1/oom_score_adj.; do \
        [ -e $file ] && (: >>$file) 2>/dev/null && echo opened $file; done; \
        ls -A /run/egress 2>/dev/null; ls -A /sys/fs/bpf 2>/dev/null; true";
    world.egress(CONTAINER).shell(writes).succeeded().printed("");
    // Not by a user namespace of its own, whose root has these files' owner mapped.
    let line = format!("unshare -UrmC sh -c '{}'", writes.replace('\'', ""));
    world.egress(CONTAINER).shell(&line).succeeded().printed("");
    // A run within finds no place, and changes nothing of the one around it.
    let out =
        world.egress(CONTAINER).shell(&format!("{own} run -- echo started; {own} status; true"));
    assert!(!out.text().contains("started"), "{out}");
}
