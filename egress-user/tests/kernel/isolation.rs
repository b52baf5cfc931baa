//! What a process may ask of the kernel and of the machine outside, besides sockets.

use super::support::{PYTHON, World};
use super::{ALLOWED, two_sites};

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
fn joining_a_group_tells_the_network_nothing() {
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
fn nothing_is_typed_into_a_terminal() {
    let world = World::new().build();
    // EPERM from the filter; a file that is no terminal would give ENOTTY. The kernel ignores the
    // request's upper half, and so must the filter.
    let attempt = "import ctypes\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        for request in (0x5412, 0x541c, 0x100005412, 0xffffffff0000541c):\n  \
          ctypes.set_errno(0)\n  \
          libc.syscall(ctypes.c_long(IOCTL), ctypes.c_long(0), ctypes.c_ulong(request), b'x')\n  \
          print(ctypes.get_errno())";
    let attempt = attempt.replace("IOCTL", &libc::SYS_ioctl.to_string());
    world.egress(&[]).run([PYTHON, "-c", &attempt]).succeeded().printed("1\n1\n1\n1\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn keyrings_are_absent() {
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
fn a_caller_that_ignores_its_children_is_no_reason_to_hang() {
    let world = World::new().build();
    let ignoring = "import os, signal, sys\n\
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
        os.execv(sys.argv[1], [sys.argv[1], 'run', '--', 'sh', '-c', 'sleep 0.1; exit 3'])";
    world.direct().run([PYTHON, "-c", ignoring, env!("CARGO_BIN_EXE_egress")]).exited(3);
}
