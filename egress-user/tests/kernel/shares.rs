//! Two sandboxes by one loaded object: what one takes of the maps, and its end, are nothing to the other.
use std::io::{BufRead, BufReader};
use std::mem::offset_of;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Child;
use std::time::Instant;

use aya::maps::{HashMap, Map, MapData};
use egress_common::abi::capacity;
use egress_common::event::{Counter, Unverified};
use egress_common::flow::kind;
use egress_common::pin::{PortList, Ports};
use egress_common::sandbox::Sandbox;
use egress_common::usage::ASKED_MOST;
use egress_user::flow::{Flows, PeerAddress};
use egress_user::kernel::{Said, SandboxRecord, Standing, detach_pinned};
use egress_user::pins::{Naming, Opening, PinStore};
use egress_user::policy::{Name, Policy, Settings};

use self::object::{Judged, Object, TARGET, target};
use super::support::PYTHON;

mod held;
mod object;

#[test]
#[ignore = "kernel: needs root"]
fn one_that_floods_costs_another_no_refusal() {
    const FLOOD: usize = 6000;
    const FEW: usize = 200;
    let mut object = Object::load();
    let (loud, quiet) = (object.sandbox(), object.sandbox());
    assert_eq!(loud.connect(FLOOD), FLOOD);
    assert_eq!(quiet.connect(FEW), FEW);

    let lost = |sandbox: &Judged| object.maps.counter(sandbox.id, Counter::EventsLost) as usize;
    let losses = [lost(&loud), lost(&quiet)];
    let told = object.told([loud.id, quiet.id]);
    assert_eq!(told[1], FEW, "each of the quiet one's is told");
    assert_eq!(losses[1], 0);
    assert!(losses[0] > 0, "it floods");
    assert_eq!(told[0] + losses[0], FLOOD, "what is lost is counted, for whom it is lost");

    // Once they are read there is room again.
    assert_eq!(loud.connect(FEW), FEW);
    assert_eq!(object.told([loud.id, quiet.id])[0], FEW);
}

#[test]
#[ignore = "kernel: needs root"]
fn the_end_of_one_leaves_the_other_as_it_is() {
    let object = Object::load();
    let maps = &object.maps;
    let (gone, lives) = (object.sandbox(), object.sandbox());
    let name = Name::parse("allowed.test").expect("a name");
    let address = target();
    let ports = PortList::of([(443, 443)]).expect("room");
    for sandbox in [&gone, &lives] {
        let policy = Policy::new(Settings::default(), Vec::new());
        maps.add_rules(sandbox.id, &policy).expect("room for its rules");
        let store = object.store(sandbox);
        store.name(address, &name, &Naming { expires_ns: u64::MAX, ports, id: 0 });
        store.pin(address, &Opening::proxied(u64::MAX, Ports::ALL)).expect("a pin");
        object.open(sandbox);
        assert_eq!(sandbox.connect(1), 0, "it is sent to the listener");
    }
    let before = maps.standing(lives.id);
    assert_eq!(maps.standing(gone.id), before, "both have the same");
    assert!(before.pins == 1 && before.rules > 0 && before.flows == 1, "{before:?}");

    maps.remove_sandbox(gone.id);
    assert_eq!(maps.standing(gone.id), Standing::default());
    assert_eq!(maps.standing(lives.id), before);
    object.is_told_of_the_next(&lives);
    assert_eq!(maps.standing(lives.id).flows, 0, "what is taken is not counted any more");

    assert_eq!(gone.connect(1), 1, "what is no sandbox is refused");
    assert_eq!(lives.connect(1), 0);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_slot_is_used_again_with_nothing_counted() {
    let object = Object::load();
    let first = object.sandbox();
    assert_eq!(first.connect(3), 3);
    let policy = Policy::new(Settings::default(), Vec::new());
    object.maps.add_rules(first.id, &policy).expect("room for its rules");
    let counts = object.maps.remove_sandbox(first.id);
    let lost = counts.get(Counter::EventsLost);
    assert_eq!((lost, counts.get(Counter::MapFull)), (0, 0));
    let id = |number| Sandbox { id: u64::MAX - number, ..Sandbox::NONE };
    for number in [1, 2] {
        object.maps.add_sandbox(id(number)).expect("there is room for two");
    }
    assert_eq!(
        object.maps.standing(first.id),
        Standing::default(),
        "who comes finds maps without the last"
    );
    assert!(object.maps.add_sandbox(id(3)).is_err(), "a third would live by the others' room");
    for number in [1, 2] {
        object.maps.remove_sandbox(id(number).id);
    }
    for number in 1..=200 {
        let record = id(number);
        object.maps.add_sandbox(record).expect("the room of the one before");
        assert_eq!(object.maps.standing(record.id), Standing::default());
        object.maps.remove_sandbox(record.id);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn what_comes_after_the_end_is_not_written() {
    let object = Object::load();
    let gone = object.sandbox();
    let record = SandboxRecord::new(object.maps.clone(), gone.record).expect("its record");
    let store = object.store(&gone);
    object.maps.remove_sandbox(gone.id);

    // A lookup that was under way, a change of policy, and what a diverted connection tells.
    let name = Name::parse("allowed.test").expect("a name");
    let naming = Naming { expires_ns: u64::MAX, ports: PortList::NONE, id: 0 };
    assert_eq!(store.name(target(), &name, &naming), None);
    store.pin(target(), &Opening::proxied(u64::MAX, Ports::ALL)).expect_err("no pin");
    let policy = Policy::new(Settings::default(), Vec::new());
    object.maps.add_rules(gone.id, &policy).expect_err("no rules");
    record.set_policy(Said::default()).expect_err("no record");
    record.set_diverted().expect_err("no record");
    assert_eq!(object.maps.standing(gone.id), Standing::default());
    assert_eq!(gone.connect(1), 1, "what is no sandbox is refused");
}

#[test]
#[ignore = "kernel: needs root"]
fn one_that_fills_its_pins_leaves_anothers_room() {
    let object = Object::load();
    let (loud, quiet) = (object.sandbox(), object.sandbox());
    let store = object.store(&loud);
    let opening = Opening::proxied(u64::MAX, Ports::ALL);
    for number in 0..capacity::PINS {
        let address = IpAddr::V4((0x5db8_0000 + number).into());
        store.pin(address, &opening).expect("within its own room");
    }
    object.store(&quiet).pin(target(), &opening).expect("within its own room");
    assert_eq!(quiet.connect(1), 0, "it is sent to the listener");
    object.is_told_of_the_next(&quiet);
}

/// Makes so many connections, says so, and holds them until it is told to end.
const BEGIN: &str = r"
import resource, socket, sys
count = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
held = []
for _ in range(count):
    one = socket.socket()
    one.connect((sys.argv[1], 9))
    held.append(one)
print('begun', flush=True)
sys.stdin.read()
";

#[test]
#[ignore = "kernel: needs root"]
fn one_that_begins_connections_leaves_anothers_room() {
    const BEYOND: u32 = 100;
    let object = Object::load();
    let (loud, quiet) = (object.sandbox(), object.sandbox());
    object.open(&loud);
    object.open(&quiet);
    let count = capacity::FLOWS + BEYOND;
    let mut begun = loud.started(&[PYTHON, "-c", BEGIN, TARGET, &count.to_string()]);
    for _ in 0..count {
        loud.listener.accept().expect("a connection");
    }
    let mut line = String::new();
    let said = begun.stdout.take().expect("what it says");
    BufReader::new(said).read_line(&mut line).expect("a line");
    assert_eq!(line, "begun\n");

    // Nobody asks where they wanted to go: each keeps its record, and those beyond its share have none.
    assert_eq!(object.maps.standing(loud.id).flows, u64::from(capacity::FLOWS));
    assert_eq!(object.maps.counter(loud.id, Counter::MapFull), u64::from(BEYOND));
    assert_eq!(quiet.connect(1), 0, "it is sent to the listener");
    object.is_told_of_the_next(&quiet);
    assert_eq!(object.maps.counter(quiet.id, Counter::MapFull), 0);
    drop(begun.stdin.take());
    begun.wait().expect("its end");
}

/// Asks from ever new sockets of an address for so many milliseconds, at least once; says how often it could, and how often it
/// was refused.
const ASK: &str = r"
import socket, sys, time
asked, refused, end = 0, 0, time.monotonic() + int(sys.argv[2]) / 1000
while asked + refused == 0 or time.monotonic() < end:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.bind((sys.argv[3], 0))
            one.sendto(b'?', (sys.argv[1], 53))
            asked += 1
        except PermissionError:
            refused += 1
print(asked, refused)
";

#[test]
#[ignore = "kernel: needs root"]
fn one_that_asks_from_many_sockets_leaves_anothers_records() {
    const FLOOD_MS: u64 = 1_000;
    let object = Object::load();
    let (loud, quiet) = (object.sandbox(), object.sandbox());
    // From another address: a port of a socket that has closed may come again.
    let ask = |sandbox: &Judged, time: u64, from: &str| {
        sandbox.started(&[PYTHON, "-c", ASK, TARGET, &time.to_string(), from])
    };
    let said = |asking: Child| -> [u64; 2] {
        let out = asking.wait_with_output().expect("its end").stdout;
        let out = String::from_utf8(out).expect("numbers");
        let (asked, refused) = out.trim().split_once(' ').expect("two numbers");
        [asked, refused].map(|number| number.parse().expect("a number"))
    };
    let records = object.maps.flows(quiet.id, kind::DNS_TCP, quiet.dns.as_fd()).expect("records");
    // Started before, so that no time is lost on it.
    let begun = Instant::now();
    let flood = ["127.1.0.1", "127.1.0.2"].map(|from| ask(&loud, FLOOD_MS, from));
    assert_eq!(said(ask(&quiet, 0, "127.0.0.1")), [1, 0]);
    let (_, asker) = quiet.dns.recv_from(&mut [0; 8]).expect("its question");
    let [[asked, refused], [more, also]] = flood.map(said);
    let seconds = begun.elapsed().as_secs() + 2;
    let (asked, refused) = (asked + more, refused + also);
    // Those whose port comes again are counted once.
    assert!(asked > 0 && asked / 2 <= ASKED_MOST * seconds, "{asked} in {seconds} s");
    assert_eq!(object.maps.counter(loud.id, Counter::MapFull), refused);
    let record = records.udp(PeerAddress(asker));
    assert!(record.is_some(), "gone after {asked} questions of another, {refused} more refused");
    assert_eq!(object.maps.counter(quiet.id, Counter::MapFull), 0);
}

#[test]
#[ignore = "kernel: needs root"]
fn what_one_left_is_swept_while_another_holds_connections() {
    let object = Object::load();
    let (gone, lives) = (object.sandbox(), object.sandbox());
    // Versions that know one map a process, by this name, read none here: they leave it all as it is.
    let barrier = gone.pins.join("HELD");
    let barrier = Map::HashMap(MapData::from_pin(barrier).expect("a map"));
    HashMap::<_, u64, [u8; size_of::<Unverified>()]>::try_from(barrier)
        .expect_err("of other records");
    let entries = std::fs::read_dir(&gone.pins).expect("its pins");
    let mut paths = entries.flatten().map(|entry| entry.path());
    let held = paths.find(|path| path.to_string_lossy().contains("/HELD-")).expect("the pin");
    let map = MapData::from_pin(held).expect("the table");
    let mut held: HashMap<_, u64, [u8; size_of::<Unverified>()]> =
        HashMap::try_from(Map::HashMap(map)).expect("a table of such entries");
    let of = |sandbox: &Judged| {
        let mut record = [0_u8; size_of::<Unverified>()];
        let at = offset_of!(Unverified, sandbox);
        record[at..at + 8].copy_from_slice(&sandbox.id.to_ne_bytes());
        record
    };
    // No sockets of this namespace have these cookies: nobody can end them.
    let (of_gone, of_lives) = (u64::MAX - 1, u64::MAX - 2);
    held.insert(of_gone, of(&gone), 0).expect("an entry");
    held.insert(of_lives, of(&lives), 0).expect("an entry");
    assert!(!detach_pinned(&gone.pins), "something of it is held back yet");
    assert!(gone.pins.is_dir());

    held.remove(&of_gone).expect("it has ended");
    assert!(detach_pinned(&gone.pins), "the other's is none of its");
    assert!(!gone.pins.exists());
    assert!(held.get(&of_lives, 0).is_ok());
    assert!(lives.pins.is_dir());
    held.remove(&of_lives).expect("it has ended");
}

#[test]
#[ignore = "kernel: needs root"]
fn refused_devices_are_told_of_their_sandbox() {
    let mut object = Object::load();
    let (one, other) = (object.sandbox(), object.sandbox());
    for (sandbox, times) in [(&one, 1), (&other, 3)] {
        let script = format!("for i in $(seq {times}); do true </dev/zero && echo opened; done");
        let refused = sandbox.started(&["sh", "-c", &script]).wait_with_output();
        assert_eq!(refused.expect("its end").stdout, b"");
    }
    assert_eq!(object.told([one.id, other.id]), [1, 3]);
}

#[test]
#[ignore = "kernel: needs root"]
fn another_process_counts_names_by_other_numbers() {
    let numbered = || {
        let object = Object::load();
        let sandbox = object.sandbox();
        let naming = Naming { expires_ns: u64::MAX, ports: PortList::NONE, id: 0 };
        let name = Name::parse("allowed.test").expect("a name");
        object.store(&sandbox).name(target(), &name, &naming)
    };
    let (first, second) = (numbered(), numbered());
    if first.is_none() {
        return super::support::skip("the kernel does not tell its types: no names are counted");
    }
    assert_ne!(first, second);
}
