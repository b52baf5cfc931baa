//! `--capabilities container`: what root needs for its work, and no way around.
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use super::support::{CLIENT, EGRESS, Finished, NAME_SERVER, PYTHON, World};
use super::{ALLOWED, OTHER, REFUSED, SECRET, two_sites};

mod hostile;

/// As root, with what a container has.
pub(super) const CONTAINER: &[&str] = &["--capabilities", "container", "--allow", "allowed.test"];

/// chown 0, dac_override 1, fowner 3, fsetid 4, kill 5, setgid 6, setuid 7, setpcap 8, net_bind_service 10,
/// sys_chroot 18, audit_write 29, setfcap 31 (linux/capability.h).
const MASK: u64 = 0xa004_05fb;

/// Whoever is neither root nor anybody here.
const STRANGER: u32 = 4242;

/// The lines of a status file (proc_pid_status(5)) that say what a process may do.
fn rights(out: &Finished<'_>) -> Vec<(String, u64)> {
    let text = out.succeeded().text();
    let of = |line: &str| {
        let (key, value) = line.split_once(":\t").expect("a status line");
        (key.to_owned(), u64::from_str_radix(value.trim(), 16).expect("a number"))
    };
    text.lines().filter(|line| line.contains(":\t")).map(of).collect()
}

const STATUS: &str = "grep -hE '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";

#[track_caller]
fn are(out: &Finished<'_>, permitted: u64) {
    let expected = [
        ("CapInh", 0),
        ("CapPrm", permitted),
        ("CapEff", permitted),
        ("CapBnd", MASK),
        ("CapAmb", 0),
        ("NoNewPrivs", 0),
        ("Seccomp", 2),
    ];
    let found = rights(out);
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(found, expected, "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn exactly_a_containers_capabilities_are_given() {
    let world = World::new().build();
    are(&world.egress(CONTAINER).shell(STATUS), MASK);
    are(&world.egress(&[CONTAINER, &["--user", "root"]].concat()).shell(STATUS), MASK);
    // Another user has none of them, and gets no more back by a set-user-ID program.
    let as_nobody = |line: &str| format!("su nobody -s /bin/sh -c \"{line}\"");
    are(&world.egress(CONTAINER).shell(&as_nobody(STATUS)), 0);
    let raised = "cp $(command -v grep) ./grep-as-root && chmod 4755 grep-as-root && ";
    let line = as_nobody(&STATUS.replace("grep", "./grep-as-root"));
    are(&world.egress(CONTAINER).shell(&format!("{raised}{line}")), MASK);
}

#[test]
#[ignore = "kernel: needs root"]
fn no_program_gains_what_is_not_in_the_set() {
    let world = World::new().build();
    // A program's file gives what it says as far as the bounding set goes; beyond, it is not executed.
    let with_file = |capability: u32| {
        // struct vfs_cap_data (linux/capability.h): revision 2, with the effective bit.
        let set = format!(
            "cp /bin/true t && {PYTHON} -c \"import os, struct; \
             os.setxattr('t', 'security.capability', struct.pack('<5I', 0x2000001, 1 << {capability}, 0, 0, 0))\" && \
             echo set && ./t && echo executed"
        );
        world.egress(CONTAINER).shell(&set)
    };
    let (net_raw, chown) = (13, 0);
    with_file(net_raw).printed("set\n");
    with_file(chown).printed("set\nexecuted\n");
    let raise = "import ctypes; c = ctypes.CDLL(None, use_errno=True); \
                 wanted = [12, 13, 19, 21, 38, 39, 16, 27, 2]; \
                 print([c.prctl(47, 2, n, 0, 0) for n in wanted], [c.prctl(23, n, 0, 0, 0) for n in wanted])";
    let none = format!("{:?} {:?}\n", [-1; 9], [0; 9]);
    world.egress(CONTAINER).run([PYTHON, "-c", raise]).succeeded().printed(&none);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_command_of_another_user_is_given_none() {
    let world = World::new().build();
    let refused = |out: Finished<'_>| {
        out.exited(2).printed("").complained("nobody").complained("--user root");
    };
    refused(world.egress(&[CONTAINER, &["--user", "nobody"]].concat()).shell("echo started"));
    let sudo = world.egress(CONTAINER).env("SUDO_UID", "65534");
    refused(sudo.shell("echo started"));
    // And `none` is what everybody has.
    let none = &["--capabilities", "none", "--user", "nobody"];
    world.egress(none).shell("echo started").succeeded().printed("started\n");
}

/// What an owner finds of a file, as somebody outside.
fn owner(path: &Path) -> (u32, u32, u32) {
    let data = std::fs::metadata(path).expect("the file is there");
    (data.uid(), data.gid(), data.mode() & 0o7777)
}

#[test]
#[ignore = "kernel: needs root"]
fn files_are_given_to_others() {
    let world = World::new().build();
    let chown = |world: &World, options| {
        world
            .egress(options)
            .shell("touch owned && chown 4242:4243 owned && chmod 6751 owned")
            .status
            .success()
    };
    assert!(!chown(&world, ALLOWED));
    assert!(chown(&world, CONTAINER));
    assert_eq!(owner(&world.path("owned")), (4242, 4243, 0o6751));

    let tar = "mkdir from to; touch from/a from/b; chown 4242:4243 from/a; chown 1:1 from/b; \
               tar -cf - -C from a b | tar -xpf - -C to --same-owner --numeric-owner";
    world.egress(CONTAINER).shell(tar).succeeded();
    assert_eq!(owner(&world.path("to/a")).0, 4242);
    assert_eq!(owner(&world.path("to/b")).1, 1);
    let again =
        "mkdir -p again; tar -cf - -C from a b | tar -xpf - -C again --same-owner --numeric-owner";
    world.egress(ALLOWED).shell(again).failed();
}

/// A directory of somebody else's, which nobody else may write, nor read.
fn foreign(world: &World, name: &str) -> std::path::PathBuf {
    let directory = world.path(name);
    std::fs::create_dir(&directory).expect("make a directory");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).expect("close it");
    chown(&directory, Some(STRANGER), Some(STRANGER)).expect("give it away");
    directory
}

#[test]
#[ignore = "kernel: needs root"]
fn other_users_directories_are_open_and_users_are_changed() {
    let world = World::new().build();
    let directory = foreign(&world, "theirs");
    let write = format!("echo text > {0}/file && cat {0}/file", directory.display());
    world.egress(ALLOWED).shell(&write).failed();
    world.egress(CONTAINER).shell(&write).succeeded().printed("text\n");

    let change = "su nobody -s /bin/sh -c 'id -un' && setpriv --reuid 4242 --regid 4243 --clear-groups id -u";
    world.egress(ALLOWED).shell(change).failed();
    world.egress(CONTAINER).shell(change).succeeded().printed("nobody\n4242\n");
    let signal = "setpriv --reuid 4242 --clear-groups sleep 1000 & p=$!; \
                  until grep -q '^Uid:.4242' /proc/$p/status; do :; done; kill $p; wait $p; echo $?";
    world.egress(CONTAINER).shell(signal).succeeded().printed("143\n");
    world.egress(CONTAINER).run(["chroot", "/", "echo", "inside"]).succeeded().printed("inside\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn root_without_them_is_told_what_to_use() {
    let world = World::new().build();
    let told = |options: &[&str]| {
        let out = world.egress(options).run(["true"]);
        out.succeeded();
        let first = out.complaints().lines().next().unwrap_or_default().to_owned();
        (first.contains("--capabilities container"), first.contains("--user NAME"))
    };
    assert_eq!(told(&[]), (true, true));
    assert_eq!(told(&["--user", "root"]), (true, false));
    // Who has chosen has been told.
    for chosen in
        [&["--capabilities", "none"][..], &["--capabilities", "container"], &["--user", "nobody"]]
    {
        assert_eq!(told(chosen), (false, false), "{chosen:?}");
    }
}

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
        "unshare -Urn sh -c 'ip link add v0 type veth peer name v1 netns 1'",
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
