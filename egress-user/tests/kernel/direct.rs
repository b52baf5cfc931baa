//! Connections that go straight out: nothing leaves but a hello of a name that the address is pinned for.
use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::processes::eventually;
use super::support::{Finished, PYTHON, World, slowness};
use super::{ALLOWED, SITE, SITE_V6, two_sites};

/// Looks `allowed.test` up, then sends hellos for `name` to its address, each way a connection.
fn hellos<'w>(world: &'w World, options: &[&str], name: &str, hows: &[&str]) -> Finished<'w> {
    at(world, options, "allowed.test", SITE, 443, name, hows)
}

fn at<'w>(
    world: &'w World,
    options: &[&str],
    lookup: &str,
    address: &str,
    port: u16,
    name: &str,
    hows: &[&str],
) -> Finished<'w> {
    let line = format!(
        "getent ahosts {lookup} > found && {PYTHON} hellos.py {address} {port} {name} {}",
        hows.join(" ")
    );
    // Hundreds of connections, one after another, also on an emulated machine.
    world.egress(options).patience(Duration::from_secs(240)).shell(&line)
}

#[test]
#[ignore = "kernel: needs root"]
fn a_pinned_name_goes_straight_out() {
    let world = two_sites();
    let hows = ["whole", "bytes", "pieces=7", "pieces=100", "pause=0.3", "more", "cork"];
    let out = hellos(&world, ALLOWED, "allowed.test", &hows);
    for how in hows {
        out.probe(how, &["direct answer"]);
    }
    out.succeeded();
}

/// What came of each way, one way a line.
fn lines(out: &Finished<'_>) -> String {
    out.succeeded().text()
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hello_is_judged_alike_wherever_it_is_cut() {
    let world = two_sites();
    let good = lines(&hellos(&world, ALLOWED, "allowed.test", &["every-cut"]));
    assert!(good.starts_with("every-cut => direct answer at ") && !good.contains(';'), "{good}");
    let good_v6 =
        at(&world, &["--allow", "six.test"], "six.test", SITE_V6, 443, "six.test", &["every-cut"]);
    let good_v6 = lines(&good_v6);
    assert!(good_v6.starts_with("every-cut => direct answer at "), "{good_v6}");
    assert!(!good_v6.contains(';'), "{good_v6}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_is_not_pinned_there_is_ended_before_a_byte_leaves() {
    let world = two_sites();
    let hows = ["whole", "bytes", "pieces=100", "cork", "two-processes"];
    for name in ["shared.test", "refused.test", "allowed.test.refused.test", "xallowed.test"] {
        let out = hellos(&world, ALLOWED, name, &hows);
        for how in hows {
            out.probe(how, &["direct aborted"]);
        }
        out.complained("sni_mismatch");
    }
    let six = at(&world, &["--allow", "six.test"], "six.test", SITE_V6, 443, "allowed.test", &hows);
    six.probe("whole", &["direct aborted"]).probe("bytes", &["direct aborted"]);
    // RFC 6066: no name at all is not the site's name either.
    hellos(&world, ALLOWED, "-", &["whole"]).probe("whole", &["direct aborted"]);
    let every = lines(&hellos(&world, ALLOWED, "shared.test", &["every-cut"]));
    assert!(
        every.starts_with("every-cut => direct aborted at ") && !every.contains(';'),
        "{every}"
    );
    world.arrived_at(SITE).no_payload();
    world.arrived_at(SITE_V6).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn spelling_of_the_name_does_not_matter() {
    let world = two_sites();
    for name in ["ALLOWED.test", "allowed.TEST", "allowed.test."] {
        hellos(&world, ALLOWED, name, &["whole"]).probe("whole", &["direct answer"]);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn pages_that_the_program_can_still_change_do_not_leave() {
    let world = two_sites();
    let ways = ["sendfile", "prefix-sendfile", "splice", "vmsplice", "zerocopy"];
    for way in ways {
        // The name is right: only how it is sent is not.
        let out = hellos(&world, ALLOWED, "allowed.test", &[way]);
        out.probe(way, &["direct aborted"]);
    }
    world.arrived_at(SITE).no_payload();
    for way in ways {
        // The next connection takes the proxy, which copies what it reads.
        let out = hellos(&world, ALLOWED, "allowed.test", &[way, "whole", way]);
        let expected =
            format!("{way} => direct aborted\nwhole => proxy answer\n{way} => proxy answer\n");
        out.printed(&expected);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn urgent_data_is_sent_to_the_proxy() {
    let world = two_sites();
    for how in ["urgent", "urgent-end"] {
        let out = hellos(&world, ALLOWED, "allowed.test", &[how, "whole"]);
        out.printed(&format!("{how} => direct aborted\nwhole => proxy answer\n"));
    }
    // Of each pair only the second has sent anything.
    let mut heard = world.contacts();
    heard.retain(|contact| contact.at.port() == 443);
    let said = heard.iter().filter(|contact| contact.received > 0).count();
    assert_eq!((heard.len(), said), (4, 2), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hello_that_user_space_judges_goes_straight_out() {
    let world = two_sites();
    let hows = [
        "records=30",
        "whole+1400",
        "whole+3000",
        "pieces=1000+3000",
        "whole+6000",
        "whole+12000",
        "pause=4",
        "whole",
    ];
    let out = hellos(&world, ALLOWED, "allowed.test", &hows);
    for how in hows {
        out.probe(how, &["direct answer"]);
    }
    let named = hellos(&world, ALLOWED, "shared.test", &hows);
    for how in hows {
        named.probe(how, &["direct aborted"]);
    }
    world.arrived_at(SITE).without("shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn fast_open_sends_nothing_with_the_syn() {
    let world = two_sites();
    let hows = ["fast-open", "fast-open", "fast-open-connect"];
    let out = hellos(&world, ALLOWED, "allowed.test", &hows);
    out.printed(
        "fast-open => direct answer\nfast-open => direct answer\nfast-open-connect => direct answer\n",
    );
    let refused = hellos(&world, ALLOWED, "shared.test", &hows);
    refused.none_gave("answer", &hows);
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_not_tls_is_refused_where_tls_is_expected() {
    let world = two_sites();
    let out = hellos(&world, ALLOWED, "allowed.test", &["text", "text"]);
    out.printed("text => direct aborted\ntext => direct aborted\n");
    out.complained("protocol_not_allowed");
    world.arrived_at(SITE).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn the_way_is_the_policys() {
    let world = World::new().site("allowed.test", SITE).record("other.test", &[SITE]).build();
    let way = |policy: &str| {
        let policy = world.policy(policy);
        let options = policy.options();
        let line = format!(
            "getent ahosts allowed.test > found; getent ahosts other.test > found; \
             {PYTHON} hellos.py {SITE} 443 allowed.test whole; \
             {PYTHON} hellos.py {SITE} 8443 allowed.test whole"
        );
        world.egress(&options).shell(&line).succeeded().text()
    };
    let both =
        |first: &str, second: &str| format!("whole => {first} answer\nwhole => {second} answer\n");
    let names = "[network.domains]\n\"allowed.test\" = ";
    assert_eq!(way(&format!("{names}\"allow\"")), both("direct", "direct"));
    for proxied in [
        "{ action = \"allow\", via = \"proxy\" }",
        "{ action = \"allow\", protocol = \"any\" }",
        // A rule for the address lets other names pass.
        "\"allow\"\n[network.addresses]\n\"93.184.216.34\" = \"allow\"",
        "\"allow\"\n\"*\" = \"allow\"",
        // Which of the two names it will be is not known at the connect.
        "\"allow\"\n\"other.test\" = { action = \"allow\", via = \"proxy\" }",
    ] {
        assert_eq!(way(&format!("{names}{proxied}")), both("proxy", "proxy"), "{proxied}");
    }
    let kernel = "{ action = \"allow\", protocol = \"any\", via = \"kernel\" }";
    assert_eq!(way(&format!("{names}{kernel}")), both("direct", "direct"));
    let one_port =
        "\"allow\"\n\"other.test\" = { action = \"allow\", via = \"proxy\", ports = [8443] }";
    assert_eq!(way(&format!("{names}{one_port}")), both("direct", "proxy"));
}

#[test]
#[ignore = "kernel: needs root"]
fn a_pin_lives_as_long_as_a_direct_connection_under_it() {
    let ttl = 3 * slowness();
    let world = World::new().site("allowed.test", SITE).ttl(ttl).build();
    let short = format!(
        "[network.dns]\nmax_ttl = \"{ttl}s\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n"
    );
    let over = format!("wait={}", ttl + 4);
    let policy = world.policy(short);
    let pins = |hows: &[&str]| hellos(&world, &policy.options(), "allowed.test", hows).text();
    assert_eq!(
        pins(&["lookup=allowed.test", "whole", &over, "whole"]),
        // The second one waits with the proxy until the name is looked up again, and goes on by it.
        "whole => direct answer\nwhole => proxy answer\n"
    );
    assert_eq!(
        pins(&["lookup=allowed.test", "keep", &over, "whole", &over, "whole"]),
        "keep => direct answer\nwhole => direct answer\nwhole => direct answer\n"
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_held_does_not_leave_when_the_filter_is_killed() {
    let world = two_sites();
    let line = format!(
        "getent ahosts allowed.test > found; {PYTHON} hellos.py {SITE} 443 shared.test cut=200 half"
    );
    for round in 1..=3 {
        let running = world.egress(ALLOWED).start(["sh", "-c", &line]);
        // The first is refused; the second waits for its other half.
        running.says("cut=200 => direct aborted");
        let connected = || {
            let mut contacts = world.contacts();
            contacts.retain(|contact| contact.at.port() == 443);
            contacts.len() >= 2 * round
        };
        eventually("both connections", connected);
        running.signal(Signal::SIGKILL);
        drop(running);
    }
    world.arrived_at(SITE).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_held_does_not_leave_when_its_program_ends() {
    let world = two_sites();
    // The socket outlives its program, with bytes that it has not sent: half a hello, and a whole
    // one behind a SYN that must not carry it.
    let leaves = |how: &str| {
        let line = format!(
            "getent ahosts allowed.test > found && {PYTHON} hellos.py {SITE} 443 shared.test {how}"
        );
        world.egress(ALLOWED).shell(&line).succeeded();
    };
    for _ in 0..3 {
        leaves("half-end");
        leaves("fast-open-end");
    }
    // What is left of them tries again: after 200 ms, then at twice the time.
    eventually("each is gone, or has tried three times", || {
        let mut left = world.client_netns().tcp_sockets();
        left.retain(|socket| socket.peer_port == 443 && socket.unsent > 0);
        left.iter().all(|socket| socket.probes >= 3)
    });
    world.arrived_at(SITE).no_payload();
}

#[test]
#[ignore = "kernel: needs root"]
fn without_user_space_a_refused_program_still_gets_its_error() {
    let world = two_sites();
    let line = format!(
        "getent ahosts allowed.test > found && \
         exec {PYTHON} hellos.py {SITE} 443 shared.test whole go whole"
    );
    let egress = world.egress(ALLOWED).idle_stdin();
    let running = egress.start(["sh", "-c", &line]);
    running.says("ready");
    // Its packets are still judged; nobody hears of it.
    running.stop();
    running.tell("go");
    running.says("whole => direct ETIMEDOUT");
    running.go_on();
    running.finish();
    world.arrived_at(SITE).no_payload();
}
