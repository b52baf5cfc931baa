//! What `egress run` tells of refusals, when, and by which exit code.
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::support::{PYTHON, World};
use super::{ALLOWED, OTHER, SITE, two_sites};

/// As a user, without a word about root.
const QUIETLY: &[&str] = &["--user", "nobody", "--allow", "allowed.test"];

fn options<'a>(more: &[&'a str]) -> Vec<&'a str> {
    QUIETLY.iter().chain(more).copied().collect()
}

#[test]
#[ignore = "kernel: needs root"]
fn a_refusal_is_told_once_as_it_happens() {
    let world = two_sites();
    let line = "getent hosts refused.test; getent hosts refused.test; echo tried; read x";
    for (live, told) in [(&["--live"][..], 1), (&["--live", "--quiet"], 1), (&[], 0)] {
        let egress = world.egress(&options(live)).after("exec 2>&1").idle_stdin();
        let running = egress.start(["sh", "-c", line]);
        running.says("tried");
        if told > 0 {
            // While the command waits.
            running.says("egress: refused: refused.test: not_allowed; to allow: ");
        }
        running.tell("go");
        let out = running.finish();
        assert_eq!(out.text().matches("egress: refused: refused.test").count(), told, "{out}");
        let has_summary = out.text().contains("egress: refused:\n");
        assert_eq!(has_summary, !live.contains(&"--quiet"), "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn lines_that_are_told_do_not_mix_with_the_commands() {
    let world = two_sites();
    let script = "import os, socket, threading\n\
        def shout():\n  for n in range(3000): os.write(2, b'x' * 200 + b'\\n')\n\
        threads = [threading.Thread(target=shout) for n in range(2)]\n\
        [t.start() for t in threads]\n\
        for n in range(60):\n  \
          try: socket.getaddrinfo('n%d.refused.test' % n, 1)\n  \
          except OSError: pass\n\
        [t.join() for t in threads]";
    let out = world.egress(&options(&["--live", "--quiet"])).run([PYTHON, "-c", script]);
    let text = out.succeeded().complaints();
    let (own, others): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.starts_with("egress: "));
    assert_eq!(own.len(), 60, "{out}");
    assert!(others.iter().all(|line| line.len() == 200 && line.bytes().all(|byte| byte == b'x')));
    assert_eq!(others.len(), 6000);
}

/// Python that is refused many names, and then reaches an allowed one.
const MANY: &str = "import socket, sys\n\
    for n in range(400):\n  \
      try: socket.getaddrinfo('n%d.refused.test' % n, 1)\n  \
      except OSError: pass\n\
    print(socket.getaddrinfo('allowed.test', 22)[0][4][0], flush=True)\n";

#[test]
#[ignore = "kernel: needs root"]
fn nobody_who_reads_keeps_nobody_waiting() {
    let world = two_sites();
    let out = world.egress(&options(&["--live"])).after("exec 2>&-").run([PYTHON, "-c", MANY]);
    out.succeeded().printed("93.184.216.34\n");
    let (read, write) = nix::unistd::pipe().expect("make a pipe");
    fill(&write);
    let running = world.egress(&options(&["--live"])).pass(&write, 2).idle_stdin();
    drop(write);
    let script = format!("{MANY}sys.stdin.readline()");
    let running = running.start([PYTHON, "-c", &script]);
    // More was refused than can wait to be told, and nothing of it was written.
    running.says("93.184.216.34");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        File::from(read).read_to_end(&mut text).expect("read what was told");
        text
    });
    running.tell("go");
    running.finish().succeeded();
    let text = String::from_utf8_lossy(&reader.join().expect("the reader ends")).into_owned();
    let told = text.lines().filter(|line| line.contains(".refused.test: not_allowed; to")).count();
    assert!((200..400).contains(&told), "{told}");
    assert!(text.contains("more, which could not be told as they happened"), "{told}");
}

/// Until it takes no byte more; then it blocks again.
fn fill(pipe: &OwnedFd) {
    let flags = OFlag::from_bits_truncate(fcntl(pipe, FcntlArg::F_GETFL).expect("read flags"));
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("set flags");
    while nix::unistd::write(pipe, &[b'\n'; 1024]).is_ok() {}
    while nix::unistd::write(pipe, b"\n").is_ok() {}
    fcntl(pipe, FcntlArg::F_SETFL(flags)).expect("set flags");
}

#[test]
#[ignore = "kernel: needs root"]
fn quiet_leaves_errors_alone() {
    let world = two_sites();
    let refused = "getent hosts refused.test; true";
    let out = world.egress(&["--allow", "allowed.test", "--quiet"]).shell(refused);
    assert_eq!(out.succeeded().complaints(), "", "{out}");
    world.egress(ALLOWED).shell(refused).succeeded().complained("refused.test");
    world.egress(&["--quiet"]).run(["/no/such/path"]).exited(127).complained("/no/such/path");
    world.egress(&["--quiet", "--allow", "*x"]).run(["true"]).exited(2).complained("egress: ");
    // Not the command's own words.
    world.egress(&["--quiet"]).shell("echo err >&2").succeeded().complained("err\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_refusal_fails_a_command_that_succeeded_where_it_is_to() {
    let world = two_sites();
    let refused = "getent hosts refused.test";
    for more in [&["--fail-on-refusal"][..], &["--fail-on-refusal", "--quiet"]] {
        let fail = || world.egress(&options(more));
        fail().shell(&format!("{refused}; true")).exited(3);
        fail().shell(&format!("{refused}; exit 5")).exited(5);
        fail().shell("curl -sS https://allowed.test/ >/dev/null").exited(0);
        // Of what the kernel refuses as well.
        let connect = format!("connect {} 443", super::OTHER);
        fail().run([PYTHON, "probe.py", &connect]).exited(3).probe(&connect, super::REFUSED);
    }
    world.egress(QUIETLY).shell(&format!("{refused}; true")).exited(0);
    world.egress(&["--unrestricted", "--fail-on-refusal"]).run(["true"]).exited(2);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_proxy_that_is_set_is_told_at_the_start_with_what_to_do() {
    let world = two_sites();
    let proxy = format!("http://user:word@{OTHER}:8443");
    let fetch = "echo first >&2; curl -sS https://allowed.test/";
    let set = |client: super::support::Client<'_>| {
        let client = client.env("HTTPS_PROXY", &proxy).env("https_proxy", &proxy);
        client.run(["sh", "-c", fetch]).complaints()
    };
    for options in [&["--allow", "allowed.test", "--allow", OTHER][..], ALLOWED] {
        let out = set(world.egress(options));
        let (told, rest) = out.split_once("first\n").expect("the command began");
        assert!(told.contains(&format!("HTTPS_PROXY leads programs to the proxy {OTHER}:8443")));
        assert!(told.contains("`env -u HTTPS_PROXY -u https_proxy egress run ...`"), "{told}");
        assert!(!out.contains("user:word"), "{out}");
        // What is refused of it says what to do as well.
        assert!(rest.contains("egress: refused:"), "{out}");
    }
    // Not a word where it is not so, nor where nothing but errors is to be told.
    let quiet = set(world.egress(&["--allow", "allowed.test", "--quiet"]));
    assert!(!quiet.contains("leads programs"), "{quiet}");
    let egress = format!("env -u HTTPS_PROXY -u https_proxy {} run", super::support::EGRESS);
    let words = [egress.split(' ').collect(), ALLOWED.to_vec(), vec!["--"]].concat();
    let client = world.under(words).env("HTTPS_PROXY", &proxy).env("https_proxy", &proxy);
    let out = client.run(["curl", "-sS", "https://allowed.test/"]);
    out.succeeded().said("host=allowed.test");
    assert!(!out.complaints().contains("leads programs"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_blocked_name_is_called_that_and_nothing_is_advised() {
    for sink in ["0.0.0.0", "::"] {
        let world = World::new().record("blocked.test", &[sink]).build();
        for options in [&["--allow", "blocked.test"][..], &["--allow", "*"]] {
            let out = world.egress(options).run(["curl", "-sS", "http://blocked.test/"]);
            out.failed().complained("blocked.test: not_allowed_local");
            let words = format!("the name server blocks blocked.test, as it answers {sink}");
            out.complained(&words);
            let text = out.complaints();
            assert!(!text.contains("to allow") && !text.contains("allow_local_binding"), "{out}");
        }
        world.arrived().besides_lookups().none();
        assert_eq!(world.host_contacts(), [], "{world}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_dot_at_the_start_is_answered_with_the_form_that_is_meant() {
    let world = World::new().site("site.test", SITE).site("a.site.test", OTHER).build();
    let file = world.domains(&[(".site.test", "\"allow\"")]);
    for options in [&["--allow", ".site.test"][..], &file.options()] {
        let out = world.egress(options).run(["true"]);
        out.exited(2).complained("\"**.site.test\"");
    }
    for host in ["site.test", "a.site.test"] {
        let url = format!("https://{host}/");
        let out = world.egress(&["--allow", "**.site.test"]).run(["curl", "-sS", &url]);
        out.succeeded().said(&format!("host={host}"));
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn an_encrypted_hello_is_told_with_who_sends_it_and_both_ways_out() {
    let world = two_sites();
    let hello = |options: &[&str]| {
        let words = [PYTHON, "hellos.py", SITE, "443", "allowed.test", "lookup=allowed.test"];
        world.egress(options).run([&words[..], &["grease"]].concat())
    };
    let out = hello(ALLOWED);
    out.complained("ech_refused").complained("Browsers send ECH with every hello, as grease");
    out.complained("EncryptedClientHelloEnabled = false").complained("grease_probability = 0");
    out.complained("a server that holds ECH keys");
    world.arrived_at(SITE).on_port(443).no_payload();
    let rule = "network.domains.\"allowed.test\"={ action = \"allow\", ech = \"allow\" }";
    hello(&["--set", rule]).said("answer");
}
