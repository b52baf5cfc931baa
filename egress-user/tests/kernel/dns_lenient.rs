//! Name servers as they are: what libc takes from them is taken here, and nothing more is opened by it.
use hickory_proto::op::ResponseCode;

use super::support::{Answer, EGRESS, PYTHON, World};
use super::{ALLOWED, OTHER_V6, REFUSED, SITE, SITE_V6, two_sites};

#[test]
#[ignore = "kernel: needs root"]
fn one_familys_failure_leaves_the_other_standing() {
    let v4 = |other| Answer::OneFamily(vec![SITE.parse().unwrap()], other);
    let v6 = Answer::OneFamily(vec![SITE_V6.parse().unwrap()], Some(ResponseCode::ServFail));
    let world = World::new()
        .answers("servfail.test", v4(Some(ResponseCode::ServFail)))
        .answers("notimp.test", v4(Some(ResponseCode::NotImp)))
        .answers("silent.test", v4(None))
        .answers("six.test", v6)
        .build();
    let other = format!("connect {OTHER_V6} 443");
    for (name, address) in [
        ("servfail.test", SITE),
        ("notimp.test", SITE),
        ("silent.test", SITE),
        ("six.test", SITE_V6),
    ] {
        let options = &["--allow", name];
        let url = format!("https://{name}/");
        let host = format!("host={name}");
        world.egress(options).run(["curl", "-sS", &url]).succeeded().said(&host);
        world.egress(options).run(["getent", "ahosts", name]).succeeded().said(address);
        world.egress(options).probes(&[&other]).probe(&other, REFUSED);
    }
    // What is refused by the policy stays refused, whatever the other family does.
    let inside = Answer::OneFamily(vec!["10.9.8.7".parse().unwrap()], Some(ResponseCode::ServFail));
    let world = World::new().answers("inside.test", inside).build();
    let out =
        world.egress(&["--allow", "inside.test"]).run(["curl", "-sS", "https://inside.test/"]);
    out.failed().complained("inside.test: not_allowed_local");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_failed_lookup_says_which_server_did_what() {
    let code = |code| Answer::OneFamily(Vec::new(), Some(code));
    let world = World::new()
        .answers("servfail.test", Answer::Failure)
        .answers("refused.test", code(ResponseCode::Refused))
        .answers("notimp.test", code(ResponseCode::NotImp))
        .answers("silent.test", Answer::Silence)
        .answers("text.test", Answer::Text("no address".to_owned()))
        .build();
    let failed = |name: &str| {
        let options = ["--set", "network.dns.timeout=2s", "--allow", name];
        let out = world.egress(&options).run(["getent", "ahosts", name]);
        out.failed();
        world.asked_for(name);
        let lines: Vec<_> = out.complaints().lines().map(str::to_owned).collect();
        let told = lines.iter().position(|line| line == "egress: refused:");
        let told = told.map(|at| lines[at + 1..].to_vec()).unwrap_or_default();
        assert!(told.iter().all(|line| !line.contains("to allow")), "{out}");
        told.first().cloned()
    };
    for (name, did) in [
        ("servfail.test", "93.184.216.53 answered SERVFAIL"),
        ("refused.test", "93.184.216.53 answered REFUSED"),
        ("notimp.test", "93.184.216.53 answered NOTIMP"),
        ("silent.test", "93.184.216.53 did not answer"),
        ("text.test", "the name servers know no address of it"),
    ] {
        let told = failed(name).expect("a refusal");
        assert!(told.starts_with(&format!("  {name} ({did}): dns_failed")), "{told}\n{world}");
        // Who does without a filter sees the same.
        world.direct().run(["getent", "ahosts", name]).failed();
    }
    // A name that does not exist is nobody's failure.
    assert_eq!(failed("absent.test"), None);
    // The resolver of the program is told as well (RFC 8914), and so is whoever checks.
    let out = world.egress(&["--allow", "refused.test"]).run(["dig", "refused.test"]);
    out.said("egress: dns_failed: 93.184.216.53 answered REFUSED");
    let check = [EGRESS, "check", "--allow", "refused.test", "refused.test:443"];
    world.direct().run(check).exited(1).said("93.184.216.53 answered REFUSED");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_run_of_address_rules_needs_no_name_server() {
    let world = two_sites();
    let connect = format!("connect {SITE} 22");
    let target = std::fs::canonicalize("/etc/resolv.conf").unwrap();
    for text in ["", "search web.test\n", "nameserver nowhere\n"] {
        let conf = world.file("none.conf", text);
        let egress = |options: &[&str]| {
            world.egress(options).unmounted().mount(&conf, &target.display().to_string())
        };
        egress(&["--allow", SITE]).probes(&[&connect]).probe(&connect, &["ok"]);
        // A lookup fails, and opens nothing.
        let out = egress(ALLOWED).run([PYTHON, "resolvers.py", "go", "allowed.test", "9.9.9.9"]);
        out.printed("SERVFAIL\n");
    }
    world.never_asked_for("allowed.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn thousands_of_lookups_of_one_name_are_answered() {
    let world = two_sites();
    let lookups = "import socket, threading\nfailed = []\ndef look_up():\n  for _ in range(250):\n    try: \
        socket.getaddrinfo('allowed.test', 443, socket.AF_INET)\n    except OSError as error: failed.append(error)\n\
        threads = [threading.Thread(target=look_up) for _ in range(32)]\n\
        [t.start() for t in threads]; [t.join() for t in threads]\nprint(len(failed), 'failed', failed[:1])\n";
    let out = world.egress(ALLOWED).run([PYTHON, "-c", lookups]);
    out.succeeded().printed("0 failed []\n");
    assert!(!out.complaints().contains("rate_limited"), "{out}");
    // With a limit of the policy's own, new questions are refused beyond it.
    let rate = "network.dns.queries_per_second=1";
    let dig = "for i in 1 2 3 4; do dig +tries=1 +time=20 other$i.test; done";
    let options = ["--set", rate, "--allow", "*.test"];
    let out = world.egress(&options).shell(dig);
    out.said("status: REFUSED").complained("rate_limited");
}
