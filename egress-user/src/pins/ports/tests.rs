use std::sync::Arc;

use egress_common::pin::{PortList, Ports};

use super::{direct_ports, ports_of};
use crate::{
    dns::support::{grant, name},
    policy::{Policy, PortSet, Route, Rule, Settings},
};

/// The grant of a rule with these ports, `via = "kernel"`.
fn by_kernel(ports: impl IntoIterator<Item = u16>) -> Rule {
    let mut rule = Rule::clone(grant("a.test").rule());
    rule.options.ports = PortSet::only(ports.into_iter().collect());
    rule.options.via = Some(Route::Kernel);
    rule
}

fn direct(rule: Rule) -> PortList {
    direct_ports(&Arc::new(rule).into())
}

#[test]
fn more_ports_than_the_record_holds_are_every_port_to_the_kernel() {
    // One place is taken: that of port 53, which a set of none has.
    let most = u16::try_from(Ports::CAPACITY).unwrap() - 1;
    let set = |last: u16| ports_of(&PortSet::only((1001..=1000 + last).collect()));
    assert!(set(most).opens(1000 + most) && !set(most).opens(1001 + most));
    assert_eq!(set(most + 1), Ports::ALL);
    assert_eq!(ports_of(&PortSet::All), Ports::ALL);
    assert!(!ports_of(&PortSet::only(vec![])).opens(443));
}

#[test]
fn ports_of_several_lines_are_those_of_all_of_them() {
    let (one, other) = (by_kernel([22]), by_kernel([80]));
    let policy = Policy::new(Settings::default(), vec![one, other]);
    let ports = ports_of(&policy.name(&name("a.test")).unwrap().tcp_ports());
    assert!(ports.opens(22) && ports.opens(80) && !ports.opens(443));
}

#[test]
fn the_ninth_direct_port_takes_the_proxy() {
    let most = u16::try_from(PortList::CAPACITY).unwrap();
    let direct = direct(by_kernel(1001..=1001 + most));
    assert!(direct.contains(1000 + most));
    assert!(!direct.contains(1001 + most));
}

#[test]
fn ports_of_tls_are_the_first_of_the_direct_ones() {
    let most = u16::try_from(PortList::CAPACITY).unwrap();
    let direct = direct(by_kernel((1..=most).chain([443, 8443])));
    assert!(direct.contains(443) && direct.contains(8443));
}
