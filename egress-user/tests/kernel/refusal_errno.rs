//! `refusal_errno`: what a program gets for a destination that is refused where it asks for it. Some try again for
//! minutes after EPERM, and not at all after what a network says.
use std::time::Duration;

use super::support::{CLIENT, Finished, World, skip};
use super::{ALLOWED, METADATA, OTHER, OTHER_V6, PRIVATE, SITE, SITE_V6, THIRD, two_sites};

/// Each word of the policy, and what it means.
const ERRNOS: [(&str, &str); 3] =
    [("eperm", "EPERM"), ("econnrefused", "ECONNREFUSED"), ("ehostunreach", "EHOSTUNREACH")];

/// Ways to be refused at once, by what asks the kernel for a destination.
fn probes(world: &World) -> Vec<String> {
    let mut probes: Vec<_> = ["connect", "nonblocking", "send", "fastopen"]
        .iter()
        .flat_map(|how| {
            [OTHER, OTHER_V6, "::ffff:93.184.216.35", METADATA, "127.0.0.1", "::1", CLIENT]
                .map(|address| format!("{how} {address} {}", world.host_port()))
        })
        .collect();
    // Fast Open sends nothing of a v6 socket to a v4-mapped address: Python asks for another form of it.
    probes.retain(|probe| !probe.starts_with("fastopen ::ffff"));
    probes.extend(["udp", "udp-dissolved"].iter().flat_map(|how| {
        [OTHER, OTHER_V6, "::ffff:93.184.216.35", PRIVATE, "127.0.0.1"]
            .map(|address| format!("{how} {address} 9999"))
    }));
    probes.push(format!("sendmmsg {OTHER} 9999"));
    probes
}

/// Whether the kernel lets hooks choose; says so where it does not.
fn is_said_where_it_cannot_be(out: &Finished<'_>) -> bool {
    let cannot = out.complaints().contains("refusal_errno has no effect on this kernel");
    if cannot {
        skip("this kernel lets no hook choose an errno");
    }
    cannot
}

#[test]
#[ignore = "kernel: needs root"]
fn refused_calls_give_what_the_policy_says() {
    let world = two_sites();
    let probes = probes(&world);
    for (word, errno) in ERRNOS {
        let key = format!("network.refusal_errno={word}");
        let out = world.egress(&["--set", &key, "--allow", "allowed.test"]).probes(&probes);
        if word != "eperm" && is_said_where_it_cannot_be(&out) {
            return;
        }
        for probe in &probes {
            out.probe(probe, &[errno]);
        }
    }
    // Unless it is written, EPERM.
    let out = world.egress(ALLOWED).probes(&probes);
    for probe in &probes {
        out.probe(probe, &["EPERM"]);
    }
    world.arrived().none();
    assert_eq!(world.host_contacts(), [], "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn every_kind_of_refusal_gives_it() {
    let world = two_sites();
    let policy = world.policy(
        "[network]\nrefusal_errno = \"ehostunreach\"\n\
         [network.domains]\n\"allowed.test\" = { action = \"allow\", ports = [443] }\n\
         [network.addresses]\n\"93.184.216.35\" = \"deny\"\n\
         \"93.184.216.36\" = { action = \"allow\", ports = [22] }\n",
    );
    let (other_port, denied) = (format!("connect {SITE} 22"), format!("connect {OTHER} 443"));
    let of_rule = format!("connect {THIRD} 25");
    let words = ["resolve allowed.test", &other_port, &denied, &of_rule];
    let out = world.egress(&policy.options()).probes(&words);
    if is_said_where_it_cannot_be(&out) {
        return;
    }
    for probe in [&other_port, &denied, &of_rule] {
        out.probe(probe, &["EHOSTUNREACH"]);
    }
    out.complained("port_not_allowed").complained("denied");
    // Whatever passes, passes; what a socket cannot be is told as before, and so is what a connected one sends.
    let (site, sent) = (format!("connect {SITE} 443"), format!("udp-connect {OTHER} 9999"));
    let (ping, v6) = ("make 2 2 1", format!("connect {SITE_V6} 443"));
    let out =
        world.egress(&policy.options()).probes(&["resolve allowed.test", &site, &sent, ping, &v6]);
    out.probe(&site, &["ok"]).probe(&sent, &["EPERM"]).probe(ping, &["EPROTONOSUPPORT"]);
    out.probe(&v6, &["EHOSTUNREACH"]);
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn wget_gives_up_at_once() {
    let world = two_sites();
    let url = format!("http://{OTHER}/");
    let wget = ["wget", "-O-", "--waitretry=1", "--tries=3", &url];
    for (word, said) in
        [("econnrefused", "Connection refused"), ("ehostunreach", "No route to host")]
    {
        let key = format!("network.refusal_errno={word}");
        let out = world.egress(&["--set", &key, "--allow", "allowed.test"]).run(wget);
        if is_said_where_it_cannot_be(&out) {
            return;
        }
        out.failed().complained(said).within(Duration::from_secs(2));
        assert!(!out.complaints().contains("Retrying"), "{out}");
        assert!(!out.complaints().contains("try: 2"), "{out}");
    }
    // What it is for: without it, it tries again.
    let out = world.egress(ALLOWED).run(wget);
    out.failed().complained("Operation not permitted").complained("(try: 3)");
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn another_word_starts_nothing() {
    let world = two_sites();
    let out = world.egress(&["--set", "network.refusal_errno=enoent"]).run(["true"]);
    out.exited(2).complained("refusal_errno").complained("econnrefused");
}
