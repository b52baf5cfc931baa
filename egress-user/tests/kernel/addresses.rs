//! Addresses: what no lookup gave and no rule names is refused in the kernel, at once.
use super::support::{CLIENT, SILENT, World};
use super::{
    ALLOWED, METADATA, OTHER, OTHER_V6, PRIVATE, REFUSED, RESET, SITE, SITE_V6, THIRD, two_sites,
};

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn raw_addresses_are_refused_at_once() {
    let world = two_sites();
    let probes = [
        // The allowed site's own address, but before any lookup.
        format!("connect {SITE} 443"),
        format!("connect {OTHER} 443"),
        format!("nonblocking {OTHER} 443"),
        format!("send {OTHER} 22"),
        format!("fastopen {OTHER} 22"),
        format!("io-uring {OTHER} 22"),
        format!("connect ::ffff:{OTHER} 443"),
        format!("connect {OTHER_V6} 443"),
        format!("fastopen {OTHER_V6} 22"),
        format!("connect {METADATA} 80"),
        format!("connect ::ffff:{METADATA} 80"),
        format!("connect {PRIVATE} 80"),
        format!("connect 64:ff9b::{PRIVATE} 80"),
        format!("connect {SILENT} 80"),
        "connect fd00:9::7 80".to_owned(),
        "connect 93.184.216.53 853".to_owned(),
        "connect 8.8.8.8 443".to_owned(),
    ];
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        // Where the kernel's ring is closed to the sandbox altogether, that is an answer as well.
        out.probe(
            probe,
            if probe.starts_with("io-uring") { &["EPERM", "ENOSYS"] } else { REFUSED },
        );
    }
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn curl_to_an_address_is_refused() {
    let world = two_sites();
    let could_not_connect = 7;
    for url in [
        format!("https://{OTHER}/"),
        format!("http://{METADATA}/"),
        format!("http://[{OTHER_V6}]/"),
    ] {
        world.egress(ALLOWED).run(["curl", "-sSk", &url]).exited(could_not_connect);
    }
    // A name and an address of the client's own choice.
    let to_other = format!("allowed.test:443:{OTHER}");
    world
        .egress(ALLOWED)
        .run(["curl", "-sS", "--resolve", &to_other, "https://allowed.test/"])
        .exited(could_not_connect);
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn the_hosts_own_services_are_refused() {
    let world = two_sites();
    let port = world.host_port();
    let ways = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", CLIENT];
    let probes: Vec<_> = ways
        .iter()
        .flat_map(|way| ["connect", "udp", "udp-connect"].map(|how| format!("{how} {way} {port}")))
        .collect();
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        out.probe(probe, REFUSED);
    }
    assert_eq!(world.host_contacts(), [], "the host's service was reached\n{out}");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn datagrams_are_refused_wherever_they_go() {
    let world = two_sites();
    let probes = [
        format!("udp {OTHER} 9999"),
        format!("udp-connect {OTHER} 443"),
        format!("sendmmsg {OTHER} 9999"),
        format!("udp ::ffff:{OTHER} 9999"),
        format!("udp {OTHER_V6} 9999"),
        format!("udp-connect {OTHER_V6} 443"),
        format!("udp {METADATA} 53000"),
        "udp 224.0.0.251 5353".to_owned(),
        "udp 255.255.255.255 9999".to_owned(),
        "udp 8.8.8.8 853".to_owned(),
        // The association with the DNS listener is dissolved, then another address named.
        format!("udp-reconnect 93.184.216.53 53 {OTHER} 9999"),
    ];
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        // Broadcasting needs an option that the probe does not set.
        let broadcast = &["EPERM", "EACCES"];
        out.probe(probe, if probe.contains("255.255") { broadcast } else { REFUSED });
    }
    // A name opens TCP only; QUIC has to fall back at once.
    let quic = format!("udp-connect {SITE} 443");
    world.egress(ALLOWED).probes(&["resolve allowed.test", &quic]).probe(&quic, REFUSED);
    world.arrived().besides_lookups().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn an_address_rule_opens_that_address_alone() {
    let world = two_sites();
    let (allowed, other) = (format!("connect {THIRD} 22"), format!("connect {OTHER} 22"));
    let out = world.egress(&["--allow", THIRD]).probes(&[&allowed, &other]);
    out.probe(&allowed, &["ok"]).probe(&other, REFUSED);
    let url = format!("http://{THIRD}/");
    world
        .egress(&["--allow", THIRD])
        .run(["curl", "-sS", &url])
        .succeeded()
        .said(&format!("host={THIRD}"));
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_star_opens_public_hosts_alone() {
    let world = two_sites();
    let options = &["--allow", "*", "--deny", "refused.test", "--deny", THIRD];
    world.egress(options).run(["curl", "-sS", "https://allowed.test/"]).succeeded();
    let denied_name = format!("tls {SITE} 443 refused.test");
    let host = format!("connect 127.0.0.1 {}", world.host_port());
    let refused = [
        format!("connect {THIRD} 443"),
        format!("connect ::ffff:{THIRD} 443"),
        format!("connect {METADATA} 80"),
        format!("connect {PRIVATE} 80"),
        format!("connect 64:ff9b::{PRIVATE} 80"),
        host,
    ];
    let reached = format!("connect {OTHER} 22");
    let all: Vec<_> = refused.iter().chain([&reached, &denied_name]).collect();
    let out = world.egress(options).probes(&all);
    for probe in &refused {
        out.probe(probe, REFUSED);
    }
    out.probe(&reached, &["ok"]).probe(&denied_name, RESET);
    for address in [THIRD, METADATA, PRIVATE, SITE_V6] {
        world.arrived_at(address).none();
    }
    assert_eq!(world.host_contacts(), [], "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn localhost_is_opened_by_its_name() {
    let world = World::new().build();
    let url = format!("http://localhost:{}/", world.host_port());
    world
        .egress(&["--allow", "localhost"])
        .run(["curl", "-sS", &url])
        .succeeded()
        .said("host=localhost");
    let seen = world.host_contacts().len();
    world.egress(ALLOWED).run(["curl", "-sS", &url]).failed();
    assert_eq!(world.host_contacts().len(), seen, "{world}");
    world.never_asked_for("localhost");
}
