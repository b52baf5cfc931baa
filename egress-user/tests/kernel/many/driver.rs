//! The process in which the sandboxes are.
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use egress_user::{
    config,
    launch::{self, Capabilities, Command},
    policy::Policy,
    sandbox::{Handle, Sandbox, Spec},
    supervisor::Supervisor,
};

use super::{COUNT, address, name, python};

/// The variable that names what to do.
pub(super) const SCENARIO: &str = "EGRESS_MANY_SCENARIO";
/// The world's directory.
pub(super) const WORLD: &str = "EGRESS_MANY_WORLD";

/// Does it, and says what came of it on standard output.
pub(super) fn run(scenario: &str, world: &Path) {
    launch::set_executable(Path::new(env!("CARGO_BIN_EXE_egress")));
    let supervisor = Supervisor::start_for(16).unwrap();
    match scenario {
        "ten" => ten(&supervisor),
        "one_ends" => one_ends(&supervisor, world),
        "change_nothing" => change(&supervisor, world, |_| {}),
        "change" => change(&supervisor, world, |handle| {
            let reloaded = handle.reload(allowing(&[0])).unwrap();
            println!("ended connections by the proxy: {}", reloaded.ended);
        }),
        "route" => route(&supervisor, world),
        "revoke" => change(&supervisor, world, |handle| {
            let gone: std::net::IpAddr = address(1).parse().unwrap();
            handle.revoke(|address| address == gone);
        }),
        "held" => held(&supervisor, world),
        "thread_ends" => thread_ends(&supervisor, world),
        other => panic!("no scenario {other}"),
    }
    println!("left: {} sandboxes", supervisor.sandboxes().len());
}

/// The policy that allows the names of these sandboxes.
fn allowing(numbers: &[usize]) -> Policy {
    // The sockets towards the proxy go there: no change of the policy is to end these.
    let loopback = "[network.addresses]\n\"127.0.0.0/8\" = \"deny\"\n";
    let rules: String = numbers.iter().map(|&n| format!("\"{}\" = \"allow\"\n", name(n))).collect();
    let text = format!("[network.domains]\n{rules}{loopback}");
    let loaded = config::parse(&text, "policy.toml").unwrap();
    config::assemble_layers(vec![loaded], &config::Flags::default()).unwrap().policy
}

fn spec(allowed: &[usize], words: impl IntoIterator<Item = String>) -> Spec {
    let mut words = words.into_iter().map(Into::into);
    let program = words.next().unwrap();
    let command = Command {
        program,
        arguments: words.collect(),
        user: None,
        capabilities: Capabilities::None,
    };
    let dns = config::DnsSettings::default();
    Spec { policy: allowing(allowed), dns, drain: Duration::from_secs(30), command, observer: None }
}

/// Waits for the command, and ends the sandbox.
fn finish(supervisor: &Supervisor, number: usize, handle: Handle) -> String {
    let code = supervisor.block_on(handle.wait()).unwrap();
    assert!(handle.kill());
    handle.drain();
    supervisor.block_on(handle.drained());
    println!("ended {number}: {code}");
    handle.stop().to_string()
}

fn ten(supervisor: &Arc<Supervisor>) {
    let started: Vec<Handle> = (0..COUNT)
        .map(|number| {
            let other = (number + 1) % COUNT;
            let me = format!("sandbox{number}");
            let words = [me, name(number), name(other), address(other), "10".to_owned()];
            let program = ["/usr/bin/python3", "load.py"].map(str::to_owned);
            Sandbox::start(spec(&[number], program.into_iter().chain(words)), supervisor).unwrap()
        })
        .collect();
    assert_eq!(supervisor.sandboxes().len(), COUNT);
    for (number, handle) in started.into_iter().enumerate() {
        let summary = finish(supervisor, number, handle);
        let told = |n: &usize| summary.contains(&name(*n)) || summary.contains(&address(*n));
        let other = (number + 1) % COUNT;
        let others = (0..COUNT).filter(|n| *n != other).filter(told).count();
        let (next, at) = (name(other), address(other));
        assert!(summary.contains(&next) && summary.contains(&at), "{summary}");
        assert_eq!(others, 0, "another's refusals: {summary}");
        println!("summary {number}: {next} {at} and no other of {COUNT}");
    }
}

/// One is stopped while another has a connection and makes new ones.
fn one_ends(supervisor: &Arc<Supervisor>, world: &Path) {
    let sleeping = ["sleep", "600"].map(str::to_owned);
    let stopped = Sandbox::start(spec(&[0], sleeping), supervisor).unwrap();
    let connect = format!("import socket\nsocket.create_connection(('{}', 443), 60)", name(1));
    let program = format!("{connect}\nopen('{GO}').read()\n{connect}\nprint('connected after')");
    let fifo = fifo(world);
    let living = Sandbox::start(spec(&[1], python(&program)), supervisor).unwrap();
    let go = open(&fifo);
    stopped.stop();
    println!("stopped 0");
    drop(go);
    finish(supervisor, 1, living);
}

/// Two hold a silent connection to one address; one loses its right, and ends.
fn held(supervisor: &Arc<Supervisor>, world: &Path) {
    let [revoked, other] = ["revoked", "other"].map(|me| {
        let pipe = fifo_named(world, me);
        let words = ["/usr/bin/python3", "silent.py", me, &name(0), pipe.to_str().unwrap()];
        let spec = spec(&[0], words.map(str::to_owned));
        let handle = Sandbox::start(spec, supervisor).unwrap();
        // Only now: its program has connected.
        (handle, open(&pipe))
    });
    let gone: std::net::IpAddr = address(0).parse().unwrap();
    revoked.0.revoke(|address| address == gone);
    drop(revoked.1);
    finish(supervisor, 0, revoked.0);
    drop(other.1);
    finish(supervisor, 1, other.0);
}

/// Name of the pipe that a program opens when it has come so far, and reads to its end.
const GO: &str = "go";

fn fifo(world: &Path) -> PathBuf {
    fifo_named(world, GO)
}

fn fifo_named(world: &Path, name: &str) -> PathBuf {
    let path = world.join(name);
    // A scenario of before may have left one.
    let _ = std::fs::remove_file(&path);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    path
}

/// Waits until a program reads it.
fn open(fifo: &Path) -> File {
    File::options().write(true).open(fifo).unwrap()
}

/// A program holds connections to two names; `change` comes between.
fn change(supervisor: &Arc<Supervisor>, world: &Path, change: impl FnOnce(&Handle)) {
    let fifo = fifo(world);
    let words = ["/usr/bin/python3".to_owned(), "hold.py".to_owned(), name(0), name(1)];
    let words = words.into_iter().chain([fifo.to_str().unwrap().to_owned()]);
    let handle = Sandbox::start(spec(&[0, 1], words), supervisor).unwrap();
    let go = open(&fifo);
    change(&handle);
    drop(go);
    finish(supervisor, 0, handle);
}

/// A program connects on a port where HTTP is not expected, before and after the policy has changed.
fn route(supervisor: &Arc<Supervisor>, world: &Path) {
    let ways = ["proxy", "kernel"];
    let pipes = ways.map(|via| fifo_named(world, via));
    let words = ["/usr/bin/python3".to_owned(), "ways.py".to_owned(), name(0)];
    let words = words.into_iter().chain(pipes.each_ref().map(|pipe| pipe.display().to_string()));
    let handle = Sandbox::start(spec(&[0], words), supervisor).unwrap();
    for (via, pipe) in ways.iter().zip(&pipes) {
        let go = open(pipe);
        let rule = format!("{{ action = \"allow\", ports = [22], via = \"{via}\" }}");
        let text = format!("[network.domains]\n\"{}\" = {rule}\n", name(0));
        let loaded = config::parse(&text, "policy.toml").unwrap();
        let assembled = config::assemble_layers(vec![loaded], &config::Flags::default()).unwrap();
        handle.reload(assembled.policy).unwrap();
        drop(go);
    }
    finish(supervisor, 0, handle);
}

fn thread_ends(supervisor: &Arc<Supervisor>, world: &Path) {
    let program = format!(
        "import socket\nopen('{GO}').read()\nsocket.create_connection(('{}', 443), 60)\nprint('fetched')",
        name(0)
    );
    let fifo = fifo(world);
    let handle = thread::scope(|scope| {
        let start = || Sandbox::start(spec(&[0], python(&program)), supervisor).unwrap();
        scope.spawn(start).join().unwrap()
    });
    println!("the thread has ended");
    drop(open(&fifo));
    finish(supervisor, 0, handle);
}
