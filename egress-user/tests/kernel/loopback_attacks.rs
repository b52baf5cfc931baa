//! What a sandbox's own loopback opens nobody else's by: a port that changes hands, that is shared, that another sandbox
//! has.
use super::support::{CLIENT, PYTHON, Running, World};
use super::{ALLOWED, SECRET, two_sites};

const LOOPBACK: [&str; 2] = [PYTHON, "loopback.py"];

fn told(story: &str) -> [&str; 3] {
    [LOOPBACK[0], LOOPBACK[1], story]
}

/// Starts a story outside.
fn start<'w>(world: &'w World, story: &str) -> Running<'w> {
    world.direct().idle_stdin().start(told(story))
}

/// The number before a word in what a program says.
fn port(of: &Running<'_>, word: &str) -> u16 {
    let text = of.says(word);
    let number = text.split(word).next().and_then(|rest| rest.split_whitespace().last());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no port in {text:?}"))
}

/// Says that nobody reached it.
#[track_caller]
fn was_left_alone(outsider: Running<'_>) {
    outsider.tell("over");
    let out = outsider.finish();
    out.succeeded();
    for word in ["reached", "got", SECRET] {
        assert!(!out.text().contains(word), "an outsider heard from inside\n{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_port_that_an_outsider_takes_is_closed() {
    let world = two_sites();
    let inside = world.egress(ALLOWED).idle_stdin().start(told("taken"));
    let port = port(&inside, "closed");
    let take = format!(
        "import socket\n\
         s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(('127.0.0.1', {port})); s.listen()\n\
         d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.bind(('127.0.0.1', {port}))\n\
         s.settimeout(0.5); d.settimeout(0.5); print('taken', flush=True); input()\n\
         for one in (s.accept, lambda: d.recv(100)):\n  \
           try: print('reached', one())\n  \
           except TimeoutError: print('alone')"
    );
    let outsider = world.direct().idle_stdin().start([PYTHON, "-c", &take]);
    outsider.says("taken");
    inside.tell("go on");
    let out = inside.finish();
    out.probe("taken", &["ok then EPERM EPERM EPERM"]);
    out.complained(&format!("127.0.0.1:{port}")).complained("not_allowed_local");
    outsider.tell("over");
    outsider.finish().succeeded().said("alone\nalone\n");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_port_that_is_shared_with_an_outsider_leads_to_none() {
    let world = two_sites();
    let outsider = start(&world, "outsider,SO_REUSEPORT");
    let port_text = port(&outsider, "outside").to_string();
    let inside = world.egress(ALLOWED).idle_stdin().start(told("steered"));
    inside.tell(&port_text);
    let out = inside.finish();
    // By chance some come to the own one, by a program none or all of them.
    let result = out.probed("steered");
    assert!(result.starts_with("came back") && result.matches("came back").count() == 3, "{out}");
    assert!(result.contains("came back 0"), "the program steered nothing outside\n{out}");
    was_left_alone(outsider);

    for option in ["SO_REUSEPORT", "SO_REUSEADDR"] {
        for afterwards in ["kept", "unset"] {
            let outsider = start(&world, &format!("outsider,{option},udp"));
            let port_text = port(&outsider, "outside").to_string();
            let story = format!("steered_datagrams,{option},{afterwards}");
            let inside = world.egress(ALLOWED).idle_stdin().start(told(&story));
            inside.tell(&port_text);
            inside.finish().probe(&story, &["EPERM"]);
            was_left_alone(outsider);
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn without_the_filter_a_shared_port_leads_outside() {
    let world = World::new().build();
    let outsider = start(&world, "outsider,SO_REUSEPORT");
    let port_text = port(&outsider, "outside").to_string();
    let inside = start(&world, "steered");
    inside.tell(&port_text);
    inside.finish().succeeded();
    outsider.says("reached");
    let outsider = start(&world, "outsider,SO_REUSEPORT,udp");
    let port_text = port(&outsider, "outside").to_string();
    let inside = start(&world, "steered_datagrams,SO_REUSEPORT,kept");
    inside.tell(&port_text);
    inside.finish().succeeded();
    outsider.says("got");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_listener_that_closes_meanwhile_leads_to_no_outsider() {
    let world = two_sites();
    let outsider = world.direct().idle_stdin().start(told("lurking"));
    let port_text = port(&outsider, "outside").to_string();
    let inside = world.egress(ALLOWED).idle_stdin().start(told("closing"));
    inside.tell(&port_text);
    inside.finish().probe("closing", &["tried"]);
    outsider.tell("over");
    outsider.finish().probe("lurking", &["came 0"]);
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn two_sandboxes_on_one_port_have_each_its_own() {
    let world = two_sites();
    let first = world.egress(ALLOWED).idle_stdin().start(told("waiting,127.0.0.2,0"));
    let port = port(&first, "listens");
    let (own, others) = (format!("at,127.0.0.3,{port}"), format!("at,127.0.0.2,{port}"));
    let waits = format!(
        "{PYTHON} loopback.py waiting,127.0.0.3,{port} < /dev/zero & \
         until ss -Hltn 2>/dev/null | grep -q 127.0.0.3:{port} || \
           grep -qi 0300007F:$(printf %04X {port}) /proc/net/tcp; do :; done; \
         {PYTHON} loopback.py {own} {others}; kill $!"
    );
    let out = world.egress(ALLOWED).shell(&waits);
    out.probe(&own, &["ok"]).probe(&others, &["EPERM"]);
    first.tell("over");
    first.finish().succeeded();
}

#[test]
#[ignore = "kernel: needs root"]
fn what_reaches_everybody_on_loopback_is_refused() {
    let world = two_sites();
    let port = world.host_port();
    let stories: Vec<_> =
        ["127.255.255.255", "127.0.0.0", "127.0.0.255", "127.0.0.1", "::1", "0.0.0.0", CLIENT]
            .map(|address| format!("to_datagrams,{address},{port}"))
            .into();
    let words = LOOPBACK.into_iter().chain(stories.iter().map(String::as_str));
    let out = world.egress(ALLOWED).run(words);
    for story in &stories {
        out.probe(story, &["EPERM"]);
    }
    assert_eq!(world.host_contacts(), [], "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn no_outsider_reaches_a_listener_of_the_sandbox() {
    let world = two_sites();
    let inside = world.egress(ALLOWED).idle_stdin().start(told("waiting,127.0.0.1,0"));
    let port = port(&inside, "listens");
    let story = format!("at,127.0.0.1,{port}");
    let short = |client: super::support::Client<'_>| {
        client.env("PROBE_DEADLINE", "1").run(told(&story)).probed(&story)
    };
    assert_eq!(short(world.direct()), "TimeoutError", "{world}");
    // Nor does another sandbox.
    assert_eq!(short(world.egress(ALLOWED)), "EPERM", "{world}");
    inside.tell("over");
    inside.finish().succeeded();
}
