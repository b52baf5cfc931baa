use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{
    Name,
    rdata::{
        A, AAAA, MX, TXT,
        svcb::{Alpn, EchConfigList, IpHint, Mandatory, Unknown},
    },
};

use super::*;
use crate::dns::support::policy;

fn binding(priority: u16, target: &str, mandatory: &[SvcParamKey]) -> SVCB {
    let target = Name::from_ascii(target).unwrap();
    let mut params = vec![
        (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["h2".into(), "h3".into()]))),
        (SvcParamKey::Port, SvcParamValue::Port(8443)),
        (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(vec![A(Ipv4Addr::LOCALHOST)]))),
        (SvcParamKey::EchConfigList, SvcParamValue::EchConfigList(EchConfigList(vec![0, 1, 2]))),
        (SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(vec![AAAA(Ipv6Addr::LOCALHOST)]))),
        (SvcParamKey::Unknown(9), SvcParamValue::Unknown(Unknown(vec![1]))),
    ];
    if !mandatory.is_empty() {
        let keys = SvcParamValue::Mandatory(Mandatory(mandatory.to_vec()));
        params.insert(0, (SvcParamKey::Mandatory, keys));
    }
    SVCB::new(priority, target, params)
}

fn keys(binding: &SVCB) -> Vec<u16> {
    binding.svc_params.iter().map(|(key, _)| (*key).into()).collect()
}

fn led_by(rules: &[&str], allow_ech: bool, binding: SVCB) -> Option<SVCB> {
    let owner = Name::from_ascii("example.org.").unwrap();
    let data = |of: &SVCB| [RData::HTTPS(HTTPS(of.clone())), RData::SVCB(of.clone())];
    let of_each = data(&binding).map(|data| {
        let asked = data.record_type();
        let records = vec![Record::from_rdata(owner.clone(), 60, data)];
        passed(&policy(rules), allow_ech, asked, records)
    });
    let [https, svcb] = of_each.map(|mut left| left.pop());
    match (https, svcb) {
        (Some(RData::HTTPS(https)), Some(RData::SVCB(svcb))) => {
            assert_eq!(https.0, svcb);
            Some(svcb)
        }
        (None, None) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hints_and_ech_are_taken_out_and_the_rest_stays() {
    let led = led_by(&["allow example.org"], false, binding(1, ".", &[])).unwrap();
    assert_eq!(keys(&led), [1, 3, 9]);
    let led = led_by(&["allow example.org"], true, binding(1, ".", &[])).unwrap();
    assert_eq!(keys(&led), [1, 3, 5, 9], "hints are never answered");
}

#[test]
fn a_record_that_needs_what_is_taken_out_is_dropped() {
    for (key, with_ech, without) in [
        (SvcParamKey::Ipv4Hint, false, false),
        (SvcParamKey::Ipv6Hint, false, false),
        (SvcParamKey::EchConfigList, true, false),
        (SvcParamKey::Alpn, true, true),
    ] {
        let asked = || binding(1, ".", &[SvcParamKey::Port, key]);
        assert_eq!(led_by(&["allow example.org"], true, asked()).is_some(), with_ech, "{key}");
        assert_eq!(led_by(&["allow example.org"], false, asked()).is_some(), without, "{key}");
    }
    let led = led_by(&["allow *"], false, binding(1, ".", &[SvcParamKey::Alpn])).unwrap();
    assert_eq!(keys(&led), [0, 1, 3, 9]);
}

#[test]
fn a_target_must_be_allowed() {
    let rules = &["allow example.org", "allow svc.example.net", "deny evil.example.net"];
    for (target, stays) in [
        (".", true),
        ("svc.example.net.", true),
        ("SVC.example.net.", true),
        ("other.example.net.", false),
        ("evil.example.net.", false),
        ("2130706433.", false),
    ] {
        for priority in [0, 1] {
            let led = led_by(rules, true, binding(priority, target, &[]));
            assert_eq!(led.is_some(), stays, "{target} {priority}");
        }
    }
}

#[test]
fn an_alias_has_no_parameters() {
    let asked = binding(0, "svc.example.net.", &[SvcParamKey::Ipv4Hint]);
    let led = led_by(&["allow svc.example.net"], false, asked).unwrap();
    assert!(keys(&led).is_empty());
}

#[test]
fn other_data_passes_as_it_is_and_only_of_the_asked_type() {
    let owner = Name::from_ascii("example.org.").unwrap();
    let record = |data| Record::from_rdata(owner.clone(), 60, data);
    let mx = RData::MX(MX::new(10, Name::from_ascii("mail.elsewhere.net.").unwrap()));
    let records = vec![
        record(mx.clone()),
        record(RData::TXT(TXT::new(vec!["word".into()]))),
        record(RData::A(A(Ipv4Addr::LOCALHOST))),
    ];
    let left = passed(&policy(&["allow example.org"]), false, RecordType::MX, records);
    assert_eq!(left, [mx]);
}
