//! `resolves_to`: the private answers of one name are open under that name, and nothing else is.
use super::support::{CLIENT, PYTHON, World};
use super::{METADATA, OTHER, PRIVATE, REFUSED, SITE};

const PRIVATE_V6: &str = "fd00:9::7";

fn rule(blocks: &str) -> String {
    format!("{{ action = \"allow\", resolves_to = [{blocks}] }}")
}

/// Names that lead inside, one of them to both families, and one that leads outside.
fn world() -> World {
    World::new()
        .record("mirror.test", &[PRIVATE])
        .record("both.test", &[PRIVATE, PRIVATE_V6])
        .record("mixed.test", &[SITE, PRIVATE])
        .record("stranger.test", &[PRIVATE])
        .record("metadata.test", &[METADATA])
        .site("site.test", SITE)
        .build()
}

#[test]
#[ignore = "kernel: needs root"]
fn a_private_answer_is_reached_under_its_name_alone() {
    let world = world();
    let blocks = rule("\"10.9.0.0/16\", \"fd00:9::/32\"");
    let policy = world.domains(&[
        ("mirror.test", &blocks),
        ("both.test", &blocks),
        ("mixed.test", &blocks),
        ("stranger.test", "\"allow\""),
    ]);
    let egress = || world.egress(&policy.options());
    // Of TLS by the kernel, of HTTP by the proxy.
    for url in ["https://mirror.test/", "http://mirror.test/", "https://both.test/"] {
        egress().run(["curl", "-sS", url]).succeeded().said("host=");
    }
    egress().run(["curl", "-6sS", "https://both.test/"]).succeeded().said("host=both.test");
    for address in [SITE, PRIVATE] {
        let resolve = format!("mixed.test:443:{address}");
        let out = egress().run(["sh", "-c", &format!(
            "getent ahosts mixed.test >/dev/null; curl -sS --resolve {resolve} https://mixed.test/"
        )]);
        out.succeeded().said("host=mixed.test");
    }
    let before = world.contacts().len();
    // Another name of the same address, and the address itself, stay closed.
    let connect = format!("connect {PRIVATE} 443");
    egress().probes(&[&connect]).probe(&connect, REFUSED);
    let out = egress().run(["curl", "-sS", "https://stranger.test/"]);
    out.failed().complained("stranger.test: not_allowed_local");
    out.complained("resolves_to = [\"10.9.8.7/32\"]");
    assert!(!out.complaints().contains("allow_local_binding"), "{out}");
    // A rule of the address opens it for itself, and no name that leads there.
    let (path, by_address) = (policy.path(), format!("http://{PRIVATE}/"));
    let with_address = || world.egress(&["--policy", path, "--allow", PRIVATE]);
    with_address().run(["curl", "-sS", &by_address]).succeeded();
    with_address().run(["curl", "-sS", "http://mirror.test/"]).succeeded().said("host=mirror");
    let out = with_address().run(["curl", "-sS", "https://stranger.test/"]);
    out.failed().complained("stranger.test: not_allowed_local");
    // Under the pin of mirror.test no other name is said.
    let tls = format!("tls {PRIVATE} 443 stranger.test");
    let out = egress().probes(&["resolve mirror.test", &tls]);
    assert!(!out.probed(&tls).starts_with("ok"), "{out}");
    assert!(world.contacts().iter().skip(before).all(|contact| contact.sni.is_none()), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn blocks_do_not_open_the_machine_or_the_metadata_service() {
    let world = World::new()
        .record("metadata.test", &[METADATA])
        .record("loopback.test", &["127.0.0.1"])
        .record("own.test", &[CLIENT])
        .build();
    let port = world.host_port();
    let all = rule("\"0.0.0.0/0\", \"::/0\"");
    let names = ["metadata.test", "loopback.test", "own.test"];
    let wide = world.domains(&names.map(|name| (name, all.as_str())));
    for name in names {
        let url = format!("http://{name}:{port}/");
        let out = world.egress(&wide.options()).run(["curl", "-sS", "--max-time", "60", &url]);
        out.failed().complained(&format!("{name}: not_allowed_local"));
    }
    assert_eq!(world.host_contacts(), [], "{world}");
    world.arrived_at(METADATA).none();
    // Each by itself.
    let alone = |address: &str| rule(&format!("\"{address}\""));
    let (loopback, own) = (alone("127.0.0.1"), alone(CLIENT));
    let exact = world.domains(&[("loopback.test", &loopback), ("own.test", &own)]);
    for name in ["loopback.test", "own.test"] {
        let url = format!("http://{name}:{port}/");
        world.egress(&exact.options()).run(["curl", "-sS", &url]).succeeded();
    }
    assert_eq!(world.host_contacts().len(), 2, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn the_line_that_is_advised_opens_the_name() {
    let world = world();
    let out =
        world.egress(&["--allow", "mirror.test"]).run(["curl", "-sS", "https://mirror.test/"]);
    out.failed();
    let said = out.complaints();
    let advice = said.lines().find_map(|line| line.split_once("in [network.domains]: "));
    let (_, line) = advice.unwrap_or_else(|| panic!("no line is advised\n{out}"));
    let (line, _) = line.split_once(", or --set '").unwrap_or((line, ""));
    let policy = world.policy(format!("[network.domains]\n{line}\n"));
    let out = world.egress(&policy.options()).run(["curl", "-sS", "https://mirror.test/"]);
    out.succeeded().said("host=mirror.test");
    // And no other.
    world.egress(&policy.options()).run(["curl", "-sS", "https://stranger.test/"]).failed();
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn an_answer_that_leaves_the_blocks_keeps_to_what_was_pinned() {
    let world = World::new().flips("mirror.test", &[&[PRIVATE], &[METADATA]]).ttl(0).build();
    let policy = world.domains(&[("mirror.test", &rule("\"10.9.0.0/16\""))]);
    let metadata = format!("connect {METADATA} 80");
    // Until the second lookup is there, which the outcome of the first may still answer.
    let fetch = format!(
        "curl -sS https://mirror.test/1; \
         for i in $(seq 40); do getent hosts mirror.test || break; sleep 0.1; done; \
         {PYTHON} probe.py '{metadata}'"
    );
    let out = world.egress(&policy.options()).shell(&fetch);
    out.said("path=/1").probe(&metadata, REFUSED);
    out.complained("mirror.test: not_allowed_local");
    world.arrived_at(METADATA).none();
}
