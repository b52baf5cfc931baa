//! Names that a search domain completes: the program says the short name, and has looked up the long one.
use super::support::{Client, EGRESS, NAME_SERVER, World};
use super::{OTHER, SITE};

fn world() -> World {
    World::new()
        .site("sub.web.test", SITE)
        // Names that the certificate has, and that lead nowhere.
        .answers("sub", super::support::Answer::Failure)
        .answers("other", super::support::Answer::Failure)
        .site("other.web.test", OTHER)
        .build()
}

fn egress<'w>(world: &'w World, options: &[&str], lines: &str) -> Client<'w> {
    let text = format!("nameserver {}\n{lines}\n", super::support::NAME_SERVER);
    let conf = world.file("searching.conf", text);
    let target = std::fs::canonicalize("/etc/resolv.conf").unwrap();
    world.egress(options).unmounted().mount(&conf, &target.display().to_string())
}

#[test]
#[ignore = "kernel: needs root"]
fn check_says_what_a_search_domain_makes_of_a_short_name() {
    let world = world();
    let conf = world.file("searching.conf", format!("nameserver {NAME_SERVER}\n{SEARCH}\n"));
    let target = std::fs::canonicalize("/etc/resolv.conf").unwrap().display().to_string();
    let check = |options: &[&str]| {
        let words = [&[EGRESS, "check"], options].concat();
        world.under([]).unmounted().mount(&conf, &target).run(words)
    };
    let out = check(&["--allow", "sub.web.test", "sub:443"]);
    out.exited(1).said("sub:443 (completed to sub.web.test it is allowed: see the note)\n");
    out.said("look up sub.web.test, which sub.web.test (--allow) allows, and may then say sub");
    // What run does not let pass either is not told of.
    for (options, target) in [
        (&["--allow", "sub.web.test"][..], "other:443"),
        (&["--allow", "sub.web.test"], "sub.web:443"),
        (&["--allow", "sub.web.test", "--deny", "sub"], "sub:443"),
        (&["--allow", "sub.web.test:80"], "sub:443"),
        (&["--allow", "sub"], "sub:443"),
    ] {
        let out = check(&[options, &["--resolve=*=93.184.216.34", target]].concat());
        assert!(!out.text().contains("completed to"), "{out}");
    }
}

const SEARCH: &str = "search web.test";

#[test]
#[ignore = "kernel: needs root"]
fn a_short_name_passes_for_the_name_that_was_looked_up() {
    let world = world();
    for rule in ["sub.web.test", "*.web.test", "*"] {
        // Of TLS by the kernel, of HTTP by the proxy.
        for url in ["https://sub/", "http://sub/"] {
            let out = egress(&world, &["--allow", rule], SEARCH).run(["curl", "-sS", url]);
            out.succeeded().said("host=sub ");
        }
    }
    world.asked_for("sub.web.test");
    let policy = world.domains(&[("sub.web.test", "{ action = \"allow\", via = \"proxy\" }")]);
    let out = egress(&world, &policy.options(), SEARCH).run(["curl", "-sS", "https://sub/"]);
    out.succeeded().said("host=sub ");
}

#[test]
#[ignore = "kernel: needs root"]
fn no_other_short_name_passes() {
    let world = world();
    // Looked up for another address, or for none, or without the domain.
    let probes = [
        format!("tls {SITE} 443 other"),
        format!("tls {SITE} 443 web.test"),
        format!("tls {SITE} 443 sub.web"),
        format!("http {SITE} 80 other"),
    ];
    let all: Vec<&str> = ["resolve sub.web.test", "resolve other.web.test"]
        .into_iter()
        .chain(probes.iter().map(String::as_str))
        .collect();
    let out = egress(&world, &["--allow", "*.web.test"], SEARCH).probes(&all);
    for probe in &probes {
        assert!(
            !out.probed(probe).starts_with("ok") && !out.probed(probe).starts_with("200"),
            "{out}"
        );
    }
    let sub = format!("tls {SITE} 443 sub");
    let words = ["resolve sub.web.test", &sub];
    // Without the search domain, and with a deny of the short name.
    let out = egress(&world, &["--allow", "*.web.test"], "").probes(&words);
    assert!(!out.probed(&sub).starts_with("ok"), "{out}");
    let out = egress(&world, &["--allow", "*.web.test", "--deny", "sub"], SEARCH).probes(&words);
    assert!(!out.probed(&sub).starts_with("ok"), "{out}");
    assert!(world.contacts().iter().all(|contact| contact.sni.is_none()), "{world}");
}
