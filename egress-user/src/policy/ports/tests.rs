use proptest::prelude::*;

use super::{HTTP_PORTS, PortRange, PortSet, TLS_PORTS, WEB_PORTS};

fn range(text: &str) -> PortRange {
    PortRange::parse(text).unwrap()
}

fn set(texts: &[&str]) -> PortSet {
    PortSet::of(texts.iter().copied().map(range))
}

#[test]
fn a_union_has_the_ports_of_both_each_once() {
    assert_eq!(set(&["443", "22"]).union(&set(&["22", "80"])), set(&["22", "80", "443"]));
    assert_eq!(set(&[]).union(&set(&["22"])), set(&["22"]));
    assert_eq!(set(&["22"]).union(&PortSet::All), PortSet::All);
    assert_eq!(PortSet::All.union(&set(&["22"])), PortSet::All);
    assert_eq!(set(&["1-999"]).union(&set(&["1000-65535"])), PortSet::All);
}

#[test]
fn web_ports_are_those_of_tls_and_http() {
    assert!(WEB_PORTS.is_sorted());
    for port in TLS_PORTS.into_iter().chain(HTTP_PORTS) {
        assert!(WEB_PORTS.contains(&port), "{port}");
    }
}

#[test]
fn ranges_are_read_as_people_write_them_and_nothing_else_is() {
    assert_eq!(range("30000-31000"), PortRange::new(30000, 31000).unwrap());
    assert_eq!(range("443"), PortRange::one(443).unwrap());
    let wrong = [
        "",
        "-",
        "0",
        "0-5",
        "5-0",
        "31000-30000",
        "1-65536",
        "65536",
        "1-2-3",
        "1--2",
        "+1",
        "1-",
        "-1",
        " 1",
        "1 -2",
        "a-b",
        "1:2",
    ];
    for text in wrong {
        assert_eq!(PortRange::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_set_is_written_in_the_fewest_entries() {
    let text = |texts: &[&str]| set(texts).to_string();
    assert_eq!(text(&["8000-8001", "22"]), "22, 8000, 8001");
    assert_eq!(text(&["8000", "8001", "8002"]), "8000-8002");
    assert_eq!(text(&["10-20", "15-30", "31"]), "10-31");
    assert_eq!(PortSet::All.to_string(), "1-65535");
    assert_eq!(text(&[]), "");
}

fn ranges() -> impl Strategy<Value = Vec<PortRange>> {
    // Near each other, and near both ends.
    let base = prop::sample::select(vec![0_u16, 1, 60, 440, 30_000, 65_500]);
    let one = (base, 0..40_u16, 0..30_u16).prop_filter_map("port 0", |(base, from, more)| {
        PortRange::new(base.saturating_add(from), base.saturating_add(from).saturating_add(more))
    });
    prop::collection::vec(one, 0..12)
}

proptest! {
    #[test]
    fn a_set_has_the_ports_of_its_ranges_and_no_others(one in ranges(), two in ranges()) {
        let (a, b) = (PortSet::of(one.clone()), PortSet::of(two.clone()));
        let (either, both, left) = (a.clone().union(&b), a.and(&b), a.without(&b));
        let has = |list: &[PortRange], port| list.iter().any(|range| range.contains(port));
        for port in 0..=u16::MAX {
            let (in_a, in_b) = (has(&one, port), has(&two, port));
            prop_assert_eq!(a.contains(port), in_a);
            prop_assert_eq!(either.contains(port), in_a || in_b);
            prop_assert_eq!(both.contains(port), in_a && in_b);
            prop_assert_eq!(left.contains(port), in_a && !in_b);
        }
        prop_assert_eq!(a.covers(&b), b.without(&a).is_empty());
        prop_assert_eq!(PortSet::of(a.entries()), a.clone());
        let parts = a.parts([&b]);
        prop_assert_eq!(PortSet::of(parts.iter().copied()), a);
        for part in parts {
            let inside = b.contains(part.first());
            prop_assert!((part.first()..=part.last()).all(|port| b.contains(port) == inside));
        }
    }
}
