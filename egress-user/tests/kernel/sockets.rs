//! Kinds of sockets and options by which packets go where no destination was judged.
use super::support::arrivals::{ICMP, ICMPV6};
use super::support::{CLIENT_DEVICE, NAME_SERVER, PYTHON, World};
use super::{
    ALLOWED, OTHER, OTHER_V6, PRIVATE, REFUSED, REFUSED_SOCKET, SECRET, SITE, SITE_V6, THIRD,
    two_sites,
};

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn sockets_besides_tcp_and_udp_are_refused() {
    let world = two_sites();
    let (stream, datagram, raw) = (1, 2, 3);
    let mut probes = vec![
        "ping 8.8.8.8".to_owned(),
        format!("ping {OTHER_V6}"),
        "raw 8.8.8.8".to_owned(),
        "raw-ip 8.8.8.8".to_owned(),
        format!("packet {CLIENT_DEVICE} {PRIVATE}"),
        format!("udplite {OTHER} 9999"),
        format!("mptcp {OTHER} 22"),
    ];
    let (inet, inet6, packet) = (2, 10, 17);
    let (sctp, dccp, gre, udplite, mptcp) = (132, 33, 47, 136, 262);
    for domain in [inet, inet6] {
        let kinds = [
            (stream, sctp),
            (datagram, udplite),
            (raw, gre),
            (raw, 255),
            (raw, sctp),
            (stream, mptcp),
            (6, dccp),
        ];
        probes.extend(kinds.map(|(kind, protocol)| format!("make {domain} {kind} {protocol}")));
    }
    probes.extend([datagram, raw].map(|kind| format!("make {packet} {kind} 0")));
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        // The kernel itself has no DCCP everywhere: there the type is unknown.
        let unknown = &["EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"];
        out.probe(probe, if probe.ends_with(" 33") { unknown } else { REFUSED_SOCKET });
    }
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn ping_is_refused() {
    let world = two_sites();
    world.egress(ALLOWED).run(["ping", "-c1", "-W2", "8.8.8.8"]).failed();
    world.egress(ALLOWED).run(["ping", "-c1", "-W2", "allowed.test"]).failed();
    world.egress(ALLOWED).run(["ping", "-6", "-c1", "-W2", OTHER_V6]).failed();
    world.arrived().of(ICMP).none();
    world.arrived().of(ICMPV6).none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn source_routes_go_nowhere() {
    let world = two_sites();
    // The destinations are ones that the policy redirects or allows; the hops are not.
    let probes = [
        format!("source-route-udp {OTHER} {NAME_SERVER} 53"),
        format!("source-route-udp {OTHER} {SITE} 9999"),
        format!("source-route-tcp {THIRD} {NAME_SERVER} 53"),
        format!("source-route-tcp {THIRD} {SITE} 22"),
    ];
    let words: Vec<_> =
        ["resolve allowed.test"].into_iter().chain(probes.iter().map(String::as_str)).collect();
    let out = world.egress(ALLOWED).probes(&words);
    for probe in &probes {
        out.probe(probe, REFUSED_SOCKET);
    }
    world.arrived().with_options().none();
    world.arrived_at(OTHER).none();
    world.arrived_at(THIRD).none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn routing_headers_go_nowhere() {
    let world = two_sites();
    let probe = format!("routing-header {OTHER_V6} {SITE_V6} 9999");
    let through_dns = format!("routing-header {OTHER_V6} 2001:4860:4860::8888 53");
    let out =
        world.egress(&["--allow", "six.test"]).probes(&["resolve six.test", &probe, &through_dns]);
    out.probe(&probe, REFUSED_SOCKET);
    assert!(!out.probed(&through_dns).starts_with("ok"), "{out}");
    world.arrived().with_options().none();
    world.arrived_at(OTHER_V6).none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_chosen_device_opens_nothing() {
    let world = two_sites();
    let device = CLIENT_DEVICE;
    let refused = [
        format!("bound-device {device} {OTHER} 9999"),
        format!("bound-device-tcp {device} {OTHER} 22"),
        format!("unicast-if {device} {OTHER} 9999"),
        format!("pktinfo {device} {OTHER} 9999"),
    ];
    // Redirected to the listener, but out by the device: what leaves would carry a loopback address.
    let redirected = [
        format!("bound-device {device} {NAME_SERVER} 53"),
        format!("bound-device-tcp {device} {SITE} 22"),
        format!("unicast-if {device} {NAME_SERVER} 53"),
        format!("pktinfo {device} {NAME_SERVER} 53"),
    ];
    let first = ["resolve allowed.test"].into_iter();
    let words: Vec<_> =
        first.chain(refused.iter().chain(&redirected).map(String::as_str)).collect();
    let out = world.egress(ALLOWED).probes(&words);
    for probe in &refused {
        out.probe(probe, REFUSED);
    }
    world.arrived_at(OTHER).none();
    world.arrived_at("127.0.0.1").none();
    world.arrived().without(SECRET);
}

#[test]
#[ignore = "kernel: needs root"]
fn payload_on_web_ports_has_to_say_its_name() {
    let world = two_sites();
    let probes = [80, 443, 8443].map(|port| format!("send {SITE} {port}"));
    let fast = format!("fastopen {SITE} 443");
    let words: Vec<_> = ["resolve allowed.test", &fast]
        .into_iter()
        .chain(probes.iter().map(String::as_str))
        .collect();
    let out = world.egress(ALLOWED).probes(&words);
    for probe in words.iter().skip(1) {
        assert_ne!(out.probed(probe), "timeout", "{probe} was left hanging\n{out}");
    }
    world.arrived().without(SECRET);
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn nothing_is_exempt_by_a_mark() {
    let world = World::new().site("allowed.test", SITE).build();
    let attempt = format!(
        "import socket; s = socket.socket()\n\
         for mark in (1, 0xff, 0x1337):\n  \
           try: s.setsockopt(socket.SOL_SOCKET, 36, mark); print('marked')\n  \
           except OSError as e: print(e.strerror)\n\
         try: s.connect(('{OTHER}', 443)); print('connected')\n\
         except OSError as e: print(e.strerror)"
    );
    let out = world.egress(ALLOWED).run([super::support::PYTHON, "-c", &attempt]);
    out.succeeded().said("Operation not permitted");
    assert!(!out.text().contains("connected"), "{out}");
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn families_without_a_hook_and_io_uring_are_absent() {
    let world = World::new().build();
    // AF_KEY, AF_TIPC, AF_ALG, AF_VSOCK, AF_SMC, AF_XDP; netlink but for ROUTE; io_uring_setup. A
    // family that the kernel lacks gives EAFNOSUPPORT, so each answer here is the filter's own.
    let attempts = "import ctypes, errno, socket\n\
        def made(*kind):\n  \
          try: socket.socket(*kind).close(); return 'made'\n  \
          except OSError as e: return errno.errorcode[e.errno]\n\
        for family in (15, 30, 38, 40, 43, 44): print(family, made(family, socket.SOCK_DGRAM, 0))\n\
        print('netlink', made(16, socket.SOCK_RAW, 9), made(16, socket.SOCK_RAW, 0))\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        libc.syscall(425, 8, ctypes.create_string_buffer(120))\n\
        print('io_uring', errno.errorcode[ctypes.get_errno()])";
    let refused: String =
        [15, 30, 38, 40, 43, 44].map(|family| format!("{family} EPROTONOSUPPORT\n")).concat();
    world
        .egress(&[])
        .run([PYTHON, "-c", attempts])
        .succeeded()
        .printed(&format!("{refused}netlink EPROTONOSUPPORT made\nio_uring ENOSYS\n"));
}
