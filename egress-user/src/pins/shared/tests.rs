//! Races between writers, and between these and readers, in an order that the test chooses: with a store whose
//! writes wait until they are let go.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::IpAddr,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use egress_common::pin::PortList;
use proptest::prelude::*;

use super::*;
use crate::{
    dns::support::{address, grant, name},
    pins::{NEVER_NS as NEVER, Naming, Opening, lease::LEASE_NS},
};

const A: &str = "198.51.100.1";
const B: &str = "198.51.100.2";

/// A hang is a failure that says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the kernel would have, and a gate before each write.
#[derive(Default)]
struct Kernel {
    gate: Mutex<Gate>,
    changed: Condvar,
    open: Mutex<HashMap<IpAddr, u64>>,
    named: Mutex<HashSet<(IpAddr, String)>>,
    /// Writes fail.
    is_full: AtomicBool,
    living: Mutex<Vec<u64>>,
}

#[derive(Default)]
struct Gate {
    is_closed: bool,
    /// Writers that wait at it.
    waiting: usize,
}

impl Kernel {
    fn shut(&self) {
        self.gate.lock().unwrap().is_closed = true;
    }

    fn let_go(&self) {
        self.gate.lock().unwrap().is_closed = false;
        self.changed.notify_all();
    }

    /// Waits until a writer waits.
    fn await_writer(&self) {
        let gate = self.gate.lock().unwrap();
        let waits = |gate: &mut Gate| gate.waiting == 0;
        let (_gate, late) = self.changed.wait_timeout_while(gate, PATIENCE, waits).unwrap();
        assert!(!late.timed_out(), "nobody writes");
    }

    fn pass(&self) {
        let mut gate = self.gate.lock().unwrap();
        gate.waiting += 1;
        self.changed.notify_all();
        let closed = |gate: &mut Gate| gate.is_closed;
        let (mut gate, late) = self.changed.wait_timeout_while(gate, PATIENCE, closed).unwrap();
        gate.waiting -= 1;
        assert!(!late.timed_out(), "never let go");
    }

    fn is_open(&self, at: &str) -> bool {
        self.open.lock().unwrap().contains_key(&address(at))
    }

    fn names(&self) -> usize {
        self.named.lock().unwrap().len()
    }
}

impl PinStore for Kernel {
    fn pin(&self, address: IpAddr, opening: &Opening) -> io::Result<()> {
        self.pass();
        if self.is_full.load(Ordering::Relaxed) {
            return Err(io::Error::other("map full"));
        }
        self.open.lock().unwrap().insert(address, opening.expires_ns);
        Ok(())
    }

    fn unpin(&self, address: IpAddr) {
        self.pass();
        self.open.lock().unwrap().remove(&address);
    }

    fn name(&self, address: IpAddr, name: &Name, naming: &Naming) -> Option<u64> {
        assert!(naming.ports != PortList::NONE);
        self.named.lock().unwrap().insert((address, name.as_str().to_owned()));
        Some(naming.id.max(1))
    }

    fn unname(&self, address: IpAddr, name: &Name, _: u64) {
        self.named.lock().unwrap().remove(&(address, name.as_str().to_owned()));
    }

    fn lives(&self, id: u64) -> bool {
        self.living.lock().unwrap().contains(&id)
    }
}

fn world() -> (Arc<Pins>, Arc<Kernel>) {
    let kernel = Arc::<Kernel>::default();
    (Arc::new(Pins::new(kernel.clone())), kernel)
}

fn pin(pins: &Pins, of: &str, at: &str, expires_ns: u64, now_ns: u64) -> Result<Ends, PinError> {
    pins.pin(&name(of), &grant(of), &[(address(at), expires_ns)], now_ns)
}

/// Does it on a thread of its own.
fn beside<T: Send + 'static>(
    pins: &Arc<Pins>,
    what: impl FnOnce(&Pins) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let pins = Arc::clone(pins);
    thread::spawn(move || what(&pins))
}

/// A writer that waits in the store, in the middle of its write.
fn held_up<T: Send + 'static>(
    (pins, kernel): &(Arc<Pins>, Arc<Kernel>),
    what: impl FnOnce(&Pins) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    kernel.shut();
    let writer = beside(pins, what);
    kernel.await_writer();
    writer
}

/// Does it on a thread of its own, which has to end while the store stands still.
fn without_waiting<T: Send + 'static>(
    pins: &Arc<Pins>,
    what: impl FnOnce(&Pins) -> T + Send + 'static,
) -> T {
    let (done, is_done) = std::sync::mpsc::channel();
    let reader = beside(pins, move |pins| drop(done.send(what(pins))));
    let told = is_done.recv_timeout(PATIENCE).expect("it waits for the store");
    reader.join().unwrap();
    told
}

#[test]
fn who_asks_does_not_wait_for_the_store_and_sees_no_pin_before_it_is_there() {
    let world = world();
    let (pins, kernel) = &world;
    pin(pins, "old.test", A, NEVER, 0).unwrap();
    let writer = held_up(&world, |pins| pin(pins, "new.test", B, NEVER, 0).is_ok());
    without_waiting(pins, |pins| {
        assert_eq!(pins.names_of(address(A), 1)[0].name, name("old.test"));
        assert_eq!(pins.addresses_of(&name("old.test"), 1), [address(A)]);
        assert!(pins.hold(address(A), 1), "a connection is made");
        pins.release(address(A), 1);
        pin(pins, "old.test", A, NEVER, 1).unwrap();
        // What is not in the kernel vouches for nothing.
        assert!(pins.names_of(address(B), 1).is_empty() && !pins.hold(address(B), 1));
        assert!(!pins.is_pinned_for(&name("new.test"), address(B), 1));
        assert_eq!(pins.list(1).len(), 1);
        assert_eq!(pins.expired(address(B), 1), None);
    });
    kernel.let_go();
    assert!(writer.join().unwrap());
    assert!(kernel.is_open(B) && pins.is_pinned_for(&name("new.test"), address(B), 1));
}

#[test]
fn what_is_revoked_while_it_is_written_stays_closed() {
    let world = world();
    let (pins, kernel) = &world;
    let writer = held_up(&world, |pins| pin(pins, "a.test", A, NEVER, 0).is_ok());
    let revoker = beside(pins, |pins| pins.end(|_| true, 1));
    kernel.let_go();
    // Whichever of them the store sees first, if the other one were late it would stand open now.
    revoker.join().unwrap();
    assert!(writer.join().unwrap());
    let last = pins.names_of(address(A), 1).len();
    assert_eq!((kernel.is_open(A), kernel.names()), (last > 0, last));
    assert_eq!(last, 0, "the writer had begun, so it comes first");
}

#[test]
fn a_renewal_under_way_does_not_bring_back_what_is_revoked_behind_it() {
    let world = world();
    let (pins, kernel) = &world;
    pin(pins, "a.test", A, LEASE_NS, 0).unwrap();
    assert!(pins.hold(address(A), 0));
    let renewer = held_up(&world, |pins| pins.renew(LEASE_NS - 1));
    let revoker = beside(pins, |pins| pins.end(|_| true, LEASE_NS - 1));
    kernel.let_go();
    renewer.join().unwrap();
    revoker.join().unwrap();
    assert!(!kernel.is_open(A) && pins.list(LEASE_NS - 1).is_empty());
    // Nor does the next renewal, of a connection that is still there.
    pins.renew(LEASE_NS);
    pins.release(address(A), LEASE_NS);
    assert!(!kernel.is_open(A) && kernel.names() == 0);
}

#[test]
fn what_expires_while_it_is_renewed_lives_on_in_both() {
    let world = world();
    let (pins, kernel) = &world;
    pin(pins, "a.test", A, LEASE_NS, 0).unwrap();
    kernel.living.lock().unwrap().push(1);
    let now_ns = LEASE_NS - 1;
    let renewer = held_up(&world, move |pins| pins.renew(now_ns));
    // Its old time is over meanwhile.
    let sweeper = beside(pins, |pins| pins.purge(LEASE_NS + 1));
    kernel.let_go();
    renewer.join().unwrap();
    sweeper.join().unwrap();
    assert_eq!(kernel.open.lock().unwrap()[&address(A)], now_ns + LEASE_NS);
    assert_eq!(pins.expiry_of(&name("a.test"), address(A)), Some(now_ns + LEASE_NS));
    assert_eq!(kernel.names(), 1);
}

#[test]
fn what_is_pinned_anew_while_it_is_swept_out_is_open_in_both() {
    let world = world();
    let (pins, kernel) = &world;
    pin(pins, "a.test", A, 100, 0).unwrap();
    let sweeper = held_up(&world, |pins| pins.purge(100));
    assert!(pins.names_of(address(A), 100).is_empty(), "gone from the table first");
    let writer = beside(pins, |pins| pin(pins, "a.test", A, 300, 100).is_ok());
    kernel.let_go();
    sweeper.join().unwrap();
    assert!(writer.join().unwrap());
    assert_eq!(kernel.open.lock().unwrap()[&address(A)], 300);
    assert_eq!((pins.list(200).len(), kernel.names()), (1, 1));
}

#[test]
fn a_connection_that_ends_while_its_pin_is_renewed_leaves_it_nothing() {
    let world = world();
    let (pins, kernel) = &world;
    let (ends_ns, now_ns) = (LEASE_NS, LEASE_NS - 1);
    pin(pins, "a.test", A, ends_ns, 0).unwrap();
    assert!(pins.hold(address(A), 0));
    let renewer = held_up(&world, move |pins| pins.renew(now_ns));
    let last = beside(pins, move |pins| pins.release(address(A), now_ns));
    kernel.let_go();
    renewer.join().unwrap();
    last.join().unwrap();
    assert_eq!(kernel.open.lock().unwrap()[&address(A)], ends_ns);
    assert_eq!(pins.expiry_of(&name("a.test"), address(A)), Some(ends_ns));
}

#[test]
fn no_answer_leaves_before_the_store_has_what_another_is_writing() {
    let world = world();
    let (pins, kernel) = &world;
    let first = held_up(&world, |pins| pin(pins, "a.test", A, NEVER, 0).is_ok());
    let seen = kernel.clone();
    let second = beside(pins, move |pins| {
        pin(pins, "a.test", A, NEVER, 0).unwrap();
        seen.is_open(A)
    });
    kernel.let_go();
    assert!(first.join().unwrap());
    assert!(second.join().unwrap(), "it had its answer before the pin was there");
}

#[test]
fn a_policy_that_changes_while_a_pin_is_written_finds_it() {
    let world = world();
    let (pins, kernel) = &world;
    let generation = Arc::new(AtomicBool::new(false));
    let asked_of = generation.clone();
    let writer = held_up(&world, move |pins| {
        let is_current = || !asked_of.load(Ordering::SeqCst);
        pins.pin_if(is_current, &name("a.test"), &grant("a.test"), &[(address(A), NEVER)], 0)
    });
    // First the policy, then the pins.
    generation.store(true, Ordering::SeqCst);
    let changer = beside(pins, |pins| pins.rejudge(|_, _| None, 1).len());
    kernel.let_go();
    assert!(writer.join().unwrap().unwrap().is_ok(), "it was judged before");
    assert_eq!(changer.join().unwrap(), 1);
    assert!(!kernel.is_open(A) && kernel.names() == 0 && pins.list(1).is_empty());
    // One that was judged before, and comes to write behind the change.
    let is_current = || !generation.load(Ordering::SeqCst);
    let late = pins.pin_if(is_current, &name("a.test"), &grant("a.test"), &[(address(A), 9)], 1);
    assert!(late.is_none() && !kernel.is_open(A));
}

#[test]
fn a_write_that_fails_closes_nothing_that_came_before_it() {
    let world = world();
    let (pins, kernel) = &world;
    pin(pins, "old.test", A, 500, 0).unwrap();
    let writer = held_up(&world, |pins| {
        let wanted = [(address(B), 900), (address(A), 900)];
        pins.pin(&name("new.test"), &grant("new.test"), &wanted, 0).is_err()
    });
    kernel.is_full.store(true, Ordering::Relaxed);
    let second = beside(pins, |pins| pin(pins, "new.test", B, 900, 0).is_err());
    kernel.let_go();
    assert!(writer.join().unwrap() && second.join().unwrap());
    assert_eq!(*kernel.open.lock().unwrap(), HashMap::from([(address(A), 500)]));
    assert_eq!(kernel.names(), 1, "of the old one alone");
    assert!(pins.addresses_of(&name("new.test"), 1).is_empty());
}

/// A step that one of several threads takes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pin(u8, u8),
    End(u8),
    Purge,
    Hold(u8),
    Rejudge(u8),
    ToProxy(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, 0..3_u8).prop_map(|(of, at)| Step::Pin(of, at)),
        1 => (0..3_u8).prop_map(Step::End),
        1 => Just(Step::Purge),
        2 => (0..3_u8).prop_map(Step::Hold),
        1 => (0..3_u8).prop_map(Step::Rejudge),
        1 => (0..3_u8).prop_map(Step::ToProxy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the steps of several threads fall between each other, the store has what the table says.
    #[test]
    fn store_and_table_agree_when_all_have_ended(
        threads in proptest::collection::vec(proptest::collection::vec(step(), 0..30), 2..5),
    ) {
        let (pins, kernel) = world();
        let at = |number: u8| IpAddr::from([198, 51, 100, number]);
        let of = |number: u8| format!("n{number}.test");
        let workers: Vec<_> = threads.into_iter().map(|steps| beside(&pins, move |pins| {
            for (now_ns, step) in (0..).zip(steps) {
                match step {
                    Step::Pin(host, to) => {
                        let (host, wanted) = (of(host), [(at(to), NEVER)]);
                        pins.pin(&name(&host), &grant(&host), &wanted, now_ns).unwrap();
                    }
                    Step::End(which) => pins.end(|address| address == at(which), now_ns),
                    Step::Purge => pins.purge(now_ns),
                    Step::Hold(which) => {
                        if pins.hold(at(which), now_ns) {
                            pins.release(at(which), now_ns);
                        }
                    }
                    Step::Rejudge(which) => {
                        let keeps = |host: &Name| host.as_str() != of(which);
                        pins.rejudge(|host, _| keeps(host).then(|| grant("**.test")), now_ns);
                    }
                    Step::ToProxy(which) => pins.send_to_proxy(at(which), now_ns),
                }
            }
        })).collect();
        for worker in workers {
            worker.join().unwrap();
        }
        let table = pins.table();
        for number in 0..3 {
            let live = table.live_of(at(number), 0).map(Pin::ends_ns).max();
            prop_assert_eq!(kernel.open.lock().unwrap().get(&at(number)).copied(), live);
        }
        let pinned: HashSet<_> = table.by_address.iter()
            .flat_map(|(&at, pins)| pins.iter().map(move |pin| (at, pin.name.as_str().to_owned())))
            .collect();
        prop_assert_eq!(&*kernel.named.lock().unwrap(), &pinned);
    }
}
