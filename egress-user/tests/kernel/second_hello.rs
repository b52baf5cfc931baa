//! A later ClientHello that names another host: TLS servers may ask for a second one, and act on the name in it. Each
//! attempt is judged by what the servers and the wire saw.
use std::time::Duration;

use super::support::tls_servers::{ALL, GNUTLS, IN_BYTES, OPENSSL, RUSTLS, TlsServers};
use super::support::{Client, Finished, PYTHON, Policy, TLS_SERVERS, World};
use super::{SITE, SITE_V6};

/// Ways to send a second hello that a server answers when nothing filters.
const WAYS: &[&str] = &[
    "whole",
    "bytes",
    "pieces",
    "records",
    "corked",
    "ccs",
    "late-ccs",
    "ccs+records",
    "early",
    "early+ccs",
    "early+late-ccs+pieces",
];
/// By other mechanisms.
const OTHERS: &[&str] = &["shared", "urgent", "fork", "half-close", "again", "ccs+corked+shared"];
/// Those that GnuTLS answers, which does not wait for its request to arrive.
const AT_ONCE: &[&str] = &["pipelined", "same-segment"];

fn world() -> World {
    World::new()
        .tools(TLS_SERVERS)
        .site("allowed.test", SITE)
        .site("six.test", SITE_V6)
        .record("beside.test", &[SITE])
        .record("denied.test", &[SITE])
        .build()
}

fn policy(world: &World, path: &str) -> Policy {
    let rule = format!("{{ action = \"allow\", ports = {ALL:?}, via = \"{path}\" }}");
    let names = ["allowed.test", "beside.test", "six.test"].map(|name| (name, rule.as_str()));
    world.domains(&[&names[..], &[("denied.test", "\"deny\"")]].concat())
}

/// Two hellos to one of the servers, each way a connection.
fn hellos<'w>(
    client: Client<'w>,
    to: (&str, &str),
    port: u16,
    second: &str,
    ways: &[&str],
) -> Finished<'w> {
    let (name, address) = to;
    let line = format!(
        "getent ahosts {name} > found; getent ahosts beside.test > found; \
         exec {PYTHON} retries.py {address} {port} {name} {second} {}",
        ways.join(" ")
    );
    client.patience(Duration::from_secs(180)).shell(&line)
}

const V4: (&str, &str) = ("allowed.test", SITE);
const V6: (&str, &str) = ("six.test", SITE_V6);

#[test]
#[ignore = "kernel: needs root"]
fn without_a_filter_a_second_hello_names_whom_it_likes() {
    let world = world();
    let servers = TlsServers::on(&world);
    for to in [V4, V6] {
        for port in [OPENSSL, GNUTLS] {
            let ways = [WAYS, OTHERS, if port == GNUTLS { AT_ONCE } else { &[] }].concat();
            let out = hellos(world.direct(), to, port, "refused.test", &ways);
            for way in ways {
                out.probe(way, &["direct served", "proxy served"]);
            }
            assert!(world.arrived_at(to.1).on_port(port).streams_have("refused.test"), "{world}");
        }
    }
    assert!(servers.has_served("refused.test"));
    // rustls compares the names, and has read the other one.
    hellos(world.direct(), V4, RUSTLS, "refused.test", &["whole"]).succeeded();
    assert!(world.arrived_at(SITE).on_port(RUSTLS).streams_have("refused.test"), "{world}");
}

/// What a refusal looks like.
const REFUSED: [&str; 7] = [
    "direct aborted",
    "direct reset",
    "proxy reset",
    "proxy aborted",
    "proxy closed",
    "direct ENOTCONN",
    "proxy ENOTCONN",
];

/// Ways that the kernel side refuses for their form: it sends the next connection to the proxy.
fn is_odd(way: &str) -> bool {
    ["shared", "urgent"].iter().any(|odd| way.contains(odd))
}

#[track_caller]
fn refused(path: &str, to: (&str, &str), ports: &[u16]) {
    let world = world();
    let servers = TlsServers::on(&world);
    let policy = policy(&world, path);
    let way_taken = if path == "kernel" { "direct " } else { "proxy " };
    let attempt = |port: u16, name: &str, ways: &[&str]| {
        let out = hellos(world.egress(&policy.options()), to, port, name, ways);
        for way in ways {
            out.probe(way, &REFUSED);
            assert!(out.probed(way).starts_with(way_taken), "{out}");
        }
    };
    let all = [WAYS, OTHERS, AT_ONCE].concat();
    let (odd, plain): (Vec<&str>, Vec<&str>) = all.into_iter().partition(|way| is_odd(way));
    for &port in ports {
        attempt(port, "refused.test", &plain);
        attempt(port, "denied.test", &["whole", "ccs"]);
        for way in &odd {
            attempt(port, "refused.test", &[way]);
        }
        for name in ["refused.test", "denied.test"] {
            assert!(!world.arrived_at(to.1).streams_have(name), "{world}");
        }
        // To each of them the first hello came.
        assert!(world.arrived_at(to.1).on_port(port).streams_have(to.0), "{world}");
    }
    assert!(!servers.has_served("refused.test") && !servers.has_served("denied.test"));
}

#[test]
#[ignore = "kernel: needs root"]
fn a_second_hello_of_another_name_does_not_leave_by_the_kernels_path() {
    refused("kernel", V4, &[OPENSSL, GNUTLS, RUSTLS]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_second_hello_of_another_name_does_not_leave_by_the_proxy() {
    refused("proxy", V4, &[OPENSSL, GNUTLS, RUSTLS]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_second_hello_of_another_name_does_not_leave_over_ipv6() {
    refused("kernel", V6, &[OPENSSL]);
    refused("proxy", V6, &[OPENSSL]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_request_in_single_bytes_is_one_all_the_same() {
    refused("kernel", V4, &[IN_BYTES]);
    refused("proxy", V4, &[IN_BYTES]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_second_hello_of_a_right_name_passes() {
    let world = world();
    let servers = TlsServers::on(&world);
    for path in ["kernel", "proxy"] {
        let policy = policy(&world, path);
        let way_taken = if path == "kernel" { "direct" } else { "proxy" };
        for to in [V4, V6] {
            for port in ALL {
                let ways = [
                    "whole",
                    "pieces",
                    "records",
                    "corked",
                    "ccs",
                    "ccs+records",
                    "late-ccs",
                    "early",
                    "early+late-ccs",
                    "half-close",
                    "fork",
                ];
                // The same name twice, then both in capitals.
                for name in [to.0.to_owned(), to.0.to_uppercase()] {
                    let out = hellos(world.egress(&policy.options()), to, port, &name, &ways);
                    for way in ways {
                        // rustls takes no ticket that it has not given, and compares names as written.
                        if port != RUSTLS || name == to.0 && !way.starts_with("early") {
                            out.probe(way, &[&format!("{way_taken} served")]);
                        }
                    }
                }
            }
        }
        // It is judged like the first: another name that this address was looked up for may follow.
        let out =
            hellos(world.egress(&policy.options()), V4, OPENSSL, "beside.test", &["whole", "ccs"]);
        out.probe("whole", &[&format!("{way_taken} served")]);
        assert!(servers.has_served("beside.test"), "{out}");
        // Without a name nobody is named: as for a first hello, that suffices on ports of other protocols.
        let out =
            hellos(world.egress(&policy.options()), V4, OPENSSL, "allowed.test", &["nameless"]);
        out.probe("nameless", &[&format!("{way_taken} served")]);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn ordinary_clients_answer_a_request_on_both_paths() {
    let world = world();
    let _servers = TlsServers::on(&world);
    for path in ["kernel", "proxy"] {
        let policy = policy(&world, path);
        for port in ALL {
            for (name, address) in [V4, V6] {
                let target =
                    if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
                let line = format!(
                    "getent ahosts {name} > found; \
                     curl -skS -m 60 -o body --resolve {name}:{port}:{target} https://{name}:{port}/ && echo 1.3; \
                     curl -skS -m 60 -o body --tls-max 1.2 --resolve {name}:{port}:{target} https://{name}:{port}/ && echo 1.2; \
                     printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 60 openssl s_client -quiet -groups X25519:P-384 \
                     -servername {name} -connect {target}:{port} 2>/dev/null | grep -q 200 && echo s_client"
                );
                let out =
                    world.egress(&policy.options()).patience(Duration::from_secs(90)).shell(&line);
                out.printed("1.3\n1.2\ns_client\n");
            }
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_no_hello_does_not_pass_before_the_answer() {
    let world = world();
    let _servers = TlsServers::on(&world);
    for path in ["kernel", "proxy"] {
        let policy = policy(&world, path);
        for way in ["text", "sslv2", "ccs+text", "early+sslv2"] {
            let out = hellos(world.egress(&policy.options()), V4, OPENSSL, "refused.test", &[way]);
            out.probe(way, &REFUSED);
        }
    }
    assert!(!world.arrived_at(SITE).streams_have("GET / HTTP"), "{world}");
    // Without a filter it arrives, whatever the server makes of it.
    hellos(world.direct(), V4, OPENSSL, "refused.test", &["text"]).succeeded();
    assert!(world.arrived_at(SITE).streams_have("GET / HTTP"), "{world}");
}
