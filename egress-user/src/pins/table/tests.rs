use std::{net::IpAddr, time::Duration};

use proptest::prelude::*;

use super::{super::*, *};
use crate::{
    dns::support::{Diary, Entry, address, grant, name},
    pins::{ends::SAME_NS, lease::LEASE_NS},
};

const A: &str = "198.51.100.1";
const B: &str = "2001:db8::2";

/// No pins yet, and what they will be written to.
fn pins() -> (Pins, Arc<Diary>) {
    let sink = Arc::<Diary>::default();
    (Pins::new(sink.clone()), sink)
}

fn pin(pins: &Pins, of: &str, at: &[(&str, u64)], now_ns: u64) {
    try_pin(pins, of, at, now_ns).unwrap();
}

fn try_pin(pins: &Pins, of: &str, at: &[(&str, u64)], now_ns: u64) -> Result<Ends, PinError> {
    let at: Vec<_> = at.iter().map(|&(text, expires_ns)| (address(text), expires_ns)).collect();
    pins.pin(&name(of), &grant(of), &at, now_ns)
}

fn names(pins: &Pins, at: &str, now_ns: u64) -> Vec<String> {
    let pinned = pins.names_of(address(at), now_ns);
    pinned.iter().map(|pinned| pinned.name.as_str().to_owned()).collect()
}

#[test]
fn a_pin_lives_until_its_expiry_and_is_remembered_after() {
    let (pins, sink) = pins();
    pin(&pins, "a.test", &[(A, 100), (B, 200)], 0);
    assert_eq!(names(&pins, A, 99), ["a.test"]);
    assert_eq!(pins.addresses_of(&name("a.test"), 99), [address(A), address(B)]);
    assert_eq!(pins.expired(address(A), 99), None);
    assert!(names(&pins, A, 100).is_empty());
    assert_eq!(pins.addresses_of(&name("a.test"), 100), [address(B)]);
    assert_eq!(pins.expired(address(A), 100), Some(name("a.test")));
    pins.purge(100);
    assert_eq!(pins.expired(address(A), 100), Some(name("a.test")));
    assert_eq!(pins.expired(address("198.51.100.9"), 100), None);
    assert_eq!(sink.open(), [(address(B), 200)].into());
}

#[test]
fn what_is_pinned_again_is_remembered_no_longer() {
    let (pins, sink) = pins();
    pin(&pins, "a.test", &[(A, 100)], 0);
    pin(&pins, "b.test", &[(A, 90)], 0);
    pins.purge(100);
    assert_eq!(*pins.expired_names(address(A), 100), [name("a.test"), name("b.test")]);
    pin(&pins, "b.test", &[(A, 300)], 200);
    assert!(pins.expired_names(address(A), 200).is_empty());
    assert_eq!(pins.table().expired.len(), 0);
    assert_eq!(sink.open(), [(address(A), 300)].into());
    // Nor is what has become the machine's own, or what no rule allows any longer.
    pins.purge(300);
    pins.end(|one| one == address(A), 300);
    assert_eq!(sink.entries().last(), Some(&Entry::Unpin(address(A))));
    assert_eq!(pins.expired(address(A), 300), None);
    pin(&pins, "a.test", &[(B, 400)], 300);
    pins.purge(400);
    pins.rejudge(|_, _| None, 400);
    assert_eq!(sink.entries().last(), Some(&Entry::Unpin(address(B))));
    assert_eq!(pins.expired(address(B), 400), None);
}

#[test]
fn an_address_stays_open_as_long_as_any_name_pins_it() {
    let (pins, sink) = pins();
    pin(&pins, "long.test", &[(A, 500)], 0);
    pin(&pins, "short.test", &[(A, 100)], 0);
    assert_eq!(sink.open(), [(address(A), 500)].into());
    assert_eq!(names(&pins, A, 50), ["short.test", "long.test"]);
    pins.purge(100);
    assert_eq!(sink.open(), [(address(A), 500)].into());
    assert_eq!(names(&pins, A, 100), ["long.test"]);
    assert_eq!(pins.expired(address(A), 100), None);
    pins.purge(500);
    assert!(sink.open().is_empty());
    assert_eq!(sink.entries().last(), Some(&Entry::Expire(address(A))));
}

#[test]
fn a_later_shorter_answer_does_not_shorten_a_pin() {
    let (pins, _) = pins();
    pin(&pins, "a.test", &[(A, 500)], 0);
    pin(&pins, "a.test", &[(B, 90), (A, 90)], 10);
    assert_eq!(pins.expiry_of(&name("a.test"), address(A)), Some(500));
    assert_eq!(pins.addresses_of(&name("a.test"), 20), [address(B), address(A)]);
}

#[test]
fn an_answer_that_gives_a_moment_more_writes_nothing_and_says_when_the_pins_end() {
    const SECOND: u64 = 1_000_000_000;
    let (pins, sink) = pins();
    let both = |ends_ns| [(A, ends_ns), (B, ends_ns + 1)];
    let ends = |ends_ns| Ends { v4_ns: ends_ns, v6_ns: ends_ns + 1 };
    let first = try_pin(&pins, "a.test", &both(9 * SECOND), 0).unwrap();
    assert_eq!(first, ends(9 * SECOND));
    assert_eq!(sink.entries().len(), 2);
    let later = both(9 * SECOND + SAME_NS);
    let same = try_pin(&pins, "a.test", &later, SAME_NS).unwrap();
    assert_eq!(same, ends(9 * SECOND), "not more than the kernel has");
    assert_eq!(sink.entries().len(), 2);
    // More than that, at another address, by another right, or of what has ended: all are written.
    let later = both(9 * SECOND + SAME_NS + 1);
    assert_eq!(try_pin(&pins, "a.test", &later, SAME_NS).unwrap(), ends(9 * SECOND + SAME_NS + 1));
    assert_eq!(sink.entries().len(), 4);
    let more = [(A, 9 * SECOND), ("198.51.100.3", 9 * SECOND)];
    pin(&pins, "a.test", &more, 2 * SAME_NS);
    assert_eq!(sink.entries().len(), 5);
    let (of, other) = (name("a.test"), grant("*.test"));
    pins.pin(&of, &other, &[(address(A), 9 * SECOND)], 2 * SAME_NS).unwrap();
    assert!(pins.names_of(address(A), 2 * SAME_NS)[0].grant.opens_as(&other));
    pins.pin(&of, &other, &[(address(A), 9 * SECOND + 2 * SAME_NS)], 9 * SECOND + 2 * SAME_NS - 1)
        .unwrap();
    assert_eq!(sink.open()[&address(A)], 9 * SECOND + 2 * SAME_NS);
}

#[test]
fn mapped_addresses_are_their_ipv4_address() {
    let (pins, sink) = pins();
    pin(&pins, "a.test", &[("::ffff:198.51.100.1", 100), (A, 100)], 0);
    assert_eq!(sink.open(), [(address(A), 100)].into());
    assert_eq!(names(&pins, "::ffff:198.51.100.1", 0), ["a.test"]);
}

#[test]
fn a_failed_write_leaves_nothing_of_the_answer_and_all_of_the_rest() {
    let (pins, sink) = pins();
    pin(&pins, "old.test", &[(A, 100)], 0);
    sink.fail_at(Some(address("198.51.100.3")));
    let at = [(A, 300), (B, 300), ("198.51.100.3", 300), ("198.51.100.4", 300)];
    let error = try_pin(&pins, "new.test", &at, 0).unwrap_err();
    assert!(matches!(error, PinError::Sink { address: at, .. } if at == address("198.51.100.3")));
    assert_eq!(sink.open(), [(address(A), 100)].into());
    assert_eq!(names(&pins, A, 0), ["old.test"]);
    assert!(pins.addresses_of(&name("new.test"), 0).is_empty());
    assert_eq!(pins.table().count, 1);
}

#[test]
fn a_full_table_refuses_the_new_and_keeps_the_live() {
    let (pins, sink) = pins();
    for number in 0..MAX_PINS {
        pin(&pins, &format!("n{number}.test"), &[(A, 100)], 0);
    }
    let error = try_pin(&pins, "more.test", &[(B, 100)], 50).unwrap_err();
    assert!(matches!(error, PinError::Full { limit: MAX_PINS, .. }));
    assert!(!sink.open().contains_key(&address(B)));
    assert_eq!(pins.names_of(address(A), 50).len(), MAX_PINS);
    // A name that is pinned already is renewed all the same.
    pin(&pins, "n7.test", &[(A, 300)], 50);
    // What has expired gives room.
    pin(&pins, "more.test", &[(B, 300)], 100);
    assert_eq!(pins.table().count, 2);
    assert_eq!(names(&pins, A, 100), ["n7.test"]);
}

#[test]
fn one_name_cannot_take_the_whole_table() {
    let (pins, _) = pins();
    let address_no = |number: u32| IpAddr::from(0xc633_0000_u32.wrapping_add(number).to_be_bytes());
    let (of, by) = (name("a.test"), grant("a.test"));
    for number in 0..u32::try_from(MAX_ADDRESSES_A_NAME).unwrap() {
        pins.pin(&of, &by, &[(address_no(number), 100)], 0).unwrap();
    }
    let error = pins.pin(&of, &by, &[(address(B), 100)], 0).unwrap_err();
    assert!(matches!(error, PinError::Full { limit: MAX_ADDRESSES_A_NAME, .. }));
    pin(&pins, "b.test", &[(B, 100)], 0);
}

#[test]
fn permanent_pins_outlive_every_purge() {
    let (pins, _) = pins();
    pin(&pins, "localhost", &[("127.0.0.1", NEVER_NS)], 0);
    pins.purge(NEVER_NS - 1);
    assert_eq!(names(&pins, "127.0.0.1", NEVER_NS - 1), ["localhost"]);
}

#[test]
fn the_expired_are_remembered_within_bounds() {
    let (pins, sink) = pins();
    for number in 0..u64::try_from(MAX_EXPIRED).unwrap() + 10 {
        let at = IpAddr::from(std::net::Ipv6Addr::from(u128::from(number) + (0x2001 << 112)));
        pins.pin(&name("a.test"), &grant("a.test"), &[(at, number + 1)], number).unwrap();
        pins.purge(number + 1);
    }
    assert_eq!(pins.table().expired.len(), MAX_EXPIRED);
    // What is forgotten is closed for good.
    let closed = sink.entries().into_iter().filter(|entry| matches!(entry, Entry::Unpin(_)));
    assert_eq!(closed.count(), 10);
    assert_eq!(pins.table().count, 0);
}

#[test]
fn lives_are_bounded_on_both_sides() {
    let minute = Duration::from_secs(60);
    let second_ns = 1_000_000_000;
    assert_eq!(expiry_ns(5, 0, minute, 10 * minute), 5 + 60 * second_ns);
    assert_eq!(expiry_ns(5, 90, minute, 10 * minute), 5 + 90 * second_ns);
    assert_eq!(expiry_ns(5, u32::MAX, minute, 10 * minute), 5 + 600 * second_ns);
    assert_eq!(expiry_ns(5, 0, 10 * minute, minute), 5 + 60 * second_ns, "max wins");
    assert_eq!(expiry_ns(5, 0, Duration::ZERO, minute), 5 + second_ns, "never born dead");
    assert_eq!(expiry_ns(NEVER_NS, 1, minute, minute), NEVER_NS - 1, "never for good");
}

/// A step of a table's life.
#[derive(Clone, Debug)]
enum Step {
    /// Pins these addresses for a name, for so long; the write of one address may fail.
    Pin {
        of: u8,
        at: Vec<(u8, u64)>,
        fails_at: Option<u8>,
    },
    Purge,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let at = proptest::collection::vec((0..4_u8, 1..40_u64), 1..5);
    prop_oneof![
        4 => (0..3_u8, at, proptest::option::weighted(0.3, 0..4_u8))
            .prop_map(|(of, at, fails_at)| Step::Pin { of, at, fails_at }),
        1 => Just(Step::Purge),
        2 => (1..30_u64).prop_map(Step::Wait),
    ]
}

fn numbered(number: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, number])
}

proptest! {
    /// Whatever happens, the kernel opens an address exactly as long as some name pins it.
    #[test]
    fn sink_and_table_never_disagree(steps in proptest::collection::vec(step(), 0..40)) {
        let (pins, sink) = pins();
        let mut now_ns = 0;
        for step in steps {
            match step {
                Step::Pin { of, at, fails_at } => {
                    sink.fail_at(fails_at.map(numbered));
                    let of = format!("n{of}.test");
                    let at: Vec<_> = at.iter().map(|&(a, life)| (numbered(a), now_ns + life)).collect();
                    let before = pins.addresses_of(&name(&of), now_ns);
                    if pins.pin(&name(&of), &grant(&of), &at, now_ns).is_err() {
                        prop_assert_eq!(pins.addresses_of(&name(&of), now_ns), before);
                    } else {
                        let live = pins.addresses_of(&name(&of), now_ns);
                        prop_assert!(at.iter().all(|(address, _)| live.contains(address)));
                    }
                    sink.fail_at(None);
                }
                Step::Purge => pins.purge(now_ns),
                Step::Wait(ns) => now_ns += ns,
            }
            let open = sink.open();
            for number in 0..4 {
                let at = numbered(number);
                let table = pins.table();
                let live = table.pins_of(at).iter().map(|pin| pin.expires_ns);
                let live = live.filter(|&expires_ns| now_ns < expires_ns).max();
                drop(table);
                let opened = open.get(&at).copied().filter(|&expires_ns| now_ns < expires_ns);
                prop_assert_eq!(live, opened);
                prop_assert_eq!(live.is_some(), !pins.names_of(at, now_ns).is_empty());
            }
            let count: usize = pins.table().by_address.values().map(|pins| pins.len()).sum();
            prop_assert_eq!(count, pins.table().count);
            prop_assert_eq!(count, pins.table().by_name.values().map(Vec::len).sum::<usize>());
        }
    }
}

#[test]
fn a_pin_lives_as_long_as_a_connection_made_under_it() {
    let (pins, sink) = pins();
    let of = name("a.test");
    pin(&pins, "a.test", &[(A, 100)], 0);
    assert!(pins.hold(address(A), 50) && pins.hold(address(A), 60));
    // The kernel must not close it either.
    assert_eq!(sink.entries().last(), Some(&Entry::Pin(address(A), 50 + LEASE_NS)));
    let mut now_ns = 50;
    for _ in 0..3 {
        now_ns += LEASE_NS - 1;
        pins.renew(now_ns);
        assert_eq!(sink.entries().last(), Some(&Entry::Pin(address(A), now_ns + LEASE_NS)));
        pins.purge(now_ns);
        assert_eq!(names(&pins, A, now_ns), ["a.test"]);
        assert_eq!(pins.expired(address(A), now_ns), None);
    }
    // Another lookup meanwhile changes its end, not that it is held.
    pin(&pins, "a.test", &[(A, now_ns + 1)], now_ns);
    pins.release(address(A), now_ns);
    assert_eq!(names(&pins, A, now_ns + LEASE_NS), ["a.test"]);
    // What it was lent goes with the last: only the answer's time is left.
    now_ns += 1;
    pins.release(address(A), now_ns);
    assert!(names(&pins, A, now_ns).is_empty());
    assert_eq!(sink.entries().last(), Some(&Entry::Expire(address(A))));
    assert_eq!(pins.expired(address(A), now_ns), Some(of));
}

#[test]
fn a_hold_that_ends_early_leaves_the_pin_its_time() {
    const END: u64 = 100_000_000_000;
    let (pins, sink) = pins();
    pin(&pins, "a.test", &[(A, END)], 0);
    assert!(pins.hold(address(A), 10));
    pins.renew(15);
    pins.release(address(A), 20);
    // Once, by the lookup: connections that are over long before cost no write.
    assert_eq!(sink.entries(), [Entry::Pin(address(A), END)]);
    assert_eq!(names(&pins, A, END - 1), ["a.test"]);
    assert!(names(&pins, A, END).is_empty());
    assert!(!pins.hold(address(B), 10), "nothing is pinned there");
}

#[test]
fn a_list_has_every_live_pin_with_its_age_and_end() {
    // Long enough that a hold does not renew it.
    const LONG: u64 = 9_000_000_000;
    let (pins, _) = pins();
    pin(&pins, "old.test", &[(A, 50)], 0);
    pin(&pins, "b.test", &[(B, 100)], 10);
    pin(&pins, "a.test", &[(B, 100), (A, 100)], 20);
    // Looked up again: it is as old as it was.
    pin(&pins, "b.test", &[(B, LONG)], 60);
    assert!(pins.hold(address(B), 60));
    let listed: Vec<_> = pins
        .list(60)
        .into_iter()
        .map(|pin| (pin.name.to_string(), pin.address, pin.since_ns, pin.expires_ns, pin.held))
        .collect();
    let row =
        |of: &str, at: &str, since, expires, held| (of.into(), address(at), since, expires, held);
    assert_eq!(
        listed,
        [row("a.test", A, 20, 100, 0), row("a.test", B, 20, 100, 1), row("b.test", B, 10, LONG, 1)]
    );
}
