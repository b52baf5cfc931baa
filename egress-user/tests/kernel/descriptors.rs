//! Few descriptors: the proxy fills up as a full server does, and lookups go on.
use std::path::PathBuf;

use super::support::{EGRESS, PYTHON, World};
use super::{OTHER, SITE};

fn world() -> World {
    World::new().site("allowed.test", SITE).site("late.test", OTHER).build()
}

/// ssh's port, which goes straight out otherwise.
const BY_PROXY: &str = r#"network.domains."allowed.test"={ action = "allow", via = "proxy" }"#;

/// A run that has so many descriptors, and no right to more.
fn confined(limit: usize, words: &[&str]) -> Vec<String> {
    let limit = format!("--nofile={limit}:{limit}");
    let binary = EGRESS;
    let rights = ["prlimit", &limit, "setpriv", "--bounding-set=-sys_resource"];
    let run = [binary, "run", "--set", BY_PROXY, "--allow", "late.test"];
    let all = rights.iter().chain(&run).chain(&["--"]).chain(words);
    all.map(|word| (*word).to_owned()).collect()
}

/// Opens connections, each to be greeted by the server, and looks a name up while all are open; then
/// closes those that were greeted until all were.
const CROWD: &str = "import resource, select, socket, subprocess, sys, time\n\
    address, number = sys.argv[1], int(sys.argv[2])\n\
    print('limit', resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)\n\
    socket.getaddrinfo('allowed.test', 22)\n\
    poll, socks, greeted = select.poll(), {}, 0\n\
    for n in range(number):\n  \
      s = socket.create_connection((address, 22), timeout=60)\n  \
      socks[s.fileno()] = s; poll.register(s, select.POLLIN)\n\
    def some(wait):\n  \
      global greeted\n  \
      found = poll.poll(wait)\n  \
      for fd, _ in found:\n    \
        greeted += socks[fd].recv(100).startswith(b'SSH'); poll.unregister(fd); ready.append(fd)\n  \
      return found\n\
    ready = []\n\
    while greeted < number and some(5000): pass\n\
    print('greeted at once', greeted, flush=True)\n\
    print('lookup', subprocess.run(['getent', 'hosts', 'late.test'], stdout=subprocess.DEVNULL).returncode, flush=True)\n\
    end = time.monotonic() + 60\n\
    while greeted < number and time.monotonic() < end:\n  \
      for fd in ready: socks.pop(fd).close()\n  \
      ready = []\n  \
      some(1000)\n\
    print('greeted in all', greeted, flush=True)";

fn crowd(world: &World) -> PathBuf {
    world.file("crowd.py", CROWD)
}

#[test]
#[ignore = "kernel: needs root"]
fn lookups_go_on_when_the_proxy_is_full() {
    let world = world();
    let script = crowd(&world).display().to_string();
    let words = [PYTHON, &script, SITE, "200"];
    let direct: Vec<&str> = ["prlimit", "--nofile=256:256"].into_iter().chain(words).collect();
    let out = world.direct().run(direct);
    out.said("greeted at once 200").said("lookup 0").said("greeted in all 200");

    let out = world.direct().run(confined(256, &words));
    out.said("limit (256, 256)").said("lookup 0").said("greeted in all 200");
    assert!(!out.text().contains("greeted at once 200"), "nothing was full\n{out}");
    // Told once.
    let told = out.complaints().matches("connections at once").count();
    assert_eq!(told, 1, "{out}");
    world.asked_for("late.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_low_limit_of_the_callers_is_the_commands_alone() {
    let world = world();
    let script = crowd(&world).display().to_string();
    let words = ["prlimit", "--nofile=1024:1024"];
    let egress = [EGRESS, "run", "--set", BY_PROXY, "--allow", "late.test", "--"];
    let crowd = [PYTHON, &script, SITE, "700"];
    let direct: Vec<&str> = words.into_iter().chain(crowd).collect();
    let filtered: Vec<&str> = words.into_iter().chain(egress).chain(crowd).collect();
    let out = world.direct().run(direct);
    out.said("greeted at once 700").said("lookup 0");
    let out = world.direct().run(filtered);
    out.said("limit (1024, 1024)").said("lookup 0").said("greeted in all 700");
    // Without that right nobody gets more, and some wait for others.
    if may_raise_limits() {
        out.said("greeted at once 700");
        assert!(!out.complaints().contains("connections at once"), "{out}");
    } else {
        out.complained("connections at once");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn no_soft_limit_of_the_callers_keeps_it_from_starting() {
    let world = world();
    // Fewer than the programs and maps of the kernel side are.
    for soft in [12, 20, 64, 1024] {
        let limit = format!("--nofile={soft}:4096");
        let words = ["prlimit", &limit, EGRESS, "run", "--allow", "allowed.test", "--"];
        let line =
            "ulimit -Sn; ulimit -Hn; curl -sS https://allowed.test/ >/dev/null && echo reached";
        let out = world.direct().run(words.into_iter().chain(["sh", "-c", line]));
        // What curl does with so few is its own affair.
        let reached = if soft >= 64 { "reached\n" } else { "" };
        out.said(&format!("{soft}\n4096\n{reached}"));
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hard_limit_of_the_callers_changes_nothing_where_it_may_be_raised() {
    if !may_raise_limits() {
        return super::support::skip("needs CAP_SYS_RESOURCE, to have more than the hard limit");
    }
    let world = world();
    // The sandbox's IPv6 listeners.
    let line = "grep -c ' 0A ' /proc/net/tcp6";
    let usual = world.egress(&[]).shell(line).succeeded().text();
    let words = ["prlimit", "--nofile=300:600", EGRESS, "run", "--", "sh", "-c"];
    let line = format!("ulimit -Hn; {line}");
    let out = world.direct().run(words.into_iter().chain([line.as_str()]));
    out.succeeded().printed(&format!("600\n{usual}"));
}

/// CAP_SYS_RESOURCE.
pub(super) fn may_raise_limits() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("read the test's own rights");
    let rights =
        status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).expect("its rights");
    u64::from_str_radix(rights, 16).expect("a number") & 1 << 24 != 0
}

#[test]
#[ignore = "kernel: needs root"]
fn what_no_limit_holds_is_refused_at_the_start() {
    let world = world();
    let started = world.path("started").display().to_string();
    let out = world.direct().run(confined(40, &["touch", &started]));
    out.exited(125);
    assert!(!world.path("started").exists(), "{out}");
    // Few are enough for some.
    let url = "https://allowed.test/";
    world.direct().run(confined(128, &["curl", "-sS", url])).succeeded();
}

#[test]
#[ignore = "kernel: needs root"]
fn uploads_that_wait_for_room_outlive_their_programs() {
    let world = world();
    let line = format!(
        "import socket\n\
         socket.getaddrinfo('allowed.test', 22)\n\
         socks = [socket.create_connection(('{SITE}', 7000), timeout=60) for _ in range(200)]\n\
         [s.sendall(b'x' * 10000) for s in socks]"
    );
    let script = world.file("many.py", line).display().to_string();
    world.direct().run(confined(256, &[PYTHON, &script])).succeeded();
    super::support::processes::eventually("everything that was written", || {
        let contacts = world.contacts();
        let counted = contacts.iter().filter(|contact| contact.at.port() == 7000);
        counted.map(|contact| contact.received).sum::<usize>() == 2_000_000
    });
}
