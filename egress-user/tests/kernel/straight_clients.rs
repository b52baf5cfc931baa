//! Programs that people use, on the ports where HTTP is not expected: they work, and nothing of theirs comes by the
//! proxy.
use std::path::Path;
use std::process::Command;

use super::ALLOWED;
use super::straight::{FAR, daemon, empty_world, serve};
use super::support::{PYTHON, World, skip};

/// Connections that were accepted in the client's network namespace: each that takes the proxy is one.
fn accepted(world: &World) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/snmp");
    let table = world.client_netns().enter(read).expect("read the kernel's counters");
    let mut rows = table.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (rows.next().expect("names"), rows.next().expect("values"));
    let at = names.split(' ').position(|name| name == "PassiveOpens").expect("the counter");
    values.split(' ').nth(at).and_then(|value| value.parse().ok()).expect("a number")
}

/// Runs a client once by each way; it says `said`, and one connection makes the difference.
#[track_caller]
fn goes_straight(world: &World, port: u16, line: &str, said: &str) {
    let counted = |options: &[&str], line: &str, said: &str| {
        let before = accepted(world);
        let out = world.egress(options).shell(line);
        assert!(out.succeeded().text().contains(said), "{out}");
        accepted(world) - before
    };
    let by_proxy = world.domains(&[("allowed.test", "{ action = \"allow\", via = \"proxy\" }")]);
    // The start of a run tries the proxy, too.
    let start = counted(ALLOWED, "echo nothing", "nothing");
    assert_eq!(counted(ALLOWED, line, said), start, "{line}\n{world}");
    assert!(counted(&by_proxy.options(), line, said) > start, "{line}\n{world}");
    world.arrived_at(FAR).on_port(port).some();
}

/// Whether these are installed; says so where they are not.
fn are_there(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !Path::new(program).exists());
    missing.inspect(|program| skip(&format!("{program} is not installed"))).is_none()
}

#[test]
#[ignore = "kernel: needs root"]
fn psql() {
    if !are_there(&["/usr/bin/psql"]) {
        return;
    }
    let world = empty_world();
    let script = world.path("far_mail.py");
    let _far = serve(&world, Command::new(PYTHON).arg(script).arg(FAR));
    let line =
        format!("psql -h allowed.test 'hostaddr={FAR} user=a dbname=b' -Atc 'select 1' 2>&1");
    goes_straight(&world, 5432, &format!("getent ahosts allowed.test > found; {line}"), "whole");
}

#[test]
#[ignore = "kernel: needs root"]
fn mail() {
    let world = empty_world();
    let script = world.path("far_mail.py");
    let _far = serve(&world, Command::new(PYTHON).arg(script).arg(FAR));
    let smtplib = "import smtplib\n\
        s = smtplib.SMTP('allowed.test', 587, 'client.test', 20)\n\
        s.sendmail('a@a.test', ['b@b.test'], 'Subject: x\\r\\n\\r\\nGET / HTTP/1.1\\r\\nHost: denied.test\\r\\n')\n\
        print(s.quit()[0])";
    world.file("mail.py", smtplib);
    goes_straight(&world, 587, &format!("{PYTHON} mail.py"), "221");
    // What mail carries is its own.
    assert!(world.arrived_at(FAR).on_port(587).holding("denied.test") > 0, "{world}");
    if are_there(&["/usr/bin/swaks"]) {
        let swaks =
            "swaks --server allowed.test:587 --from a@a.test --to b@b.test --helo client.test";
        goes_straight(&world, 587, swaks, "250 queued");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn redis() {
    if !are_there(&["/usr/bin/redis-server", "/usr/bin/redis-cli"]) {
        return;
    }
    let world = empty_world();
    let server = format!("redis-server --bind {FAR} --protected-mode no --save '' --logfile log");
    let _far = daemon(&world, &server, 6379);
    goes_straight(&world, 6379, "redis-cli -h allowed.test set / HTTP/1.1", "OK");
}

#[test]
#[ignore = "kernel: needs root"]
fn git() {
    if !are_there(&["/usr/bin/git"]) && !are_there(&["/usr/local/bin/git"]) {
        return;
    }
    let world = empty_world();
    let repository = world.path("served/project.git");
    let made = Command::new("git").args(["init", "-q", "--bare"]).arg(&repository).status();
    assert!(made.expect("run git").success());
    let options = "--reuseaddr --export-all --base-path=served";
    let _far = daemon(&world, &format!("git daemon {options} --listen={FAR} 2> log"), 9418);
    let line = "git ls-remote git://allowed.test/project.git && echo listed";
    goes_straight(&world, 9418, line, "listed");
}

#[test]
#[ignore = "kernel: needs root"]
fn ssh() {
    if !are_there(&["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"]) {
        return;
    }
    let world = empty_world();
    let key = world.path("host_key");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.expect("run ssh-keygen").success());
    let options =
        format!("-h {} -o UsePAM=no -o PidFile=none -o ListenAddress={FAR}", key.display());
    let run = "mount -t tmpfs none /run && mkdir /run/sshd && exec";
    let server = format!("sh -c '{run} /usr/sbin/sshd -D -e -f /dev/null {options} 2> log'");
    let _far = daemon(&world, &server, 22);
    // The key exchange is what the filter sees; nobody is to log in.
    let line = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null nobody@allowed.test 2>&1; \
                echo ended";
    goes_straight(&world, 22, line, "Permission denied");
}
