//! The world itself: without a filter everything gets through and every tripwire fires.
//!
//! Each attempt that another module expects to be refused stands here as one that succeeds.

use super::support::arrivals::{ICMP, ICMPV6, TCP, UDP, UDP_LITE};
use super::support::http::{pattern, sha256};
use super::support::{Answer, BANNER, CLIENT_DEVICE, NAME_SERVER, PYTHON, SILENT, World};
use super::{OTHER, SITE, SITE_V6};

#[test]
#[ignore = "kernel: needs root"]
fn sites_are_reached_and_seen() {
    let world = World::new().site("allowed.test", SITE).site("six.test", SITE_V6).build();
    let out = world.direct().run(["curl", "-sS", "https://allowed.test/hello"]);
    out.succeeded().printed("host=allowed.test sni=allowed.test path=/hello\n");
    world.direct().run(["curl", "-sS", "http://six.test/"]).succeeded().said("host=six.test");
    let fetch = "import urllib.request as u; print(u.urlopen('https://allowed.test/python').read().decode())";
    world.direct().run([PYTHON, "-c", fetch]).succeeded().said("path=/python");

    world.arrived_at(SITE).on_port(443).of(TCP).some();
    world.arrived_at(SITE_V6).on_port(80).some();
    world.asked_for("allowed.test");
    assert_eq!(world.requests().len(), 3, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn every_kind_of_resolver_asks_the_name_server() {
    let world = World::new()
        .site("allowed.test", SITE)
        .answers("text.test", Answer::Text("word".into()))
        .build();
    world.direct().run(["getent", "ahostsv4", "allowed.test"]).succeeded().said(SITE);
    world.direct().run(["dig", "+short", "allowed.test"]).succeeded().printed(&format!("{SITE}\n"));
    world
        .direct()
        .run(["dig", "+short", "@8.8.8.8", "+tcp", "allowed.test"])
        .succeeded()
        .printed(&format!("{SITE}\n"));
    world.direct().run(["dig", "+short", "text.test", "TXT"]).succeeded().said("word");
    for server in [NAME_SERVER, "2001:4860:4860::8888", &format!("::ffff:{NAME_SERVER}")] {
        for how in ["musl", "go", "tcp"] {
            let resolve = |name| world.direct().run([PYTHON, "resolvers.py", how, name, server]);
            resolve("allowed.test").succeeded().printed(&format!("ok {SITE}\n"));
            resolve("absent.test").succeeded().printed("NXDOMAIN\n");
        }
    }
    world.arrived_at("8.8.8.8").on_port(53).some();
    world.asked_for("absent.test");
    assert!(world.queries().iter().any(|query| query.kind == "TXT"), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn the_name_server_follows_its_script() {
    let world = World::new()
        .flips("flip.test", &[&[SITE], &["10.9.8.7"]])
        .answers("alias.test", Answer::Alias("flip.test".into()))
        .answers("broken.test", Answer::Failure)
        .answers("silent.test", Answer::Silence)
        .build();
    let dig = |name: &str| world.direct().run(["dig", "+short", "+tries=1", "+time=10", name, "A"]);
    dig("flip.test").printed(&format!("{SITE}\n"));
    dig("flip.test").printed("10.9.8.7\n");
    dig("flip.test").printed("10.9.8.7\n");
    dig("alias.test").said("flip.test.").said(SITE);
    world.direct().run(["dig", "broken.test"]).said("SERVFAIL");
    dig("silent.test").exited(9);
}

#[test]
#[ignore = "kernel: needs root"]
fn tcp_reaches_every_address() {
    let world = World::new().site("allowed.test", SITE).closed("93.184.216.40").build();
    let host = format!("connect 127.0.0.1 {}", world.host_port());
    let host_v6 = format!("connect ::1 {}", world.host_port());
    let out = world.direct().probes(&[
        "connect 93.184.216.35 443",
        "nonblocking 93.184.216.35 443",
        "send 93.184.216.35 22",
        "fastopen 93.184.216.36 22",
        "mptcp 93.184.216.36 25",
        "io-uring 93.184.216.36 25",
        "connect ::ffff:93.184.216.35 80",
        "connect 2606:2800:220:1::35 443",
        "connect 169.254.169.254 80",
        "connect 10.9.8.7 80",
        "connect 64:ff9b::10.9.8.7 80",
        "connect 93.184.216.40 80",
        &format!("connect {SILENT} 80"),
        &host,
        &host_v6,
    ]);
    for line in out.text().lines().filter(|line| !line.contains("216.40") && !line.contains(SILENT))
    {
        assert!(line.contains("=> ok") || line.ends_with("=> EINPROGRESS"), "{line}\n{out}");
    }
    out.probe("connect 93.184.216.40 80", &["ECONNREFUSED"])
        .probe(&format!("connect {SILENT} 80"), &["timeout"]);
    assert_eq!(world.host_contacts().len(), 2, "{world}");
    assert!(world.arrived_at(OTHER).of(TCP).payload() > 0, "{world}");
    // Fast Open: the payload is in the first packet, before any answer.
    world.arrived_at("93.184.216.36").on_port(22).starts_with_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn datagrams_of_every_kind_arrive() {
    let world = World::new().build();
    let device = CLIENT_DEVICE;
    let out = world.direct().probes(&[
        "udp 93.184.216.35 9999",
        "udp ::ffff:93.184.216.35 9999",
        "udp 2606:2800:220:1::35 9999",
        "udp-connect 93.184.216.35 443",
        "udp-reconnect 93.184.216.34 9999 93.184.216.35 9999",
        &format!("bound-device {device} 93.184.216.35 9999"),
        &format!("bound-device-tcp {device} 93.184.216.35 22"),
        &format!("unicast-if {device} 93.184.216.35 9999"),
        &format!("pktinfo {device} 93.184.216.35 9999"),
        "sendmmsg 93.184.216.35 9999",
        "udplite 93.184.216.36 9999",
        "ping 8.8.8.8",
        "ping 2606:2800:220:1::35",
        "raw 8.8.8.8",
        "raw-ip 8.8.8.8",
        &format!("packet {device} 10.9.8.7"),
    ]);
    for line in out.text().lines() {
        assert!(line.contains("=> ok"), "{line}\n{out}");
    }
    world.direct().run(["ping", "-c1", "-W1", "8.8.8.8"]).succeeded();
    world.arrived_at(OTHER).of(UDP).some();
    world.arrived_at("93.184.216.36").of(UDP_LITE).some();
    world.arrived_at("8.8.8.8").of(ICMP).some();
    world.arrived_at("8.8.8.8").of(UDP).on_port(9999).some();
    world.arrived_at("10.9.8.7").of(UDP).on_port(9999).some();
    world.arrived().of(ICMPV6).some();
}

#[test]
#[ignore = "kernel: needs root"]
fn source_routes_leave_for_the_hop() {
    let world = World::new().build();
    // The far side does not forward, so no answer comes back; what counts is that the packets arrive at the hop.
    world.direct().probes(&[
        "source-route-udp 93.184.216.35 93.184.216.34 9999",
        "source-route-tcp 93.184.216.36 93.184.216.34 22",
        "routing-header 2606:2800:220:1::35 2606:2800:220:1::34 9999",
    ]);
    world.arrived_at(OTHER).with_options().of(UDP).some();
    world.arrived_at("93.184.216.36").with_options().of(TCP).some();
    world.arrived_at("2606:2800:220:1::35").with_options().some();
}

#[test]
#[ignore = "kernel: needs root"]
fn names_and_hosts_can_be_forged() {
    let world = World::new().site("allowed.test", SITE).record("refused.test", &[SITE]).build();
    let out = world.direct().probes(&[
        "tls 93.184.216.34 443 refused.test",
        "tls 93.184.216.34 443 -",
        "http 93.184.216.34 80 allowed.test refused.test",
        "crlf 93.184.216.34 80 refused.test",
        "pipelined 93.184.216.34 80 allowed.test refused.test",
    ]);
    out.probe("http 93.184.216.34 80 allowed.test refused.test", &["200 200"]);
    out.probe("pipelined 93.184.216.34 80 allowed.test refused.test", &["200 200"]);
    out.probe("crlf 93.184.216.34 80 refused.test", &["200"]);
    out.probe(
        "tls 93.184.216.34 443 refused.test",
        &["ok host=refused.test sni=refused.test path=/probe"],
    );
    assert_eq!(
        world.requests().iter().filter(|request| request.host == "refused.test").count(),
        4,
        "{world}"
    );
    assert!(
        world.contacts().iter().any(|contact| contact.sni.as_deref() == Some("refused.test")),
        "{world}"
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn transfers_are_whole() {
    let world = World::new().site("allowed.test", SITE).build();
    let out = world.direct().run(["curl", "-sS", "https://allowed.test/bytes/8388608"]);
    assert_eq!(sha256(&out.succeeded().stdout), sha256(&pattern(8 << 20)), "the download differs");
    let body = pattern(5 << 20);
    world.file("upload", &body);
    let out = world.direct().run(["curl", "-sS", "-T", "upload", "https://allowed.test/sink"]);
    out.succeeded().printed(&format!("{} {}\n", body.len(), sha256(&body)));

    let peername = format!("peername {SITE} 22");
    let out = world.direct().probes(&[
        "half-close allowed.test 7000 300000",
        "farewell allowed.test 7001 300000",
        "banner allowed.test 22",
        &peername,
    ]);
    out.probe("half-close allowed.test 7000 300000", &["ok 300000"]);
    out.probe("farewell allowed.test 7001 300000", &["ok"]);
    out.probe(
        "banner allowed.test 22",
        &[&format!("ok {BANNER}hello\n").escape_default().to_string()],
    );
    out.probe(&peername, &[&format!("ok {SITE} 22")]);
}

#[test]
#[ignore = "kernel: needs root"]
fn programs_are_run_as_they_are_told() {
    let world = World::new().build();
    world.direct().stdin(b"through").run(["cat"]).succeeded().printed("through");
    world
        .direct()
        .env("WORD", "given")
        .shell("echo $WORD; echo aside >&2; exit 7")
        .exited(7)
        .printed("given\n");
    let (kept, _other) = std::os::unix::net::UnixStream::pair().expect("make a socket pair");
    world.direct().pass(kept, 5).probes(&["descriptor 5"]).probe("descriptor 5", &["ok socket"]);
    let running = world.direct().idle_stdin().start([
        "sh",
        "-c",
        "trap 'echo got it; exit 3' TERM; echo ready; read x",
    ]);
    running.says("ready");
    running.signal(nix::sys::signal::Signal::SIGTERM);
    running.finish().exited(3).said("got it");
}
