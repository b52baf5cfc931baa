//! What `egress run` is to the one who starts it: as if the command ran alone, with a word at the end.
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;

use super::support::{EGRESS, Finished, World};
use super::{ALLOWED, OTHER, two_sites};

#[test]
#[ignore = "kernel: needs root"]
fn the_exit_code_is_the_commands() {
    let world = World::new().build();
    world.egress(&[]).run(["true"]).exited(0);
    world.egress(&[]).run(["false"]).exited(1);
    world.egress(&[]).shell("exit 3").exited(3);
    world.egress(&[]).shell("kill -KILL $$").exited(128 + 9);
    world.egress(&[]).shell("kill -TERM $$").exited(128 + 15);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_command_that_cannot_run_is_told_apart() {
    let world = World::new().build();
    world
        .egress(&[])
        .run(["no-such-command-anywhere"])
        .exited(127)
        .complained("no-such-command-anywhere");
    world.egress(&[]).run(["/no/such/path"]).exited(127).complained("/no/such/path");
    let plain = world.file("plain", "#!/bin/sh\n").display().to_string();
    world.egress(&[]).run([plain.as_str()]).exited(126).complained(&plain);
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o755))
        .expect("make it executable");
    world.egress(&[]).run([plain.as_str()]).exited(0);
}

#[test]
#[ignore = "kernel: needs root"]
fn standard_streams_are_passed() {
    let world = World::new().build();
    let bytes = super::support::http::pattern(1 << 20);
    let out = world.egress(&[]).stdin(&bytes).run(["cat"]);
    assert!(out.succeeded().stdout == bytes, "what came through `cat` differs\n{out}");
    let out = world.egress(&[]).shell("echo out; echo err >&2");
    out.succeeded().printed("out\n").complained("err\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn arguments_environment_and_directory_are_passed() {
    let world = World::new().build();
    world.egress(&[]).run(["printf", "%s|", "a b", "--allow", "", "*"]).printed("a b|--allow||*|");
    world.egress(&[]).env("WORD", "given").run(["printenv", "WORD"]).printed("given\n");
    let here = std::fs::canonicalize(world.path(".")).expect("find the world's directory");
    world.egress(&[]).run(["pwd"]).printed(&format!("{}\n", here.display()));
}

#[test]
#[ignore = "kernel: needs root"]
fn signals_reach_the_command() {
    let world = World::new().build();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        let script = format!(
            "trap 'echo got it; exit 5' {}; echo ready; while :; do read x; done",
            &signal.as_str()[3..]
        );
        // A shell traps no signal that it was started with as ignored, as what runs behind `&` is with SIGINT.
        let run = world.egress(&[]).after("set -- env --default-signal \"$@\"");
        let running = run.idle_stdin().start(["sh", "-c", &script]);
        running.says("ready");
        running.signal(signal);
        running.finish().exited(5).said("got it");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_signal_that_the_command_does_not_trap_ends_it() {
    let world = World::new().build();
    let running = world.egress(&[]).start(["sh", "-c", "echo ready; exec sleep 1000"]);
    running.says("ready");
    running.signal(Signal::SIGTERM);
    running.finish().exited(128 + 15);
}

/// Claims that standard error names `what`, with a line that would allow it.
#[track_caller]
fn explains(out: &Finished<'_>, what: &str) {
    let lines = [format!("--allow {what}"), format!("\"{what}\" = \"allow\"")];
    out.complained(what);
    assert!(lines.iter().any(|line| out.complaints().contains(line)), "no {lines:?}\n{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_was_refused_is_told_at_the_end() {
    let world = two_sites();
    let script = format!(
        "curl -sS https://refused.test/; curl -sSk https://{OTHER}/; curl -sS https://refused.test/"
    );
    let out = world.egress(ALLOWED).shell(&format!("({script}) 2>/dev/null"));
    explains(&out, "refused.test");
    explains(&out, OTHER);
    let told =
        out.complaints().lines().filter(|line| line.contains("--allow refused.test")).count();
    assert!(told <= 1, "the same refusal is told {told} times\n{out}");
    out.printed("");
    // With another name on an allowed address it is the name that has to be allowed.
    let tls = format!("tls {} 443 shared.test", super::SITE);
    explains(&world.egress(ALLOWED).probes(&["resolve allowed.test", &tls]), "shared.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn nothing_is_said_when_nothing_was_refused() {
    let world = two_sites();
    let options = &["--user", "nobody", "--allow", "allowed.test"];
    let out = world.egress(options).run(["curl", "-sS", "https://allowed.test/"]);
    out.succeeded();
    assert_eq!(out.complaints(), "", "standard error\n{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn root_without_a_user_is_warned_in_one_line() {
    let world = World::new().build();
    let out = world.egress(&[]).run(["true"]);
    assert_eq!(out.complaints().lines().count(), 1, "standard error\n{out}");
    out.complained("--user");
}

#[test]
#[ignore = "kernel: needs root"]
fn another_user_is_held_alike() {
    let world = two_sites();
    let egress = || world.egress(&["--user", "nobody", "--allow", "allowed.test"]);
    egress().shell("id -un; id -Gn").succeeded().printed("nobody\nnogroup\n");
    egress().run(["curl", "-sS", "https://allowed.test/"]).succeeded();
    egress().run(["curl", "-sS", "https://refused.test/"]).failed();
    let connect = format!("connect {OTHER} 443");
    egress().probes(&[&connect]).probe(&connect, super::REFUSED);
    world.never_asked_for("refused.test");
    world.arrived_at(OTHER).none();
    world.egress(&["--user", "no-such-user"]).run(["true"]).failed().complained("no-such-user");
}

#[test]
#[ignore = "kernel: needs root"]
fn without_root_it_says_what_to_do() {
    let world = World::new().build();
    let binary = std::path::Path::new(EGRESS);
    // A copy where every user may run it.
    let copy = world.path("egress");
    // By another process: a child forked while this one writes would keep the copy from being run.
    let status = std::process::Command::new("cp").arg(binary).arg(&copy).status();
    assert!(status.expect("start cp").success(), "copy the binary");
    let copy = copy.display().to_string();
    let out = world.direct().run([
        "setpriv",
        "--reuid",
        "65534",
        "--clear-groups",
        &copy,
        "run",
        "--",
        "true",
    ]);
    out.exited(125).complained("root");
}

#[test]
#[ignore = "kernel: needs root"]
fn without_cgroups_it_says_what_is_missing() {
    let world = World::new().build();
    let hidden = world.path("no-cgroups");
    std::fs::create_dir(&hidden).expect("make an empty directory");
    let started = world.path("started");
    let out = world
        .egress(&[])
        .mount(&hidden, "/sys/fs/cgroup")
        .run(["touch", &started.display().to_string()]);
    out.exited(125).complained("cgroup");
    assert!(!started.exists(), "the command ran\n{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn several_sandboxes_run_side_by_side() {
    let world = two_sites();
    let first = world.egress(ALLOWED).idle_stdin().start([
        "sh",
        "-c",
        "echo ready; read x; curl -sS https://allowed.test/",
    ]);
    first.says("ready");
    // Another policy in the same network namespace, begun and ended meanwhile.
    let options = &["--allow", "refused.test"];
    world.egress(options).run(["curl", "-sS", "https://refused.test/"]).succeeded();
    world.egress(options).run(["curl", "-sS", "https://allowed.test/"]).failed();
    first.finish().succeeded().said("host=allowed.test");
}
