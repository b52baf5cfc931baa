//! Devices that are networks: whoever opens one sends any packet, past every hook of sockets.
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::support::{PYTHON, World, skip};
use super::{ALLOWED, OTHER, SECRET, two_sites};

/// Python that takes a tun device behind a node, or behind a descriptor that it is sent or has, and
/// sends a datagram of its own making by it.
const TUN: &str = "import array, fcntl, os, socket, struct, sys\n\
    def checksum(d): s = sum(struct.unpack('!%dH' % (len(d) // 2), d)); s = (s & 65535) + (s >> 16); return 65535 - (s & 65535) - (s >> 16)\n\
    def packet(source):\n  \
      data = b'SECRET'\n  \
      head = struct.pack('!BBHHHBBH4s4s', 69, 0, 28 + len(data), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton('OTHER'))\n  \
      head = head[:10] + struct.pack('!H', checksum(head)) + head[12:]\n  \
      return head + struct.pack('!HHHH', 7, 9999, 8 + len(data), 0) + data\n\
    try:\n  \
      how, where = sys.argv[1:3]\n  \
      if how == 'sent':\n    \
        s = socket.socket(socket.AF_UNIX); s.connect(where)\n    \
        fd = socket.recv_fds(s, 1, 1)[1][0]\n  \
      elif how == 'held': fd = int(where); os.fstat(fd)\n  \
      else: fd = os.open(where, os.O_RDWR)\n  \
      print('opened')\n  \
      if how == 'tap': os.write(fd, bytes(10) + bytes([255] * 6 + [2, 0, 0, 0, 0, 7, 8, 0]) + packet('93.184.216.2'))\n  \
      else:\n    \
        fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', b'tun7', 0x1001))\n    \
        os.write(fd, packet('10.77.0.2'))\n  \
      print('wrote')\n\
    except OSError as e: print(e.strerror)";

/// What the device hook answers, and seccomp.
const REFUSED: &str = "Operation not permitted\n";

fn node(path: &Path, kind: SFlag, major: u64, minor: u64) {
    let mode = Mode::from_bits_truncate(0o666);
    mknod(path, kind, mode, makedev(major, minor)).expect("make a device node");
    use std::os::unix::fs::PermissionsExt;
    let everyone = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(path, everyone).expect("open the node to all");
}

/// A world whose client forwards what its tun device is given, and a node of the driver for everyone.
struct Tunnel {
    world: World,
    node: PathBuf,
}

impl Tunnel {
    fn new() -> Option<Self> {
        let world = two_sites();
        let node = world.path("tun");
        self::node(&node, SFlag::S_IFCHR, 10, 200);
        if let Err(error) = std::fs::File::open(&node) {
            skip(&format!(
                "no tun driver in this kernel, or device nodes do not work here: {error}"
            ));
            return None;
        }
        // Nobody's: whoever may open the node may have it.
        world
            .client_netns()
            .ip("tuntap add dev tun7 mode tun\naddr add 10.77.0.1/24 dev tun7\nlink set tun7 up\n");
        world.client_netns().sysctl("net/ipv4/ip_forward", "1");
        Some(Tunnel { world, node })
    }

    fn attempt(&self, how: &str, path: &str) -> Vec<String> {
        let code = TUN.replace("OTHER", OTHER).replace("SECRET", SECRET);
        [PYTHON, "-c", &code, how, path].map(str::to_owned).to_vec()
    }

    fn packets(&self) -> usize {
        self.world.arrived_at(OTHER).on_port(9999).count()
    }

    /// Claims that nothing leaves by this way under the filter, and that without it a packet does.
    #[track_caller]
    fn hold(&self, line: &str, how: &str, path: &str) {
        let before = self.packets();
        for options in [ALLOWED, &["--allow", "allowed.test", "--user", "nobody"]] {
            let out = self.world.egress(options).after(line).run(self.attempt(how, path));
            out.succeeded().printed(REFUSED);
            assert_eq!(self.packets(), before, "{line} {how} {path}: a packet arrived\n{out}");
            out.complained("character device 10:200").complained("device_not_allowed");
        }
        let out = self.world.direct().after(line).run(self.attempt(how, path));
        out.printed("opened\nwrote\n");
        super::support::processes::eventually("the twin's packet arrives", || {
            self.packets() > before
        });
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_tun_device_is_refused_wherever_its_node_lies() {
    let Some(tunnel) = Tunnel::new() else { return };
    let own = tunnel.node.display().to_string();
    tunnel.hold("true", "open", &own);
    tunnel.hold(&format!("mount --bind {own} /dev/net/tun"), "open", "/dev/net/tun");
    tunnel.hold(&format!("mount --bind {own} /dev/null"), "open", "/dev/null");
    let directory = tunnel.world.path(".").display().to_string();
    tunnel.hold(&format!("ln -sf {own} {directory}/link"), "open", &format!("{directory}/link"));
    tunnel.hold(&format!("ln -f {own} {directory}/hard"), "open", &format!("{directory}/hard"));
    tunnel.hold(
        &format!("if [ -e {own} ]; then mv {own} {directory}/moved; fi"),
        "open",
        &format!("{directory}/moved"),
    );
    // A file system of its own in place of /dev, as containers have.
    let fresh = "mount -t tmpfs none /dev/shm && mknod -m 666 /dev/shm/x c 10 200";
    tunnel.hold(fresh, "open", "/dev/shm/x");
    let relative = format!("mkdir -p {directory}/d && cd {directory}/d");
    tunnel.hold(&relative, "open", "../moved");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn namespaces_of_the_programs_own_open_no_device() {
    let Some(tunnel) = Tunnel::new() else { return };
    let own = tunnel.node.display().to_string();
    let code = tunnel
        .attempt("open", &own)
        .into_iter()
        .map(|word| format!("'{}'", word.replace('\'', "'\\''")));
    let code = code.collect::<Vec<_>>().join(" ");
    for inside in ["unshare -Ur", "unshare -Urn", "unshare -Urm", "unshare -UrpfC"] {
        let options = &["--allow", "allowed.test", "--user", "nobody"];
        let out = tunnel.world.egress(options).shell(&format!("{inside} {code}; true"));
        assert!(!out.succeeded().text().contains("opened"), "{inside}\n{out}");
        // A node cannot be made either.
        let make =
            format!("{inside} sh -c 'mknod /tmp/made-by-a-test c 10 200' && echo made; true");
        tunnel.world.egress(options).shell(&make).succeeded().printed("");
    }
    tunnel.world.egress(ALLOWED).shell("mknod made c 10 200 && echo made; true").printed("");
    assert_eq!(tunnel.packets(), 0);
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn an_open_tun_descriptor_becomes_no_network() {
    let Some(tunnel) = Tunnel::new() else { return };
    let world = &tunnel.world;
    let open = || {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&tunnel.node)
            .expect("open the node")
    };
    // Handed over by the caller: as a standard stream, or by another number.
    let held = tunnel.world.client_netns().enter(open);
    let out = world.egress(ALLOWED).pass(held.as_fd(), 0).run(tunnel.attempt("held", "0"));
    out.exited(125).complained("stdin is the device 10:200");
    let out = world.egress(ALLOWED).pass(held.as_fd(), 5).run(tunnel.attempt("held", "5"));
    out.succeeded().printed("Bad file descriptor\n");
    drop(held);
    // Sent by a helper outside.
    let helper = "import array, os, socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.bind('helper'); os.chmod('helper', 0o777); s.listen(); print('ready', flush=True)\n\
        while True:\n  \
          c = s.accept()[0]\n  \
          fd = os.open('tun', os.O_RDWR); socket.send_fds(c, [b'x'], [fd]); os.close(fd); c.close()";
    let outside = world.direct().start([PYTHON, "-c", helper]);
    outside.says("ready");
    let path = world.path("helper").display().to_string();
    for options in [ALLOWED, &["--allow", "allowed.test", "--user", "nobody"]] {
        let out = world.egress(options).run(tunnel.attempt("sent", &path));
        out.succeeded().printed(&format!("opened\n{REFUSED}"));
    }
    assert_eq!(tunnel.packets(), 0);
    world.direct().run(tunnel.attempt("sent", &path)).printed("opened\nwrote\n");
    super::support::processes::eventually("the twin's packet arrives", || tunnel.packets() > 0);
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_macvtap_device_is_refused() {
    let world = two_sites();
    let add = "ip link add link client0 name tap7 type macvtap mode bridge && ip link set tap7 up";
    let told = world.direct().shell(&format!(
        "{add} && mount -t sysfs none /sys && cat /sys/class/net/tap7/macvtap/*/dev"
    ));
    let Some((major, minor)) =
        told.text().trim().split_once(':').map(|(a, b)| (a.parse(), b.parse()))
    else {
        return skip("no macvtap driver in this kernel");
    };
    let (major, minor) = (major.expect("a major"), minor.expect("a minor"));
    let path = world.path("tap");
    node(&path, SFlag::S_IFCHR, major, minor);
    let tunnel = Tunnel { node: path.clone(), world };
    let path = path.display().to_string();
    for options in [ALLOWED, &["--allow", "allowed.test", "--user", "nobody"]] {
        let out = tunnel.world.egress(options).run(tunnel.attempt("tap", &path));
        out.succeeded().printed(REFUSED).complained(&format!("character device {major}:{minor}"));
    }
    assert_eq!(tunnel.packets(), 0);
    tunnel.world.direct().run(tunnel.attempt("tap", &path)).printed("opened\nwrote\n");
    super::support::processes::eventually("the twin's frame arrives", || tunnel.packets() > 0);
}

/// Nodes that no filter is asked about: the errno is the driver's, or that there is none.
const OTHERS: &[(&str, u64, u64)] = &[
    ("c", 108, 0),   // ppp
    ("c", 10, 238),  // vhost-net
    ("c", 10, 241),  // vhost-vsock
    ("c", 10, 137),  // vhci
    ("c", 10, 196),  // vfio
    ("c", 10, 223),  // uinput
    ("c", 10, 239),  // uhid
    ("c", 10, 99),   // a minor that a driver may be given later
    ("c", 231, 192), // infiniband verbs
    ("c", 231, 0),   // infiniband umad
    ("c", 180, 176), // cdc-wdm
    ("c", 189, 0),   // usb
    ("c", 68, 0),    // capi
    ("c", 45, 0),    // isdn
    ("c", 119, 0),   // vmnet
    ("c", 239, 0),   // majors that a driver may be given later
    ("c", 511, 0),
    ("c", 4095, 0),
    ("b", 43, 0),   // nbd
    ("b", 147, 0),  // drbd
    ("b", 152, 0),  // aoe
    ("b", 10, 200), // the number of tun, of the other kind
    ("b", 4095, 0),
];

/// Python that opens each node for reading, then for writing, and tells the errors' numbers.
const OPEN: &str = "import os, sys\n\
    for name in sys.argv[1:]:\n  \
      for how in (os.O_RDONLY, os.O_WRONLY):\n    \
        try: os.close(os.open(name, how | os.O_NONBLOCK | os.O_NOCTTY)); print(name, how, 'opened')\n    \
        except OSError as e: print(name, how, e.errno)";

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn networks_by_their_numbers_and_unknown_drivers_are_refused() {
    let world = World::new().build();
    let mut names = vec![PYTHON.to_owned(), "-c".to_owned(), OPEN.to_owned()];
    for (kind, major, minor) in OTHERS {
        let name = format!("{kind}-{major}-{minor}");
        let of = if *kind == "b" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
        node(&world.path(&name), of, *major, *minor);
        names.push(name);
    }
    let open = |text: String| {
        text.lines()
            .map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let outside = world.direct().run(names.clone());
    let refused = libc::EPERM.to_string();
    assert!(!open(outside.text()).contains(&refused), "{outside}");
    for options in [&[][..], &["--user", "nobody"]] {
        let inside = world.egress(options).run(names.clone());
        let found = open(inside.succeeded().text());
        assert_eq!(found.len(), 2 * OTHERS.len(), "{inside}");
        assert!(found.iter().all(|errno| *errno == refused), "{inside}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn other_devices_open_as_they_did() {
    let world = World::new().build();
    let mut names = vec![PYTHON.to_owned(), "-c".to_owned(), OPEN.to_owned()];
    // null, zero, full, random, urandom, tty, ptmx, a pseudo-terminal that is not there, a serial line,
    // fuse, kvm, sound, graphics, Nvidia's, tun's number elsewhere.
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 2),
        (136, 4000),
        (4, 255),
        (188, 0),
        (166, 0),
        (10, 229),
        (10, 232),
        (116, 200),
        (226, 200),
        (195, 200),
        (81, 200),
    ] {
        let name = format!("{major}-{minor}");
        node(&world.path(&name), SFlag::S_IFCHR, major, minor);
        names.push(name);
    }
    let outside = world.direct().run(names.clone()).text();
    assert!(outside.contains("1-3 0 opened") && outside.contains("10-229"), "{outside}");
    for options in [&[][..], &["--user", "nobody"]] {
        let out = world.egress(options).run(names.clone());
        assert_eq!(out.succeeded().text(), outside, "{options:?}\n{out}");
    }
    // A terminal of its own, as programs make them; and what is typed into the machine's is refused.
    let terminal = "import os\n\
        master, slave = os.openpty(); os.write(slave, b'through'); print(os.read(master, 7).decode())\n\
        print(os.ttyname(slave).startswith('/dev/pts/'))";
    world
        .egress(&["--user", "nobody"])
        .run([PYTHON, "-c", terminal])
        .succeeded()
        .printed("through\nTrue\n");
    node(&world.path("event"), SFlag::S_IFCHR, 13, 64);
    let out = world.egress(&[]).run([PYTHON, "-c", OPEN, "event"]);
    assert!(out.succeeded().text().contains("event 1 1\n"), "{out}");
    world.direct().run([PYTHON, "-c", OPEN, "event"]).said("event 1 ");
}
