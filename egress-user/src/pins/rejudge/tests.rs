use std::{collections::HashMap, sync::Arc};

use super::*;
use crate::dns::support::{Diary, address, grant, name};

const LATER_NS: u64 = 1_000_000_000_000;

fn pinned(diary: &Arc<Diary>, pins: &[(&str, &str)]) -> Pins {
    let table = Pins::new(diary.clone());
    for (host, at) in pins {
        let wanted = [(address(at), LATER_NS)];
        table.pin(&name(host), &grant(host), &wanted, 1).unwrap();
    }
    table
}

#[test]
fn a_name_that_is_refused_now_loses_its_pins_and_no_other_does() {
    let diary = Arc::<Diary>::default();
    let pins = [("kept.test", "192.0.2.1"), ("gone.test", "192.0.2.2"), ("gone.test", "192.0.2.1")];
    let table = pinned(&diary, &pins);
    let kept = |host: &Name, _: &[IpAddr]| (*host == name("kept.test")).then(|| grant("kept.test"));
    table.rejudge(kept, 2);
    assert_eq!(diary.open(), HashMap::from([(address("192.0.2.1"), LATER_NS)]));
    let names: Vec<_> = table.list(2).into_iter().map(|pin| pin.name).collect();
    assert_eq!(names, [name("kept.test")]);
    assert_eq!(table.expiry_of(&name("gone.test"), address("192.0.2.2")), None);
}

#[test]
fn what_lives_under_a_refused_pin_does_not_keep_it() {
    let diary = Arc::<Diary>::default();
    let table = pinned(&diary, &[("gone.test", "192.0.2.2")]);
    assert!(table.hold(address("192.0.2.2"), 2));
    table.rejudge(|_, _| None, 2);
    assert!(diary.open().is_empty() && table.list(2).is_empty());
    // Its connection ends later, and takes nothing with it.
    table.release(address("192.0.2.2"), 3);
    assert!(table.names_of(address("192.0.2.2"), 3).is_empty());
}

#[test]
fn a_name_is_asked_for_with_all_of_its_addresses() {
    let diary = Arc::<Diary>::default();
    let table = pinned(&diary, &[("two.test", "192.0.2.1"), ("two.test", "192.0.2.2")]);
    let both = |_: &Name, addresses: &[IpAddr]| (addresses.len() == 2).then(|| grant("two.test"));
    table.rejudge(both, 2);
    assert_eq!(table.list(2).len(), 2);
}

#[test]
fn a_right_that_has_not_changed_writes_nothing() {
    let diary = Arc::<Diary>::default();
    let table = pinned(&diary, &[("same.test", "192.0.2.1")]);
    let before = diary.entries().len();
    table.rejudge(|_, _| Some(grant("same.test")), 2);
    assert_eq!(diary.entries().len(), before);
}
