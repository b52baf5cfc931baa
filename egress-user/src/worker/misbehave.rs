//! What a worker would try that somebody else has in hand: in builds for tests alone, where the caller asks for it.

use std::{
    fs::File,
    io,
    net::TcpListener,
    os::fd::AsFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use egress_broker::{
    kernel::Connected,
    message::{Ask, What, encode},
    sys::link::send,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, execv, setuid},
};

use super::Broker;
use crate::sys;

/// The variable that names what to try: a word, and a number for some.
const VARIABLE: &str = "EGRESS_MISBEHAVE";

/// Nothing that the broker tells is read any more.
static IS_DEAF: AtomicBool = AtomicBool::new(false);

/// Does not end once it has said that it does.
static STAYS: AtomicBool = AtomicBool::new(false);

/// For whoever reads what the broker tells.
pub(super) fn stop_where_deaf() {
    stop_where(&IS_DEAF);
}

/// For whoever has said that the worker ends.
pub(super) fn stay_where_asked() {
    stop_where(&STAYS);
}

fn stop_where(asked: &AtomicBool) {
    while asked.load(Ordering::Relaxed) {
        thread::park();
    }
}

/// Tries what the caller has named. What is tried of the kernel is told by a line each.
pub(crate) fn as_asked(broker: &Broker, tell: impl Fn(String)) {
    let Ok(asked) = std::env::var(VARIABLE) else { return };
    let (word, number) = asked.split_once(' ').unwrap_or((&asked, "0"));
    let number = number.parse().unwrap_or(0);
    let own = broker.sandbox;
    let ask = |sandbox, what| broker.send_raw(&encode(&Ask { sandbox, what }), &[]);
    match word {
        "another-sandbox" => ask(number, What::End(1)),
        "another-proof" => ask(own, What::Probe),
        "another-start" => ask(own, What::Start),
        "an-early-end" => ask(own, What::Finished { has_refused: false }),
        "a-foreign-socket" => {
            let mut words = asked.split(' ').skip(1);
            let mut next = || words.next().unwrap_or_default();
            let ends = (next().parse(), next().parse(), next().parse());
            if let (Ok(source), Ok(destination), Ok(cookie)) = ends {
                ask(own, What::EndConnection(Connected { source, destination, cookie }));
            }
        }
        // One that is gone is nobody's.
        "a-gone-socket" => {
            let at = "127.0.0.1:1".parse();
            if let (Ok(source), Ok(destination)) = (at.clone(), at) {
                ask(own, What::EndConnection(Connected { source, destination, cookie: 7 }));
            }
        }
        // Questions without end, whose answers nobody reads.
        "deaf" => {
            IS_DEAF.store(true, Ordering::Relaxed);
            loop {
                ask(own, What::Settle);
            }
        }
        "stays" => STAYS.store(true, Ordering::Relaxed),
        "no-record" => broker.send_raw(b"give me root", &[]),
        "a-long-record" => broker.send_raw(&[0; 1 << 15], &[]),
        "descriptors" => {
            let record = encode(&Ask { sandbox: own, what: What::End(1) });
            let error = io::stderr();
            broker.send_raw(&record, &[error.as_fd(), error.as_fd()]);
        }
        "rights" => try_rights(i32::try_from(number).unwrap_or(0), &tell),
        _ => tell(format!("nothing is called {word}")),
    }
}

impl Broker {
    fn send_raw(&self, record: &[u8], descriptors: &[std::os::fd::BorrowedFd<'_>]) {
        let _ = send(self.socket.as_fd(), record, descriptors);
    }
}

/// Each is tried, and what came of it told.
fn try_rights(outside: i32, tell: &impl Fn(String)) {
    let word = |result: io::Result<()>| match result {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("refused ({error})"),
    };
    let open = |path: &str| File::open(path).map(drop);
    let write = |path: &str| File::options().append(true).open(path).map(drop);
    let map = |path: &str| sys::bpf::object_pin(io::stderr().as_fd(), Path::new(path));
    let all = [
        ("become root", setuid(Uid::from_raw(0)).map_err(io::Error::from)),
        ("read /etc/shadow", open("/etc/shadow")),
        ("read the broker's memory", open(&format!("/proc/{}/mem", nix::unistd::getppid()))),
        (
            "list the broker's descriptors",
            std::fs::read_dir(format!("/proc/{}/fd", nix::unistd::getppid())).map(drop),
        ),
        (
            "signal the broker",
            kill(nix::unistd::getppid(), Signal::SIGKILL).map_err(io::Error::from),
        ),
        (
            "signal a process outside",
            kill(Pid::from_raw(outside), Signal::SIGKILL).map_err(io::Error::from),
        ),
        ("move to another cgroup", write("/sys/fs/cgroup/cgroup.procs")),
        ("pin for another sandbox", map("/sys/fs/bpf/egress/misbehave")),
        ("listen on a low port", TcpListener::bind("127.0.0.1:1").map(drop)),
        ("execute a program", execv(c"/bin/false", &[c"false"]).map(drop).map_err(io::Error::from)),
    ];
    for (what, result) in all {
        tell(format!("misbehave: {what}: {}", word(result)));
    }
}
