//! Random policies and targets of few parts, so that patterns, addresses and answers meet often.
use proptest::prelude::*;

use super::bodies::{
    decision,
    scenario::{
        AddressDraft, NameDraft, PatternDraft, PayloadDraft, RuleDraft, Scenario, TargetDraft,
    },
};

fn name() -> impl Strategy<Value = NameDraft> {
    // `localhost` is one name of many, and the one with rules of its own.
    prop_oneof![9 => any::<u8>(), 1 => Just(u8::MAX)].prop_map(NameDraft)
}

fn address() -> impl Strategy<Value = AddressDraft> {
    (any::<u8>(), any::<u128>(), any::<u8>()).prop_map(|(base, noise, keep)| AddressDraft {
        base,
        noise,
        keep,
    })
}

fn pattern() -> impl Strategy<Value = PatternDraft> {
    prop_oneof![
        3 => name().prop_map(PatternDraft::Exact),
        3 => name().prop_map(PatternDraft::Below),
        3 => name().prop_map(PatternDraft::AtOrBelow),
        1 => Just(PatternDraft::Any),
        2 => address().prop_map(PatternDraft::Address),
        4 => (address(), any::<u8>()).prop_map(|(base, length)| PatternDraft::Block(base, length)),
    ]
}

fn rule() -> impl Strategy<Value = RuleDraft> {
    let ports = prop_oneof![Just(0), any::<u8>()];
    let methods = prop_oneof![3 => Just(0), 1 => any::<u8>()];
    let options = (ports, 0..4_u8, methods, 0..20_u8);
    (prop::bool::weighted(0.3), pattern(), options).prop_map(
        |(deny, pattern, (ports, transports, methods, path))| RuleDraft {
            deny,
            pattern,
            ports,
            transports,
            methods,
            path,
        },
    )
}

fn target() -> impl Strategy<Value = TargetDraft> {
    let host = prop_oneof![name().prop_map(Ok), address().prop_map(Err)];
    let payload = prop_oneof![
        Just(PayloadDraft::Unknown),
        Just(PayloadDraft::Tls),
        any::<(u8, u8)>().prop_map(|(method, path)| PayloadDraft::Http(method, path)),
        Just(PayloadDraft::Opaque),
    ];
    let chain = prop::option::weighted(0.2, name());
    let addresses = [address(), address()].map(|address| prop::option::weighted(0.8, address));
    (host, any::<u8>(), prop::bool::weighted(0.2), payload, chain, addresses).prop_map(
        |(host, port, udp, payload, chain, addresses)| TargetDraft {
            host,
            port,
            udp,
            payload,
            chain,
            addresses,
        },
    )
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let rules = prop::collection::vec(rule(), 0..8);
    let targets = prop::collection::vec(target(), 1..12);
    let settings = (prop::bool::weighted(0.3), prop::bool::weighted(0.2));
    (rules, rule(), settings, targets).prop_map(|(rules, added, (local, limited), targets)| {
        Scenario { rules, added, local, limited, targets }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_engine_decides_as_a_slow_matcher(scenario in scenario()) {
        decision::agrees_with_reference(&scenario);
    }

    #[test]
    fn the_order_of_rules_is_nothing(scenario in scenario()) {
        decision::order_is_nothing(&scenario);
    }

    #[test]
    fn a_deny_never_allows_and_an_allow_never_overrides_a_deny(scenario in scenario()) {
        decision::one_more_rule(&scenario);
    }

    #[test]
    fn the_kernels_map_answers_as_the_engine(scenario in scenario()) {
        decision::agrees_with_kernel(&scenario);
    }
}
