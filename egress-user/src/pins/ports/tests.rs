use std::sync::Arc;

use egress_common::pin::{PortList, Ports};

use super::{direct_ports, list_without, ports_of, set_of};
use crate::{
    dns::support::{grant, name},
    policy::{OPAQUE_PORTS, Policy, PortSet, Route, Rule, Settings, TLS_PORTS},
};

/// The grant of a rule with these ports, `via = "kernel"`.
fn by_kernel(ports: impl IntoIterator<Item = u16>) -> Rule {
    let mut rule = Rule::clone(grant("a.test").rule());
    rule.options.ports = PortSet::only(ports);
    rule.options.via = Some(Route::Kernel);
    rule
}

fn direct(rule: Rule) -> PortList {
    direct_ports(&Arc::new(rule).into())
}

/// Ports with a gap behind each.
fn apart(count: usize) -> impl Iterator<Item = u16> {
    (0..count).map(|at| 1001 + 2 * u16::try_from(at).unwrap())
}

#[test]
fn the_record_opens_what_the_set_does_and_every_port_where_it_has_no_room() {
    let most = ports_of(&PortSet::only(apart(Ports::CAPACITY)));
    for port in 0..=u16::MAX {
        assert_eq!(most.contains(port), apart(Ports::CAPACITY).any(|one| one == port), "{port}");
    }
    assert_eq!(ports_of(&PortSet::only(apart(Ports::CAPACITY + 1))), Ports::ALL);
    assert_eq!(ports_of(&PortSet::All), Ports::ALL);
    assert!(Ports::ALL.contains(1) && Ports::ALL.contains(u16::MAX) && !Ports::ALL.contains(0));
    assert!(!ports_of(&PortSet::only([])).contains(443));
    assert_eq!(set_of(&direct(by_kernel([443]))), PortSet::only([443]));
}

#[test]
fn ports_of_several_lines_are_those_of_all_of_them() {
    let (one, other) = (by_kernel([22]), by_kernel([80]));
    let policy = Policy::new(Settings::default(), vec![one, other]);
    let ports = ports_of(&policy.name(&name("a.test")).unwrap().tcp_ports());
    assert!(ports.contains(22) && ports.contains(80) && !ports.contains(443));
}

#[test]
fn a_direct_range_more_than_fits_takes_the_proxy() {
    let direct = direct(by_kernel(apart(PortList::CAPACITY + 1)));
    let last = 1001 + 2 * u16::try_from(PortList::CAPACITY).unwrap();
    assert!(direct.contains(last - 2));
    assert!(!direct.contains(last));
}

#[test]
fn ports_of_tls_are_the_first_of_the_direct_ones() {
    let direct = direct(by_kernel(apart(PortList::CAPACITY).chain([443, 8443])));
    assert!(direct.contains(443) && direct.contains(8443));
}

#[test]
fn a_direct_range_leaves_the_ports_of_plain_http_out() {
    let direct = set_of(&direct(by_kernel(70..=8100)));
    assert_eq!(direct.to_string(), "70-79, 81-8079, 8081-8100");
}

#[test]
fn what_a_rule_of_the_address_opens_is_taken_from_a_list() {
    let direct = direct(by_kernel((443..=460).chain([8443])));
    let left = list_without(&direct, &PortSet::only((445..=450).chain([8443])));
    assert_eq!(set_of(&left).to_string(), "443, 444, 451-460");
}

#[test]
fn the_ports_where_http_is_not_expected_fit_beside_those_of_tls() {
    let mut rule = by_kernel([]);
    rule.options.ports = PortSet::All;
    rule.options.via = None;
    let all =
        PortSet::only(OPAQUE_PORTS.map(|opaque| opaque.port)).union(&PortSet::only(TLS_PORTS));
    assert_eq!(set_of(&direct(rule)), all);
    // A rule may list as many more.
    assert!(all.ranges().len() + 16 <= PortList::CAPACITY);
}
