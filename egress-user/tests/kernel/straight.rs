//! Protocols that are not HTTP, on the ports where it is not expected: they go straight out, and no request does.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ALLOWED;
use super::support::receiver::{End, Manner, Receiver};
use super::support::{EGRESS, Finished, PYTHON, World};

/// An address where nothing but the servers of these tests is.
pub(super) const FAR: &str = "151.101.1.60";
pub(super) const FAR_V6: &str = "2606:2800:220:2::60";

/// The far side's servers of these tests; they end with the test.
pub(super) struct Far(Child);

impl Drop for Far {
    fn drop(&mut self) {
        // A shell ends its server, too.
        let id = i32::try_from(self.0.id()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGTERM).ok();
        self.0.wait().ok();
    }
}

/// A world with both addresses, of `allowed.test` and `denied.test`, and nobody there.
pub(super) fn empty_world() -> World {
    let both = [FAR, FAR_V6];
    let world = World::new().record("allowed.test", &both).record("denied.test", &both).build();
    let far = world.far_netns();
    far.ip(&format!("addr add {FAR}/32 dev far0\naddr add {FAR_V6}/128 dev far0 nodad\n"));
    world
}

/// Starts a server there, and waits until it says `ready`.
pub(super) fn serve(world: &World, command: &mut Command) -> Far {
    let mut child = world.far_netns().spawn(command.stdout(Stdio::piped())).expect("start it");
    let mut said = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut said).expect("read what it says");
    assert_eq!(said, "ready\n");
    Far(child)
}

/// Starts a program of that kind, in the world's directory, and waits until it listens on the port.
pub(super) fn daemon(world: &World, program: &str, port: u16) -> Far {
    let line = format!(
        "trap 'kill $!' EXIT TERM; {program} & \
         until {PYTHON} -c 'import socket; socket.create_connection((\"{FAR}\", {port}))' 2> /dev/null; \
         do sleep 0.1; done; echo ready; wait"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line]).current_dir(world.path("."));
    serve(world, &mut command)
}

fn world() -> (World, Far) {
    let world = empty_world();
    let script = world.path("far_opaque.py");
    let far = serve(&world, Command::new(PYTHON).arg(script).args([FAR, FAR_V6]));
    (world, far)
}

fn opaque<'w>(world: &'w World, options: &[&str], arguments: &str) -> Finished<'w> {
    world.egress(options).shell(&format!("{PYTHON} opaque.py {arguments}"))
}

#[test]
#[ignore = "kernel: needs root"]
fn each_protocol_goes_straight_out_by_both_families() {
    let (world, _far) = world();
    for family in ["4", "6"] {
        let out = opaque(&world, ALLOWED, &format!("talk allowed.test {family}"));
        let text = out.succeeded().text();
        assert_eq!(text.lines().count(), 18, "{text}");
        for line in text.lines() {
            assert_eq!(line.split_once(' ').map(|(_, way)| way), Some("direct"), "{out}");
        }
    }
    // The server's word is the same without a filter.
    let twin = world.direct().shell(&format!("{PYTHON} opaque.py talk allowed.test 4"));
    assert_eq!(twin.succeeded().text().matches(" direct\n").count(), 18, "{twin}");
}

/// What could be a request from its first byte on.
const REQUESTS: [&str; 17] = [
    "get",
    "post",
    "lower",
    "novel",
    "odd-token",
    "crlf",
    "blanks",
    "lf",
    "absolute",
    "absolute-novel",
    "connect",
    "server",
    "no-version",
    "heads",
    "preface",
    "proxy-1",
    "proxy-2",
];

#[test]
#[ignore = "kernel: needs root"]
fn not_a_byte_of_a_request_is_delivered_however_it_is_cut() {
    let (world, _far) = world();
    let every = ["whole", "bytes", "halves"];
    for (family, address, port, hows) in
        [("4", FAR, 5432, &every[..]), ("6", FAR_V6, 22, &["bytes"])]
    {
        for how in hows {
            // The first connection of a run is direct, the next one would take the proxy.
            for what in REQUESTS {
                let arguments = format!("send allowed.test {family} {port} {how} {what}");
                let out = opaque(&world, ALLOWED, &arguments);
                // Told, each of them, whatever its reason.
                out.printed(&format!("{what} direct aborted\n")).complained("egress: refused:");
            }
        }
        world.arrived_at(address).on_port(port).no_payload();
    }
    let all = REQUESTS.join(" ");
    let line = format!("{PYTHON} opaque.py send allowed.test 4 5432 whole {all}");
    world.direct().shell(&line).succeeded();
    let named = world.arrived_at(FAR).on_port(5432).holding("denied.test");
    assert_eq!(named, REQUESTS.len(), "without a filter each arrives\n{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_request_is_refused_for_its_host() {
    let (world, _far) = world();
    let out = opaque(&world, ALLOWED, "send allowed.test 4 5432 bytes get get");
    out.printed("get direct aborted\nget direct aborted\n").complained("host_mismatch");
    world.arrived_at(FAR).on_port(5432).without("denied.test");
    world.arrived_at(FAR).on_port(5432).without("HTTP/");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_request_behind_other_bytes_is_judged_as_by_the_proxy() {
    let (world, _far) = world();
    let by_proxy = world.domains(&[("allowed.test", "{ action = \"allow\", via = \"proxy\" }")]);
    let refused = ["aborted", "reset", "HTTP/1.1 403", "HTTP/1.1 400"];
    for how in ["whole", "bytes", "pause=0.3"] {
        for what in ["binary-first", "words-first", "line-first"] {
            let arguments = format!("send allowed.test 4 5432 {how} {what}");
            let result = |options: &[&str], way: &str| {
                let text = opaque(&world, options, &arguments).succeeded().text();
                let ended = text.trim().strip_prefix(&format!("{what} {way} "));
                ended.unwrap_or_else(|| panic!("{how}: {text}")).to_owned()
            };
            let (kernel, proxy) = (result(ALLOWED, "direct"), result(&by_proxy.options(), "proxy"));
            // But for the line that no server takes for a request's beginning, on both ways.
            let ends = if what == "line-first" { &["45"][..] } else { &refused };
            let is_right = |ended: &String| ends.contains(&&**ended);
            assert!(is_right(&kernel) && is_right(&proxy), "{how} {what}: {kernel}, {proxy}");
        }
    }
    let arrived = world.arrived_at(FAR).on_port(5432);
    // The line, by each way: whole and in two parts, and byte by byte where so many arrive at once.
    let holding = arrived.holding("denied.test");
    assert!((4..=6).contains(&holding), "{holding}\n{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_too_short_to_tell_waits_for_the_rest_or_for_a_pause() {
    let (world, _far) = world();
    let lines = [
        ("send allowed.test 4 5432 pause=1 version", "version direct 11\n"),
        ("send allowed.test 6 5432 bytes version", "version direct "),
        ("send allowed.test 4 5432 pause=1 request", "request direct 8\n"),
        // Longer than tells that it is no request.
        ("send allowed.test 4 5432 pause=5 version", "version direct 11\n"),
        // Nothing follows, as from a client that waits for the answer to a word.
        ("send allowed.test 4 5432 whole word", "word direct 4\n"),
    ];
    for (arguments, begins) in lines {
        let out = opaque(&world, ALLOWED, arguments);
        let text = out.succeeded().text();
        assert!(text.starts_with(begins), "{arguments}: {text}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn tls_there_is_judged_by_its_name() {
    let (world, _far) = world();
    for (name, printed) in [
        ("allowed.test", "whole => direct ok"),
        // On other ports than those of the web the pin suffices, as by the proxy.
        ("-", "whole => direct ok"),
        ("denied.test", "whole => direct aborted"),
    ] {
        let before = world.arrived_at(FAR).on_port(993).payload();
        let line = format!(
            "getent ahosts allowed.test > found; {PYTHON} hellos.py {FAR} 993 {name} whole"
        );
        let out = world.egress(ALLOWED).shell(&line);
        let text = out.succeeded().text();
        assert!(text.starts_with(printed), "{out}");
        let arrived = world.arrived_at(FAR).on_port(993).payload() > before;
        assert_eq!(arrived, printed.ends_with("ok"), "{world}");
        assert_eq!(out.complaints().contains("sni_mismatch"), !arrived, "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn the_way_is_what_check_says() {
    let (world, _far) = world();
    let rule = |options: &str| format!("[network.domains]\n\"allowed.test\" = {options}\n");
    let other = |options: &str| {
        rule(&format!("\"allow\"\n\"denied.test\" = {{ action = \"allow\", {options} }}"))
    };
    for (policy, ways) in [
        (rule("\"allow\""), "22 direct\n5432 direct\n7000 proxy\n"),
        (rule("{ action = \"allow\", via = \"proxy\" }"), "22 proxy\n5432 proxy\n7000 proxy\n"),
        (
            rule("{ action = \"allow\", ports = [22, \"5000-8000\"], via = \"kernel\" }"),
            "22 direct\n5432 direct\n7000 direct\n",
        ),
        (
            rule("{ action = \"allow\", ports = [\"20-8000\"] }"),
            "22 direct\n5432 direct\n7000 proxy\n",
        ),
        (
            rule("{ action = \"allow\", protocol = \"any\" }"),
            "22 direct\n5432 direct\n7000 proxy\n",
        ),
        (rule("{ action = \"allow\", ech = \"refuse\" }"), "22 proxy\n5432 proxy\n7000 proxy\n"),
        (
            format!(
                "{}[network.addresses]\n\"{FAR}\" = {{ action = \"allow\", ports = [22] }}\n",
                rule("\"allow\"")
            ),
            "22 proxy\n5432 direct\n7000 proxy\n",
        ),
        (rule("\"allow\"\n\"*\" = \"allow\""), "22 proxy\n5432 proxy\n7000 proxy\n"),
    ] {
        let policy = world.policy(policy);
        let out = opaque(&world, &policy.options(), "way allowed.test 22 5432 7000");
        out.printed(ways);
        for line in ways.lines() {
            let (port, way) = line.split_once(' ').unwrap();
            let said = check(&policy.options(), port);
            let via = if way == "direct" { "via       kernel (" } else { "via       proxy (" };
            assert!(said.contains(via), "{port} {way}: {said}");
        }
    }
    // Another name of the address has a say that check does not know.
    for (options, ways) in [
        ("via = \"proxy\", ports = [22]", "22 proxy\n5432 direct\n"),
        ("methods = [\"GET\"], ports = [5432]", "22 direct\n5432 proxy\n"),
    ] {
        let policy = world.policy(other(options));
        let line = format!(
            "getent ahosts denied.test > found; {PYTHON} opaque.py way allowed.test 22 5432"
        );
        world.egress(&policy.options()).shell(&line).printed(ways);
    }
    let said = check(ALLOWED, "5432");
    assert!(said.contains("via       kernel (port 5432 is of PostgreSQL: "), "{said}");
    assert!(check(ALLOWED, "7000").contains("via       proxy (HTTP may be spoken on port 7000)"));
}

/// Says what is no line, ends, and leaves it to the kernel to send it.
const LEAVES: &str = "import socket\n\
    s = socket.create_connection(('allowed.test', 5432), 20)\n\
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)\n\
    s.sendall(b'\\0\\0\\0\\x08' + b'x' * 300000)\n";

#[test]
#[ignore = "kernel: needs root"]
fn what_a_program_wrote_arrives_when_it_has_ended() {
    let world = empty_world();
    let pause = Some((16 << 10, Duration::from_millis(20)));
    let slow = Manner { buffer: Some(16 << 10), pause, ..Manner::default() };
    let receiver = Receiver::on(&world, FAR, 5432, slow);
    world.egress(ALLOWED).run([PYTHON, "-c", LEAVES]).succeeded();
    let got = receiver.got();
    assert_eq!((got.bytes.len(), got.end), (300_004, End::Fin));
    // Without the wait for it there would have been nothing of it behind the program's end.
    world.direct().run([PYTHON, "-c", LEAVES]).succeeded();
    let got = receiver.got();
    assert_eq!((got.bytes.len(), got.end), (300_004, End::Fin));
}

fn check(options: &[&str], port: &str) -> String {
    let resolve = format!("allowed.test={FAR}");
    let target = format!("allowed.test:{port}");
    let mut command = Command::new(EGRESS);
    command.arg("check").args(options).args(["--resolve", &resolve, &target]);
    String::from_utf8(command.output().expect("run check").stdout).expect("text")
}
