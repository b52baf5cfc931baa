use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::policy::{
    Action, Origin, OwnAddresses, Pattern, PortSet, Rule, RuleOptions, Settings, is_public,
};
use egress_common::Reason;

fn rule(block: IpNet, action: Action) -> Rule {
    Rule {
        text: block.to_string(),
        pattern: Pattern::block(block),
        action,
        options: RuleOptions::default(),
        origin: Origin::new("test.toml", None),
    }
}

fn policy(allow_local_binding: bool, rules: Vec<Rule>) -> Policy {
    Policy::new(Settings { allow_local_binding, ..Settings::default() }, rules)
}

fn key(block: IpNet) -> Ipv6Net {
    match block {
        IpNet::V4(v4) => Ipv6Net::new(v4.addr().to_ipv6_mapped(), v4.prefix_len() + 96).unwrap(),
        IpNet::V6(v6) => v6,
    }
}

/// What the kernel does with the entries.
fn longest_match(rules: &[AddressEntry], address: IpAddr) -> Option<AddressAction> {
    longest_entry(rules, address).map(|rule| rule.action)
}

fn longest_entry(rules: &[AddressEntry], address: IpAddr) -> Option<&AddressEntry> {
    let address = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    rules
        .iter()
        .filter(|rule| key(rule.block).contains(&address))
        .max_by_key(|rule| key(rule.block).prefix_len())
}

fn expected(policy: &Policy, address: IpAddr) -> Option<AddressAction> {
    match policy.address(address) {
        Ok(_) => Some(AddressAction::Allow),
        Err(refusal) => match refusal.reason {
            Reason::Denied => Some(AddressAction::Deny),
            Reason::NotAllowedLocal => Some(AddressAction::Local),
            Reason::NotAllowed => None,
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn an_empty_policy_closes_what_is_local_and_nothing_else() {
    let rules = policy(false, Vec::new()).address_entries();
    for text in ["127.0.0.1", "::1", "64:ff9b::10.0.0.1", "2001:db8::1", "ff02::1", "::8.8.8.8"] {
        assert_eq!(
            longest_match(&rules, text.parse().unwrap()),
            Some(AddressAction::Local),
            "{text}"
        );
    }
    for text in ["8.8.8.8", "2606:4700::1", "64:ff9b::8.8.8.8", "2001:1::2"] {
        assert_eq!(longest_match(&rules, text.parse().unwrap()), None, "{text}");
    }
    assert_eq!(policy(true, Vec::new()).address_entries(), []);
    // The kernel's map is shared by sandboxes: each brings about this many entries.
    assert!(rules.len() < 500, "{}", rules.len());
}

#[test]
fn a_rule_for_all_of_ipv6_leaves_ipv4_alone() {
    let rules = policy(false, vec![rule("::/0".parse().unwrap(), Action::Allow)]).address_entries();
    let ask = |text: &str| longest_match(&rules, text.parse().unwrap());
    assert_eq!(ask("::1"), Some(AddressAction::Allow));
    assert_eq!(ask("8.8.8.8"), None);
    assert_eq!(ask("10.0.0.1"), Some(AddressAction::Local));
}

#[test]
fn parts_around_ipv4_open_the_ports_of_the_longest_rule() {
    let with_port = |block: &str, port: u16| {
        let mut rule = rule(block.parse().unwrap(), Action::Allow);
        rule.options.ports = PortSet::only(vec![port]);
        rule
    };
    // Each order of an unordered map has to come out the same.
    for _ in 0..8 {
        let rules = [("::/0", 22), ("::/4", 80), ("::/64", 443)];
        let rules = rules.map(|(block, port)| with_port(block, port)).to_vec();
        let rules = policy(true, rules).address_entries();
        for (text, port) in [("::1:0:0:1", 443), ("::1:0:0:0:1", 80), ("2001:db8::1", 22)] {
            let address = text.parse().unwrap();
            let entry = longest_entry(&rules, address).unwrap();
            assert_eq!(entry.ports, PortSet::only(vec![port]), "{text}");
        }
    }
}

/// Blocks and addresses where forms and edges meet, so that the random ones overlap often.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = prop::sample::select(vec![
        Ipv4Addr::new(8, 8, 8, 8),
        Ipv4Addr::new(10, 0, 0, 1),
        Ipv4Addr::new(127, 0, 0, 1),
        Ipv4Addr::new(0, 0, 0, 1),
        Ipv4Addr::new(168, 63, 129, 16),
    ]);
    let v4 = (v4, any::<u32>(), 0..32_u32)
        .prop_map(|(base, noise, keep)| Ipv4Addr::from_bits(base.to_bits() ^ (noise >> keep)));
    let heads: Vec<Ipv6Addr> =
        ["::", "64:ff9b::", "::ffff:0:0:0", "::ffff:0:0", "2001::", "2606::"]
            .map(|text| text.parse().unwrap())
            .to_vec();
    let v6 = (prop::sample::select(heads), v4.clone(), any::<u128>(), 0..128_u32);
    let v6 = v6.prop_map(|(head, low, noise, keep)| {
        Ipv6Addr::from_bits((head.to_bits() | u128::from(low.to_bits())) ^ (noise >> keep))
    });
    prop_oneof![v4.prop_map(IpAddr::V4), v6.prop_map(|v6| IpAddr::V6(v6).to_canonical())]
}

fn block() -> impl Strategy<Value = IpNet> {
    (address(), 0..=128_u8).prop_map(|(address, length)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length.min(most)).unwrap().trunc()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_longest_match_is_the_answer_of_the_policy(
        blocks in prop::collection::vec((block(), any::<bool>()), 0..6),
        asked in prop::collection::vec(address(), 20),
        local in any::<bool>(),
        own in prop::collection::vec(block(), 0..4),
    ) {
        let action = |allow| if allow { Action::Allow } else { Action::Deny };
        let rules = blocks.iter().map(|&(block, allow)| rule(block, action(allow))).collect();
        let policy = policy(local, rules);
        let given = own.iter().map(|&block| (block, "eth0".into()));
        policy.set_own_addresses(OwnAddresses::new(given));
        let compiled = policy.address_entries();
        // Edges of the blocks too: off by one shows there.
        let all = blocks.iter().map(|(block, _)| block).chain(&own);
        let edges = all.flat_map(|block| [block.network(), block.broadcast()]);
        for address in asked.into_iter().chain(edges).map(|address| address.to_canonical()) {
            prop_assert_eq!(
                longest_match(&compiled, address), expected(&policy, address), "{}", address
            );
        }
        for entry in &compiled {
            let first = entry.block.network().to_canonical();
            prop_assert_eq!(longest_match(&compiled, first), expected(&policy, first), "{}", first);
        }
    }

    #[test]
    fn without_rules_local_is_what_is_not_public(address in address()) {
        let rules = policy(false, Vec::new()).address_entries();
        prop_assert_eq!(longest_match(&rules, address).is_none(), is_public(address));
    }
}
