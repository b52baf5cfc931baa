//! Names: the same ones are reached, and refused, by every kind of client.
use super::support::{Finished, NAME_SERVER, PYTHON, World};
use super::{ALLOWED, OTHER, OTHER_V6, RESET, SITE, SITE_V6, THIRD, two_sites};

/// Claims that nothing of `refused.test` left: no query, no packet.
#[track_caller]
fn nothing_for_the_refused(world: &World) {
    world.never_asked_for("refused.test");
    world.arrived_at(OTHER).none();
    world.arrived_at("8.8.8.8").none();
}

fn urllib<'w>(world: &'w World, url: &str) -> Finished<'w> {
    let fetch = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=60).read().decode())";
    world.egress(ALLOWED).run([PYTHON, "-c", fetch, url])
}

#[test]
#[ignore = "kernel: needs root"]
fn curl_reaches_the_allowed_site_and_no_other() {
    let world = two_sites();
    let out = world.egress(ALLOWED).run(["curl", "-sS", "https://allowed.test/a"]);
    out.succeeded().printed("host=allowed.test sni=allowed.test path=/a\n");
    world.egress(ALLOWED).run(["curl", "-sS", "http://allowed.test/b"]).succeeded().said("path=/b");
    let could_not_resolve = 6;
    world.egress(ALLOWED).run(["curl", "-sS", "https://refused.test/"]).exited(could_not_resolve);
    world.egress(ALLOWED).run(["curl", "-sS", "http://refused.test/"]).exited(could_not_resolve);
    nothing_for_the_refused(&world);
}

#[test]
#[ignore = "kernel: needs root"]
fn python_reaches_the_allowed_site_and_no_other() {
    let world = two_sites();
    urllib(&world, "https://allowed.test/py").succeeded().said("path=/py");
    urllib(&world, "https://refused.test/").failed().complained("Name or service not known");
    nothing_for_the_refused(&world);
}

#[test]
#[ignore = "kernel: needs root"]
fn resolvers_of_every_kind_agree() {
    let world = two_sites();
    let found = format!("ok {SITE}\n");
    // The third is how musl asks an IPv4 server when it knows an IPv6 one as well: mapped, on an IPv6 socket.
    for server in [NAME_SERVER, "2001:4860:4860::8888", &format!("::ffff:{NAME_SERVER}")] {
        for how in ["musl", "go", "tcp"] {
            let resolve =
                |name| world.egress(ALLOWED).run([PYTHON, "resolvers.py", how, name, server]);
            resolve("allowed.test").succeeded().printed(&found);
            resolve("refused.test").printed("NXDOMAIN\n");
        }
    }
    world.egress(ALLOWED).run(["getent", "ahostsv4", "allowed.test"]).succeeded().said(SITE);
    world.egress(ALLOWED).run(["getent", "ahosts", "refused.test"]).exited(2);
    world
        .egress(ALLOWED)
        .run(["dig", "+short", "allowed.test"])
        .succeeded()
        .printed(&format!("{SITE}\n"));
    world.egress(ALLOWED).run(["dig", "refused.test"]).said("status: NXDOMAIN");
    nothing_for_the_refused(&world);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_is_the_same_in_every_spelling() {
    let world = two_sites();
    for url in ["https://ALLOWED.test/", "https://allowed.test./"] {
        world.egress(ALLOWED).run(["curl", "-sSk", url]).succeeded();
    }
    world
        .egress(&["--allow", "ALLOWED.Test."])
        .run(["curl", "-sS", "https://allowed.test/"])
        .succeeded();
    for name in ["notallowed.test", "allowed.test.refused.test", "www.allowed.test"] {
        world.egress(ALLOWED).run(["dig", name]).said("status: NXDOMAIN");
        world.never_asked_for(name);
    }
}

/// A denied name under a rule that allows all others: whatever it is written like.
#[test]
#[ignore = "kernel: needs root"]
fn a_deny_holds_in_every_spelling() {
    let world = two_sites();
    for rule in ["refused.test", "REFUSED.Test."] {
        let options = ["--allow", "*", "--deny", rule];
        for name in ["refused.test", "refused.test.", "ReFuSeD.tEsT", "REFUSED.TEST."] {
            world.egress(&options).run(["dig", name]).said("status: NXDOMAIN");
        }
        // By the address of an allowed one, in the hello and in the head.
        for name in
            ["refused.test", "refused.test.", "REFUSED.test", "[refused.test]", "refused.test:80"]
        {
            let at = format!("Host: {name}");
            let http = ["curl", "-sSf", "--max-time", "60", "-H", &at, "http://allowed.test/"];
            world.egress(&options).run(http).failed();
        }
        for name in ["refused.test", "refused.test.", "REFUSED.test"] {
            let to = format!("{name}:443:allowed.test:443");
            let url = format!("https://{name}/");
            let tls = ["curl", "-sSk", "--max-time", "60", "--connect-to", &to, &url];
            world.egress(&options).run(tls).failed();
        }
    }
    world.never_asked_for("refused.test");
    assert_eq!(world.requests().len(), 0, "{:?}", world.requests());
    let options = ["--allow", "*", "--deny", "refused.test"];
    world.egress(&options).run(["curl", "-sSf", "http://allowed.test/"]).succeeded();
    assert_eq!(world.requests().len(), 1);
}

#[test]
#[ignore = "kernel: needs root"]
fn programs_that_ignore_proxy_variables_are_held() {
    let world = two_sites();
    let egress = || {
        world
            .egress(ALLOWED)
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("https_proxy", "http://[::1]:9")
    };
    egress().run(["curl", "-sS", "--noproxy", "*", "https://allowed.test/"]).succeeded();
    egress().run(["curl", "-sS", "--noproxy", "*", "https://refused.test/"]).failed();
    // A proxy outside is a destination like any other.
    let outside = world.egress(ALLOWED).env("https_proxy", &format!("http://{THIRD}:80"));
    outside.run(["curl", "-sS", "https://allowed.test/"]).failed();
    nothing_for_the_refused(&world);
    world.arrived_at(THIRD).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn another_server_name_is_reset_before_a_byte_leaves() {
    let world = two_sites();
    let tls = format!("tls {SITE} 443 shared.test");
    let nameless = format!("tls {SITE} 443 -");
    let out = world.egress(ALLOWED).probes(&["resolve allowed.test", &tls, &nameless]);
    out.probe("resolve allowed.test", &[&format!("ok {SITE}")])
        .probe(&tls, RESET)
        .probe(&nameless, RESET);
    world.arrived_at(SITE).no_payload();
    assert!(world.contacts().iter().all(|contact| contact.sni.is_none()), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn ipv6_is_held_alike() {
    let world = two_sites();
    let six = &["--allow", "six.test"];
    world.egress(six).run(["curl", "-6sS", "https://six.test/six"]).succeeded().said("path=/six");
    world.egress(six).run(["curl", "-6sS", "https://sixrefused.test/"]).exited(6);
    let tls = format!("tls {SITE_V6} 443 sixrefused.test");
    let before = world.arrived_at(SITE_V6).payload();
    world.egress(six).probes(&["resolve six.test", &tls]).probe(&tls, RESET);
    let after = world.arrived_at(SITE_V6).payload();
    assert_eq!(before, after, "payload reached the site under another name\n{world}");
    world.never_asked_for("sixrefused.test");
    world.arrived_at(OTHER_V6).none();
}
