//! Connects that are held while nobody answers: by one who is dead, or not quick enough.
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::Child;

use egress_common::event::Counter;
use egress_user::kernel::HeldEvent;
use nix::sys::socket::{Shutdown, shutdown};

use super::object::{Judged, Object, TARGET};
use crate::support::PYTHON;
use crate::support::processes::eventually;

/// Begins so many connects without waiting, says so, and how many are over when it is told to; ends at a second word.
const BEGIN: &str = r"
import errno, resource, select, socket, sys
count = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
held, poll = [], select.poll()
for _ in range(count):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex((sys.argv[1], 9))
    held.append(one)
    poll.register(one, select.POLLOUT)
print('begun', flush=True)
sys.stdin.readline()
codes = [s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for s in held if poll.poll(0)]
print(*(errno.errorcode.get(code, 'connected') for code in codes), flush=True)
sys.stdin.readline()
";

/// A program that has begun so many connects.
struct Begun {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Begun {
    fn of(sandbox: &Judged, count: usize) -> Self {
        let mut child = sandbox.started(&[PYTHON, "-c", BEGIN, TARGET, &count.to_string()]);
        let output = BufReader::new(child.stdout.take().expect("what it says"));
        let mut begun = Self { child, output };
        assert_eq!(begun.line(), "begun");
        begun
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }

    /// How those came out that are over now.
    fn over(&mut self) -> String {
        writeln!(self.child.stdin.as_ref().expect("its input"), "over").expect("tell it");
        self.line()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

fn is_nobody_at(sandbox: &Judged) -> bool {
    sandbox.listener.set_nonblocking(true).expect("not to wait");
    let accepted = sandbox.listener.accept();
    accepted.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
#[ignore = "kernel: needs root"]
fn nobody_is_let_in_by_one_who_does_not_answer() {
    let mut object = Object::load();
    let sandbox = object.sandbox();
    object.hold(&sandbox);
    let mut begun = Begun::of(&sandbox, 1);
    // Its second one, too, which its kernel sends by itself.
    let mut syns = Vec::new();
    let told = std::cell::RefCell::new((&mut object, &mut syns));
    eventually("a second SYN", || {
        let (object, syns) = &mut *told.borrow_mut();
        syns.extend(object.held());
        syns.len() >= 2
    });
    assert!(syns.iter().all(|event| event.sandbox == sandbox.id && event.syn.is_some()));
    assert_eq!(syns[0].syn.as_ref().map(Vec::len), syns[1].syn.as_ref().map(Vec::len));
    assert_eq!(begun.over(), "", "it waits");
    assert!(is_nobody_at(&sandbox), "a SYN was let in");

    // What waits is told of its end.
    drop(begun);
    let mut ends = object.held();
    ends.retain(|event| event.syn.is_none());
    assert_eq!(ends.iter().map(|event| event.cookie).collect::<Vec<_>>(), [syns[0].cookie]);
    assert_eq!(object.maps.standing(sandbox.id).flows, 0, "its record is gone with it");
}

#[test]
#[ignore = "kernel: needs root"]
fn without_a_listener_a_connect_is_refused_at_once() {
    let mut object = Object::load();
    let sandbox = object.sandbox();
    object.hold(&sandbox);
    // As when its process has died.
    shutdown(sandbox.listener.as_raw_fd(), Shutdown::Both).expect("listen no more");
    assert_eq!(Begun::of(&sandbox, 1).over(), "ECONNREFUSED");
    let events: Vec<HeldEvent> = object.held();
    assert!(events.iter().all(|event| event.syn.is_none()), "it was held: {events:?}");
}

#[test]
#[ignore = "kernel: needs root"]
fn one_that_has_many_held_leaves_anothers_room() {
    const MANY: usize = 6_000;
    let mut object = Object::load();
    let (loud, quiet) = (object.sandbox(), object.sandbox());
    object.hold(&loud);
    object.hold(&quiet);
    let mut many = Begun::of(&loud, MANY);
    let mut one = Begun::of(&quiet, 1);
    let told = object.held();
    let of = |sandbox: &Judged| told.iter().filter(|event| event.sandbox == sandbox.id).count();
    assert!(of(&loud) < MANY, "the ring has room for all of them: the test tries nothing");
    assert_eq!(of(&quiet), 1);
    let untold = |sandbox: &Judged| object.maps.counter(sandbox.id, Counter::SynsLost);
    // Its later SYNs, too, where this takes that long.
    let late = (MANY - of(&loud)) as u64;
    assert!(untold(&loud) >= late, "{} of {late} that are told late are counted", untold(&loud));
    assert_eq!(untold(&quiet), 0);
    for begun in [&mut many, &mut one] {
        assert_eq!(begun.over(), "", "what is not told waits as well");
    }
    assert!(is_nobody_at(&loud) && is_nobody_at(&quiet));
}
