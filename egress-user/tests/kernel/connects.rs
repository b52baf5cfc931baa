//! connect(2) as a program sees it: with the filter and without it alike, whichever way a connection takes.
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use egress_common::abi::capacity;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;

use super::death::token;
use super::descriptors::may_raise_limits;
use super::support::processes::{eventually, with_argument};
use super::support::{CLIENT, EGRESS, PYTHON, World, skip, slowness};
use super::{SITE, SITE_V6};

/// Addresses that the far side answers for as a router does: there is no such host, it is forbidden, there is no such
/// network.
const NO_HOST: &str = "151.101.1.41";
const FORBIDDEN: &str = "151.101.1.42";
const NO_NETWORK: &str = "151.101.1.43";
const NO_HOST_V6: &str = "2606:2800:220:2::41";
const FORBIDDEN_V6: &str = "2606:2800:220:2::42";
const NO_NETWORK_V6: &str = "2606:2800:220:2::43";

/// Ports of `far_connects.py`: one that tells who has come, one that resets, one with a full queue, one where nobody
/// listens, one where the first SYN is lost, and one where all are.
const TELLS: u16 = 7100;
const RESETS: u16 = 7101;
const FULL: u16 = 7102;
const CLOSED: u16 = 7103;
const SLOW: u16 = 7104;
const DROPPED: u16 = 7105;

/// How much longer one may take than the other: less than lies between two SYNs.
const APART: Duration = Duration::from_millis(700);

/// The far side's servers of these tests; killed with the test.
struct Far(Child);

impl Drop for Far {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A world whose far side answers connects in every way that there is.
fn world() -> (World, Far) {
    let names = [
        ("four.test", &[SITE][..]),
        ("six.test", &[SITE_V6]),
        ("beyond.test", &[NO_HOST, FORBIDDEN, NO_NETWORK]),
        ("sixbeyond.test", &[NO_HOST_V6, FORBIDDEN_V6, NO_NETWORK_V6]),
    ];
    let world = names.iter().fold(World::new(), |world, (name, to)| world.record(name, to)).build();
    let far = world.far_netns();
    let beyond = [NO_HOST, FORBIDDEN, NO_NETWORK].map(|at| format!("addr add {at}/32 dev far0\n"));
    let beyond6 = [NO_HOST_V6, FORBIDDEN_V6, NO_NETWORK_V6]
        .map(|at| format!("addr add {at}/128 dev far0 nodad\n"));
    far.ip(&[beyond, beyond6].concat().concat());
    // Each answer counts.
    far.sysctl("net/ipv4/icmp_ratelimit", "0");
    far.sysctl("net/ipv6/icmp/ratelimit", "0");
    let reject = |family: &str, at: &str, with: &str| {
        format!(
            "add rule inet connects input {family} daddr {at} meta l4proto tcp reject with {with}\n"
        )
    };
    let rejects = [
        ("ip", NO_HOST, "icmp type host-unreachable"),
        ("ip", FORBIDDEN, "icmp type admin-prohibited"),
        ("ip", NO_NETWORK, "icmp type net-unreachable"),
        ("ip6", NO_HOST_V6, "icmpv6 type addr-unreachable"),
        ("ip6", FORBIDDEN_V6, "icmpv6 type admin-prohibited"),
        ("ip6", NO_NETWORK_V6, "icmpv6 type no-route"),
    ];
    let slow = |family: &str| {
        format!(
            "add rule inet connects input meta nfproto {family} tcp dport {SLOW} \
             tcp flags & (syn|ack) == syn numgen inc mod 2 == 0 drop\n"
        )
    };
    far.nft(&format!(
        "add table inet connects\n\
         add chain inet connects input {{ type filter hook input priority 0; }}\n\
         add rule inet connects input tcp dport {DROPPED} drop\n{}{}{}",
        slow("ipv4"),
        slow("ipv6"),
        rejects.map(|(family, at, with)| reject(family, at, with)).concat(),
    ));
    let mut command = Command::new(PYTHON);
    command.arg(world.path("far_connects.py")).args([SITE, SITE_V6]).stdout(Stdio::piped());
    let mut child = far.spawn(&mut command).expect("start the far side's servers");
    let mut said = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut said).expect("read what it says");
    assert_eq!(said, "ready\n");
    (world, Far(child))
}

/// Every situation: its name, and what `connects.py` is to try.
fn situations() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |name: &str, kind: &str, mode: &str, address: &str, port: u16| {
        let name = format!("{name}-{kind}-{mode}");
        all.push((name.clone(), format!("{name} {kind} {mode} {address} {port}")));
    };
    for kind in ["4", "6", "mapped"] {
        let v4_or = |v4, v6| if kind == "6" { v6 } else { v4 };
        let site = v4_or(SITE, SITE_V6);
        add("open", kind, "blocking", site, TELLS);
        add("open", kind, "poll", site, TELLS);
        add("resets", kind, "blocking", site, RESETS);
        add("closed", kind, "blocking", site, CLOSED);
        add("closed", kind, "poll", site, CLOSED);
        if kind != "mapped" {
            // One of each family alone: every other SYN is lost.
            add("slow", kind, "blocking", site, SLOW);
        }
        add("dropped", kind, "brief", site, DROPPED);
        add("dropped", kind, "patient", site, DROPPED);
        add("full", kind, "patient", site, FULL);
        add("no-host", kind, "blocking", v4_or(NO_HOST, NO_HOST_V6), TELLS);
        add("no-host", kind, "poll", v4_or(NO_HOST, NO_HOST_V6), TELLS);
        add("forbidden", kind, "blocking", v4_or(FORBIDDEN, FORBIDDEN_V6), TELLS);
        add("no-network", kind, "blocking", v4_or(NO_NETWORK, NO_NETWORK_V6), TELLS);
        add("open", kind, "fastopen", site, TELLS);
        add("closed", kind, "fastopen", site, CLOSED);
    }
    all
}

/// What an attempt gave: `ok` or an errno, after how long, and whether the names of its socket are right.
#[derive(Debug)]
struct Gave {
    code: String,
    took: Duration,
    names: String,
}

/// What each situation gave.
fn results(text: &str) -> BTreeMap<String, Gave> {
    let lines = text.lines().filter_map(|line| line.split_once(" => "));
    let parsed = lines.map(|(name, result)| {
        let mut words = result.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (code, seconds, names) = (next(), next(), next());
        let took = Duration::from_secs_f64(seconds.parse().expect("seconds"));
        (name.to_owned(), Gave { code, took, names })
    });
    parsed.collect()
}

/// What counts of a result: a connection that is reset at once is one, whether connect(2) or the next call says so, which
/// is a race without the filter as well.
fn outcome(code: &str) -> &str {
    if code == "ECONNRESET" { "ok" } else { code }
}

/// Whether an error of the network came at once where it came with the second SYN without the filter: the kernel
/// loses an ICMP message that finds a blocking connect() at its socket.
fn is_sooner(without: &Gave, with: &Gave) -> bool {
    let is_told = ["EHOSTUNREACH", "ENETUNREACH", "EACCES"].contains(&without.code.as_str());
    is_told && with.took < without.took && without.took < Duration::from_millis(1_500)
}

/// Claims that both gave the same, and gives those for which one took longer.
fn compared(
    situations: &[(String, String)],
    without: &BTreeMap<String, Gave>,
    with: &BTreeMap<String, Gave>,
    way: &str,
) -> Vec<(String, String)> {
    let (mut wrong, mut late) = (Vec::new(), Vec::new());
    for situation in situations {
        let name = &situation.0;
        // Shown where the test fails.
        println!("{name}: {:?}; by the {way} {:?}", without.get(name), with.get(name));
        let (Some(without), Some(with)) = (without.get(name), with.get(name)) else {
            wrong.push(name);
            continue;
        };
        if (outcome(&without.code), &without.names) != (outcome(&with.code), &with.names) {
            wrong.push(name);
        } else if without.took.abs_diff(with.took) > APART * slowness() && !is_sooner(without, with)
        {
            late.push(situation.clone());
        }
    }
    assert!(wrong.is_empty(), "not alike by the {way}: {wrong:?}");
    late
}

#[test]
#[ignore = "kernel: needs root"]
fn every_answer_of_the_network_is_the_programs() {
    let (world, _far) = world();
    let names = ["four.test", "six.test", "beyond.test", "sixbeyond.test"];
    let situations = situations();
    assert!(situations.len() >= 30);
    let words = |situations: &[(String, String)]| {
        let before = [&[PYTHON, "connects.py"], &names[..], &["--"]].concat();
        let attempts = situations.iter().map(|(_, attempt)| attempt.as_str());
        before.into_iter().chain(attempts).map(str::to_owned).collect::<Vec<_>>()
    };
    let direct = world.direct().run(words(&situations));
    let without = results(&direct.succeeded().text());
    let rules = |options: &str| {
        let rules = names.map(|name| (name, options));
        world.domains(&rules)
    };
    let by_proxy = rules("{ action = \"allow\", via = \"proxy\" }");
    let ports = "ports = [7100, 7101, 7102, 7103, 7104, 7105]";
    let by_kernel =
        rules(&format!("{{ action = \"allow\", via = \"kernel\", protocol = \"any\", {ports} }}"));
    for (way, policy) in [("proxy", by_proxy), ("kernel", by_kernel)] {
        let out = world.egress(&policy.options()).run(words(&situations));
        let mut late = compared(&situations, &without, &results(&out.succeeded().text()), way);
        if !late.is_empty() {
            // A busy machine's lateness does not come again, where there is less to do at once.
            let again = results(&world.direct().run(words(&late)).text());
            let out = world.egress(&policy.options()).run(words(&late));
            late = compared(&late, &again, &results(&out.text()), way);
        }
        assert!(late.is_empty(), "late by the {way}: {late:?}\n{out}");
    }
    // What the comparison is worth: the far side did answer in these ways.
    let gave = |name: &str| without[name].code.as_str();
    assert_eq!(gave("open-4-blocking"), "ok");
    assert_eq!(without["open-4-blocking"].names, "same");
    assert_eq!(gave("closed-4-blocking"), "ECONNREFUSED");
    assert_eq!(gave("no-host-4-blocking"), "EHOSTUNREACH");
    assert_eq!(gave("no-network-4-blocking"), "ENETUNREACH");
    assert_eq!(gave("forbidden-6-blocking"), "EACCES");
    assert_eq!(gave("dropped-4-brief"), "ETIMEDOUT");
    assert!(without["slow-4-blocking"].took > Duration::from_millis(900));
}

/// Begins so many connects to a port where nothing answers, says so, and ends them when it is told; as often as there
/// are lines. Says of how many the kernel says that they are over before.
const HELD: &str = "import resource, select, socket, sys\n\
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n\
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))\n\
    address, port, count, opened = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])\n\
    socket.getaddrinfo('four.test', 80, type=socket.SOCK_STREAM)\n\
    for name in map(str.strip, sys.stdin):\n  \
      held, poll = [], select.poll()\n  \
      for _ in range(count):\n    \
        s = socket.socket(); s.setblocking(False); s.connect_ex((address, port))\n    \
        poll.register(s, select.POLLOUT); held.append(s)\n  \
      print('begun', name, flush=True)\n  \
      sys.stdin.readline()\n  \
      print(name, 'over', len(poll.poll(0)), flush=True)\n  \
      for s in held: s.close()\n  \
      with socket.create_connection((address, opened), 60) as s: print(name, 'told', s.recv(100).decode().split()[0], flush=True)";

#[test]
#[ignore = "kernel: needs root"]
fn ten_thousand_held_at_once_leave_nothing_behind() {
    // Each is two descriptors of `egress`, and a few are for other things.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of descriptors");
    let limit = if may_raise_limits() { 65_536 } else { hard as usize };
    let own = hard as usize - 200;
    let most = 10_000.min(limit.saturating_sub(1_000) * 10 / 23).min(own);
    // The kernel side has room for so many and no more: what is not given back is missed.
    if 3 * most < capacity::FLOWS as usize {
        return skip(&format!("needs more descriptors than {hard}, for thousands of connects"));
    }
    let (world, _far) = world();
    let policy = world.domains(&[("four.test", "{ action = \"allow\", via = \"proxy\" }")]);
    let (port, count, opened) = (DROPPED.to_string(), most.to_string(), TELLS.to_string());
    let words = [PYTHON, "-c", HELD, SITE, &port, &count, &opened];
    let running = world.egress(&policy.options()).idle_stdin().start(words);
    let descriptors = || {
        let listed = std::fs::read_dir(format!("/proc/{}/fd", running.reader()));
        listed.expect("its descriptors").count()
    };
    for name in ["first", "second", "third"] {
        running.tell(name);
        running.says(&format!("begun {name}\n"));
        // Each is dialled while its program waits.
        eventually("all are dialled", || descriptors() > most);
        running.tell("end");
        running.says(&format!("{name} over 0\n"));
        running.says(&format!("{name} told {CLIENT}\n"));
        eventually("no dial outlives its connect", || descriptors() < most / 20);
    }
    running.finish().succeeded();
}

/// Connects to a port where nobody listens.
const CLOSED_PORT: &str = "import errno, socket, sys\n\
    socket.getaddrinfo('four.test', 80, type=socket.SOCK_STREAM)\n\
    s = socket.socket()\n\
    print(errno.errorcode.get(s.connect_ex((sys.argv[1], int(sys.argv[2]))), 'connected'))";

#[test]
#[ignore = "kernel: needs root"]
fn without_the_right_for_it_nothing_is_held() {
    let world = World::new().record("four.test", &[SITE]).build();
    let words = [PYTHON, "-c", CLOSED_PORT, SITE, "7103"];
    let options = ["--allow", "four.test"];
    world.egress(&options).run(words).printed("ECONNREFUSED\n");
    world.unheld(&options).run(words).printed("connected\n");
    let doctor = ["setpriv", "--bounding-set", "-net_raw", EGRESS, "doctor"];
    world.direct().run(doctor).succeeded().said("raw sockets").said("without CAP_NET_RAW");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_held_ends_with_it() {
    let (world, _far) = world();
    let reaper = token(&world);
    let policy = world.domains(&[("four.test", "{ action = \"allow\", via = \"proxy\" }")]);
    let port = DROPPED.to_string();
    let words = [PYTHON, "-c", HELD, SITE, &port, "300", &port, &reaper.token];
    let running = world.egress(&policy.options()).idle_stdin().start(words);
    running.tell("held");
    running.says("begun held\n");
    eventually("all are dialled", || world.arrived_at(SITE).on_port(DROPPED).count() >= 300);
    running.signal(Signal::SIGKILL);
    eventually("nothing of it is left", || with_argument(&reaper.token).is_empty());
    drop(running);
    // Not a byte, and nobody who dials on for those that are gone.
    world.arrived_at(SITE).on_port(DROPPED).no_payload();
    let sockets = world.client_netns().tcp_sockets();
    let left: Vec<_> = sockets.iter().filter(|socket| socket.peer_port == DROPPED).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
#[ignore = "kernel: needs root"]
fn programs_that_wait_for_a_port_or_try_the_next_address_do_so() {
    let dead = "93.184.216.40";
    let world = World::new().record("two.test", &[dead, SITE]).closed(dead).build();
    let wait = format!("getent hosts two.test > found; exec 3<>/dev/tcp/{dead}/5432");
    let options = ["--allow", "two.test"];
    for client in [world.direct(), world.egress(&options)] {
        let out = client.run(["bash", "-c", &wait]);
        out.failed().complained("Connection refused");
    }
    // Which of its addresses a name's first is, is the resolver's choice.
    for client in [world.direct(), world.egress(&options)] {
        let line = "curl -sS --retry 1 --retry-connrefused http://two.test/ && \
                    curl -sS --connect-to two.test:80:93.184.216.40:80 http://two.test/";
        let out = client.shell(line);
        let could_not_connect = 7;
        out.exited(could_not_connect).said("host=two.test");
    }
}
