//! Connected datagram sockets: connecting one sends nothing and is no refusal; what is sent by one is refused at once,
//! by whichever call, and DNS is asked as before.
use super::support::arrivals::UDP;
use super::support::{CLIENT, NAME_SERVER, PYTHON, World};
use super::{
    ALLOWED, METADATA, OTHER, OTHER_V6, PRIVATE, REFUSED, SITE, SITE_V6, THIRD, two_sites,
};

/// Every way to send by a connected socket.
const WAYS: [&str; 13] = [
    "udp-connect",
    "udp-nonblocking",
    "udp-named",
    "udp-control",
    "udp-write",
    "udp-sendmmsg",
    "udp-corked",
    "udp-uncorked",
    "udp-segments",
    "udp-splice",
    "udp-sendfile",
    "udp-zerocopy",
    "udp-dissolved",
];

#[test]
#[ignore = "kernel: needs root"]
fn a_socket_learns_its_own_address() {
    let world = two_sites();
    let places = [
        (OTHER, "443"),
        (OTHER_V6, "443"),
        ("::ffff:93.184.216.35", "443"),
        (PRIVATE, "1"),
        (METADATA, "80"),
        ("127.0.0.1", "9"),
        ("::1", "9"),
        (CLIENT, "9"),
        ("8.8.8.8", "80"),
        ("8.8.8.8", "0"),
        ("2001:4860:4860::8888", "443"),
    ];
    let probes: Vec<_> = ["udp-source", "udp-peer"]
        .iter()
        .flat_map(|how| places.map(|(address, port)| format!("{how} {address} {port}")))
        .collect();
    let direct = world.direct().probes(&probes);
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        let expected = direct.probed(probe);
        // The kernel says that what is connected to port 0 is not.
        let nowhere = probe.starts_with("udp-peer") && probe.ends_with(" 0");
        assert!(expected.starts_with("ok ") || nowhere, "{direct}");
        out.probe(probe, &[&expected]);
    }
    // Nothing was refused, and nothing sent.
    assert!(!out.complaints().contains("refused"), "{out}");
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn nothing_leaves_a_connected_socket() {
    let world = two_sites();
    let places = [OTHER, OTHER_V6, "::ffff:93.184.216.35"];
    let mut probes: Vec<_> =
        WAYS.iter().flat_map(|how| places.map(|address| format!("{how} {address} 9999"))).collect();
    let elsewhere = [
        format!("udp-connect {OTHER} 443"),
        format!("udp-connect {METADATA} 80"),
        format!("udp-connect {PRIVATE} 9999"),
        // Connected to where DNS is asked, and then elsewhere.
        format!("udp-moved {NAME_SERVER} 53 {OTHER} 9999"),
        format!("udp-moved ::ffff:{NAME_SERVER} 53 ::ffff:{OTHER} 9999"),
        format!("udp-moved 2001:4860:4860::8888 53 {OTHER_V6} 9999"),
        format!("udp-moved {SITE} 9999 {OTHER} 9999"),
        format!("udp-reconnect {NAME_SERVER} 53 {OTHER} 9999"),
        format!("udp-reconnect {OTHER} 9999 {THIRD} 9999"),
    ];
    probes.extend(elsewhere);
    // Of an allowed name, too: it opens TCP alone.
    probes.extend([format!("udp-connect {SITE} 443"), format!("udp-connect {SITE_V6} 443")]);
    let direct = world.direct().probes(&probes);
    for probe in &probes {
        assert!(!direct.probed(probe).starts_with("EPERM"), "{direct}");
    }
    let sent = world.arrived().of(UDP).count();
    assert!(sent > probes.len(), "{sent} datagrams arrive without the filter\n{world}");

    let words: Vec<_> = ["resolve allowed.test", "resolve six.test"]
        .into_iter()
        .chain(probes.iter().map(String::as_str))
        .collect();
    let options = ["--allow", "allowed.test", "--allow", "six.test"];
    let out = world.egress(&options).probes(&words);
    for probe in &probes {
        // From where DNS was asked, loopback, no way leads elsewhere.
        let moved = probe.starts_with("udp-moved") && probe.contains(" 53 ");
        out.probe(probe, if moved { &["EPERM", "EINVAL"] } else { REFUSED });
    }
    assert_eq!(world.arrived().besides_lookups().of(UDP).count(), sent, "{out}");
    out.complained(&format!("udp {OTHER}:9999: protocol_not_allowed"));
    out.complained(&format!("udp [{OTHER_V6}]:9999: protocol_not_allowed"));
}

#[test]
#[ignore = "kernel: needs root"]
fn the_hosts_services_get_no_datagram() {
    let world = two_sites();
    let port = world.host_port();
    let places = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", CLIENT];
    let probes: Vec<_> = WAYS
        .iter()
        .flat_map(|how| places.map(|address| format!("{how} {address} {port}")))
        .collect();
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        out.probe(probe, REFUSED);
    }
    assert_eq!(world.host_contacts(), [], "the host's service was reached\n{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn refused_sends_do_not_wait() {
    let world = two_sites();
    let probes = [format!("at-once {OTHER} 443"), format!("at-once {OTHER_V6} 443")];
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        out.probe(probe, &["refused"]);
    }
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn dns_is_asked_by_connected_sockets() {
    let world = two_sites();
    let servers = [NAME_SERVER, "8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"];
    let asked: Vec<_> = servers
        .iter()
        .flat_map(|server| {
            let from = format!("ok {SITE} from {server} 53");
            [
                (format!("asked allowed.test {server}"), from.clone()),
                // After it was connected to where nothing may be sent.
                (format!("asked allowed.test {server} {server} 9999"), from),
                (format!("asked-with-control allowed.test {server}"), format!("ok {SITE}")),
            ]
        })
        .collect();
    let refused = format!("asked refused.test {NAME_SERVER} {OTHER} 443");
    let probes: Vec<_> = asked.iter().map(|(probe, _)| probe).chain([&refused]).collect();
    let out = world.egress(ALLOWED).probes(&probes);
    for (probe, expected) in &asked {
        out.probe(probe, &[expected]);
    }
    assert!(out.probed(&refused).starts_with("rcode 3"), "{out}");
    world.never_asked_for("refused.test");
    world.arrived_at("8.8.8.8").none();
    world.arrived_at("2001:4860:4860::8888").none();
}

#[test]
#[ignore = "kernel: needs root"]
fn resolvers_sort_addresses_as_without_the_filter() {
    const FAR_AWAY: &str = "2606:2800:220:2::34";
    let world = World::new().record("dual.test", &[SITE, SITE_V6, FAR_AWAY]).build();
    // One that cannot be reached comes last; by its number it would not.
    world.client_netns().ip("route add unreachable 2606:2800:220:2::/64\n");
    let probes = ["sorted-addresses dual.test 443", "ranked dual.test 9"];
    let direct = world.direct().probes(&probes);
    let out = world.egress(&["--allow", "dual.test"]).probes(&probes);
    for probe in probes {
        let expected = direct.probed(probe);
        assert!(expected.ends_with(FAR_AWAY), "{direct}");
        out.probe(probe, &[&expected]);
    }
    assert!(!out.complaints().contains("refused"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn quic_that_falls_back_to_tcp_is_not_told() {
    let world = two_sites();
    let tried = format!(
        "import socket\n\
         for port in (443, 9999):\n  \
           s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('{SITE}', port))\n  \
           try: s.send(b'x'); print('sent')\n  \
           except PermissionError: print('refused')\n\
         socket.create_connection(('{SITE}', 443)).close()"
    );
    let script = format!("import socket\nsocket.getaddrinfo('allowed.test', 443)\n{tried}");
    let out = world.egress(ALLOWED).run([PYTHON, "-c", &script]);
    out.succeeded().printed("refused\nrefused\n");
    out.complained(&format!("udp {SITE}:9999: protocol_not_allowed"));
    assert!(!out.complaints().contains(&format!("udp {SITE}:443")), "{out}");
    world.arrived_at(SITE).of(UDP).none();
}
