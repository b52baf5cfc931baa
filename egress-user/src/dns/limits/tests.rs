use super::*;
use crate::dns::support::name;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const RATE: u16 = 1000;

fn labels(number: usize, domain: &str) -> Name {
    name(&format!("{number:050}.{domain}"))
}

/// How many new names below the domain pass now.
fn passed(limits: &mut Limits, domain: &str, from: usize, now_ns: u64) -> usize {
    (from..).take_while(|&number| limits.name(&labels(number, domain), now_ns).is_ok()).count()
}

fn asks(limits: &mut Limits, now_ns: u64) -> bool {
    limits.query(now_ns) == Admission::Answer
}

#[test]
fn a_flood_is_not_even_refused() {
    let mut limits = Limits::new(RATE, 0);
    let of = |limits: &mut Limits, now_ns, what| {
        (0..20_000).filter(|_| limits.query(now_ns) == what).count()
    };
    assert_eq!(of(&mut limits, 0, Admission::Refuse), REFUSALS_AT_ONCE as usize);
    assert_eq!(of(&mut limits, 0, Admission::Ignore), 20_000);
    assert_eq!(of(&mut limits, SECOND, Admission::Refuse), REFUSALS_PER_SECOND as usize);
    assert_eq!(of(&mut limits, SECOND, Admission::Ignore), 20_000);
}

#[test]
fn queries_are_bounded_at_once_and_for_long() {
    let mut limits = Limits::new(RATE, 0);
    let at_once = (0..10_000).filter(|_| asks(&mut limits, 0)).count();
    assert_eq!(at_once, 2 * usize::from(RATE));
    // 10,000 queries a second for ten seconds.
    let later = (1..=100_000_u64).filter(|tick| asks(&mut limits, tick * SECOND / 10_000)).count();
    assert_eq!(later, usize::from(RATE) * 10);
    // Rest fills it, and no further than full.
    let rested = (0..10_000).filter(|_| asks(&mut limits, MINUTE * 60)).count();
    assert_eq!(rested, 2 * usize::from(RATE));
}

#[test]
fn a_clock_that_goes_back_gives_nothing() {
    let mut limits = Limits::new(RATE, MINUTE);
    while asks(&mut limits, MINUTE) {}
    assert!(!asks(&mut limits, 0));
    assert!(!asks(&mut limits, MINUTE));
    assert!(asks(&mut limits, MINUTE + SECOND));
}

#[test]
fn new_names_of_one_domain_are_bounded_by_their_bytes() {
    let mut limits = Limits::new(RATE, 0);
    let first = passed(&mut limits, "evil.com", 0, 0);
    assert_eq!(first, NAME_BYTES_AT_ONCE as usize / 50);
    assert_eq!(limits.name(&labels(first, "evil.com"), 0), Err("evil.com"));
    // Spread over labels it is the same domain.
    assert_eq!(
        limits.name(&name("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.evil.com"), 0),
        Err("evil.com")
    );
    // Another company is not affected, nor are names that are known.
    assert_eq!(passed(&mut limits, "good.com", 0, 0), first);
    assert_eq!(limits.name(&labels(0, "evil.com"), 0), Ok(()));
    assert_eq!(limits.name(&name("evil.com"), 0), Ok(()));
    // A minute later as much again.
    assert_eq!(passed(&mut limits, "evil.com", first, MINUTE), first);
}

#[test]
fn a_domain_is_what_somebody_registered() {
    for (of, domain) in [
        ("a.b.example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        // Everybody may have a name below these.
        ("a.someone.github.io", "someone.github.io"),
        ("a.allowed.test", "allowed.test"),
        ("co.uk", "co.uk"),
        ("intranet", "intranet"),
    ] {
        assert_eq!(registered(of), domain, "{of}");
    }
}

#[test]
fn names_asked_again_and_again_cost_once() {
    let mut limits = Limits::new(RATE, 0);
    for round in 0..1000 {
        for number in 0..100 {
            assert_eq!(limits.name(&labels(number, "cdn.com"), 0), Ok(()), "{round} {number}");
        }
    }
}

#[test]
fn memory_is_bounded_and_the_brake_holds_beyond_it() {
    let mut limits = Limits::new(RATE, 0);
    for number in 0..3 * KNOWN_NAMES {
        let of = name(&format!("a.domain{number}.com"));
        // Domains beyond the table share one bucket: it runs out, it never opens.
        let passes = limits.name(&of, 0).is_ok();
        assert!(passes || number >= DOMAINS, "{number}");
    }
    assert_eq!(limits.domains.len(), DOMAINS);
    assert!(limits.known.young.len() + limits.known.old.len() <= 2 * KNOWN_NAMES);
    assert!(limits.name(&labels(0, "evil.com"), 0).is_err());
    // Once the buckets are full again there is room.
    assert_eq!(limits.name(&labels(0, "evil.com"), MINUTE), Ok(()));
    assert_eq!(limits.domains.len(), 1);
}
