//! Names of the machine's hosts file, which libc resolves by itself: judged like the answers of lookups, as the file
//! was at the start.
use super::support::{CLIENT, Client, PYTHON, World};
use super::{METADATA, OTHER, PRIVATE, REFUSED, SITE};

const ENTRIES: &str = "127.0.0.1 localhost\n93.184.216.34 allowed.test also.test\n93.184.216.35 refused.test\n\
    10.9.8.7 inside.test\n169.254.169.254 metadata.test\n127.0.0.1 loopback.test\n93.184.216.2 own.test\n\
    93.184.216.34 both.test\n10.9.8.7 both.test\n0.0.0.0 blocked.test\n";

fn world() -> World {
    // Their servers have certificates for these names; the name server knows none of them.
    let names = ["allowed.test", "also.test", "refused.test", "inside.test", "both.test"];
    names
        .iter()
        .fold(World::new(), |world, name| world.answers(name, super::support::Answer::Failure))
        .build()
}

fn egress<'w>(world: &'w World, options: &[&str]) -> Client<'w> {
    let hosts = world.file("hosts", ENTRIES);
    world.egress(options).mount(&hosts, "/etc/hosts")
}

#[test]
#[ignore = "kernel: needs root"]
fn an_allowed_name_of_the_hosts_file_is_reached_under_its_name() {
    let world = world();
    for url in ["https://allowed.test/", "http://allowed.test/"] {
        let out = egress(&world, &["--allow", "allowed.test"]).run(["curl", "-sS", url]);
        out.succeeded().said("host=allowed.test");
    }
    // Under another name of the file that is not allowed it is not, nor at another address.
    let also = ["tls 93.184.216.34 443 also.test", "connect 93.184.216.35 443"];
    let out = egress(&world, &["--allow", "allowed.test"]).probes(&also);
    assert!(!out.probed(also[0]).starts_with("ok"), "{out}");
    out.probe(also[1], REFUSED);
    // Whoever asks the name server gets the same answer.
    let dig = ["dig", "+short", "allowed.test"];
    egress(&world, &["--allow", "allowed.test"]).run(dig).printed("93.184.216.34\n");
    world.never_asked_for("allowed.test");
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn entries_are_judged_like_answers() {
    let world = world();
    let port = world.host_port();
    for (name, address) in [
        ("inside.test", PRIVATE),
        ("metadata.test", METADATA),
        ("loopback.test", "127.0.0.1"),
        ("own.test", CLIENT),
        // One address of two condemns the other.
        ("both.test", SITE),
    ] {
        let connect = format!("connect {address} {port}");
        let out = egress(&world, &["--allow", name]).probes(&[&connect]);
        out.probe(&connect, REFUSED);
        out.complained("resolves_to").complained(name);
        let bare = format!("--allow {address}");
        assert!(!out.complaints().contains(&bare), "{out}");
    }
    world.arrived().besides_lookups().none();
    assert_eq!(world.host_contacts(), [], "{world}");
    let rule = "{ action = \"allow\", resolves_to = [\"10.9.8.7\"] }";
    let policy = world.domains(&[("inside.test", rule), ("both.test", rule)]);
    for name in ["inside.test", "both.test"] {
        let url = format!("https://{name}/");
        let out = egress(&world, &policy.options()).run(["curl", "-sS", &url]);
        out.succeeded().said(&format!("host={name}"));
    }
    // A deny wins.
    let connect = format!("connect {SITE} 443");
    let out = egress(&world, &["--allow", "allowed.test", "--deny", SITE]).probes(&[&connect]);
    out.probe(&connect, REFUSED).complained("denied");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_is_not_allowed_is_advised_by_its_name() {
    let world = world();
    let out =
        egress(&world, &["--allow", "allowed.test"]).run(["curl", "-sS", "https://refused.test/"]);
    out.failed().complained("--allow refused.test");
    assert!(!out.complaints().contains("--allow 93.184.216.35"), "{out}");
    let out =
        egress(&world, &["--allow", "refused.test"]).run(["curl", "-sS", "https://refused.test/"]);
    out.succeeded().said("host=refused.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_written_there_later_opens_nothing() {
    let world = world();
    let hosts = world.file("hosts", "93.184.216.34 allowed.test\n");
    // Root may write it, and the test's directory lets anyone else.
    let write = format!("echo '{OTHER} allowed.test' >> /etc/hosts");
    let (first, later) = (format!("connect {SITE} 443"), format!("connect {OTHER} 443"));
    let fetch = format!("{write}; {PYTHON} probe.py '{first}' '{later}'; dig +short allowed.test");
    let out = world.egress(&["--allow", "allowed.test"]).mount(&hosts, "/etc/hosts").shell(&fetch);
    out.probe(&first, &["ok"]).probe(&later, REFUSED);
    assert!(out.text().ends_with("93.184.216.34\n"), "{out}");
    assert!(std::fs::read_to_string(&hosts).unwrap().contains(OTHER), "it was not written\n{out}");
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_list_of_blocked_names_opens_and_costs_nothing() {
    let world = World::new().site("allowed.test", SITE).build();
    let blocked: String =
        (0..100_000).map(|number| format!("0.0.0.0 ads{number}.test\n")).collect();
    let hosts = world.file("hosts", blocked);
    let out = world.egress(&["--allow", "*"]).mount(&hosts, "/etc/hosts").run([
        "curl",
        "-sS",
        "https://allowed.test/",
    ]);
    out.succeeded().said("host=allowed.test");
    let url = "http://ads7.test/";
    // Nobody of the sandbox listens there, which would be told as it is without the filter.
    let options = ["--allow", "*", "--set", "network.allow_own_loopback=false"];
    let out = world.egress(&options).mount(&hosts, "/etc/hosts").run(["curl", "-sS", url]);
    out.failed().complained("tcp 0.0.0.0:80: not_allowed_local");
    assert!(!out.complaints().contains("to allow"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn check_shows_what_run_does() {
    let world = world();
    let hosts = world.file("hosts", ENTRIES);
    let check = |options: &[&str], target: &str| {
        let words = [&[super::support::EGRESS, "check"], options, &[target]].concat();
        world.under([]).mount(&hosts, "/etc/hosts").run(words)
    };
    let out = check(&["--allow", "allowed.test"], "allowed.test:443");
    out.succeeded().said(SITE).said("/etc/hosts");
    let out = check(&["--allow", "inside.test"], "inside.test:443");
    out.exited(1).said("not_allowed_local").said("resolves_to = [\"10.9.8.7/32\"]");
    world.never_asked_for("allowed.test");
}
