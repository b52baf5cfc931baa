use proptest::prelude::*;

use super::{show, show_json};
use crate::{
    config::{Assembled, Flags, assemble_layers, parse},
    policy::Rule,
};

fn one(text: &str) -> Assembled {
    let layers = vec![parse(text, "shown.toml").unwrap()];
    assemble_layers(layers, &Flags::default()).unwrap()
}

/// Everything that a policy is but where its lines stand.
fn essence(assembled: &Assembled) -> String {
    let rule = |rule: &Rule| format!("{:?} {:?} {:?}", rule.pattern, rule.action, rule.options);
    let mut rules: Vec<_> = assembled.policy.rules().map(|one| rule(one)).collect();
    rules.sort();
    let mut sockets: Vec<_> = assembled
        .policy
        .unix_rules()
        .iter()
        .map(|rule| (rule.address.to_string(), assembled.policy.unix(&rule.address).is_ok()))
        .collect();
    sockets.sort();
    sockets.dedup();
    let settings = assembled.policy.settings();
    format!("{settings:?} {:?} {:?} {rules:?} {sockets:?}", assembled.network, assembled.dns)
}

/// A line, or none.
fn maybe(line: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::option::of(line)
        .prop_map(|line| line.map_or_else(String::new, |line| format!("{line}\n")))
}

fn words(lines: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::subsequence(lines, 0..=lines.len())
        .prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
}

/// `[network]` and what is below it, with the heading's prefix.
fn network(prefix: &'static str) -> impl Strategy<Value = String> {
    let keys = words(&[
        "network_access = false",
        "mode = \"limited\"",
        "allow_local_binding = true",
        "allow_own_loopback = false",
        "allow_inbound = true",
        "allow_upstream_proxy = false",
        "enable_socks5 = false",
        "enable_socks5_udp = false",
        "proxy_url = \"http://127.0.0.1:0\"",
        "socks_url = \"socks5h://[::1]\"",
        "proxy_env = true",
        "dangerously_allow_non_loopback_proxy = true",
        "dangerously_allow_all_unix_sockets = true",
        "unix_enforcement = \"off\"",
        "ech = \"allow\"",
        "drain = \"1500ms\"",
        "presets = [\"common-dependencies\", \"all\"]",
    ]);
    let domains = words(&[
        "\"a.test\" = \"allow\"",
        "\"A.test.\" = { action = \"allow\", ports = [443, 80] }",
        "\" a.test\" = { action = \"allow\", methods = [\"GET\", \"M-SEARCH\"], paths = [\"/b\", \"/a/\"] }",
        "\"*.a.test\" = { action = \"allow\", protocol = \"any\", via = \"proxy\" }",
        "\"**.b.test\" = \"deny\"",
        "\"B\u{fc}cher.test\" = { action = \"allow\", transport = [\"udp\", \"tcp\"] }",
        "\"*\" = { action = \"allow\", ports = [1] }",
        "\"10.0.0.1\" = \"allow\"",
        "\"localhost\" = \"allow\"",
    ]);
    let addresses = words(&[
        "\"::ffff:10.0.0.1\" = \"deny\"",
        "\"10.0.0.0/8\" = { action = \"allow\", transport = [\"tcp\"], via = \"kernel\" }",
        "\"2606::/16\" = \"allow\"",
        "\"::1\" = \"allow\"",
    ]);
    let sockets = words(&[
        "\"/run/egress-a b\\\\\\\"\" = \"allow\"",
        "\"@n\\u0001ame\" = \"deny\"",
        "\"@name\" = \"allow\"",
    ]);
    let dns = words(&[
        "servers = [\"tls://9.9.9.9#dns.quad9.net\", \"https://[2620:fe::9]/q\", \"system\", \"9.9.9.9:5353\"]",
        "forward = { \"corp.example\" = [\"10.0.0.53\"], \"x.corp.example\" = [\"system\"] }",
        "timeout = \"1500ms\"",
        "min_ttl = \"1m\"",
        "max_ttl = \"2m\"",
        "record_types = [\"TXT\", \"TYPE257\"]",
        "refusal = \"refused\"",
        "dnssec = true",
    ]);
    let upstream = words(&[
        "url = \"socks5h://proxy.test:1080\"",
        "no_proxy = [\".a.test\", \"10.0.0.0/8\"]",
        "resolve = \"proxy\"",
    ]);
    (keys, domains, addresses, sockets, dns, upstream).prop_map(move |parts| {
        let (keys, domains, addresses, sockets, dns, upstream) = parts;
        format!(
            "[{prefix}network]\n{keys}[{prefix}network.domains]\n{domains}[{prefix}network.addresses]\n\
             {addresses}[{prefix}network.unix_sockets]\n{sockets}[{prefix}network.dns]\n{dns}\
             [{prefix}network.upstream]\n{upstream}"
        )
    })
}

proptest! {
    #[test]
    fn what_is_shown_is_the_same_policy(
        managed in network(""),
        user in network(""),
        extends in maybe(Just("extends = \"default\"".to_owned())),
        profile in network("profiles.ci."),
        asked in any::<bool>(),
    ) {
        let user = format!("{user}[profiles.ci]\n{extends}{profile}");
        let layers = vec![parse(&managed, "m.toml").unwrap(), parse(&user, "u.toml").unwrap()];
        let flags = Flags {
            allow: vec!["a.test:8080".into()],
            deny: vec!["c.test".into()],
            profile: asked.then(|| "ci".into()), ..Flags::default() };
        let assembled = assemble_layers(layers, &flags).unwrap();
        let (plain, with_origins) = (show(&assembled, false), show(&assembled, true));
        for shown in [&plain, &with_origins] {
            let again = one(shown);
            prop_assert_eq!(essence(&again), essence(&assembled));
            prop_assert_eq!(show(&again, false), plain.clone());
        }
    }
}

#[test]
fn json_has_every_line_with_its_origin() {
    let text = "[network.domains]\n\"a.test\" = { action = \"allow\", ports = [443] }\n\
        [profiles.ci]\nextends = \"default\"\n[profiles.ci.network]\nmode = \"limited\"\n";
    let layers = vec![parse(text, "p.toml").unwrap()];
    let flags = Flags { profile: Some("ci".into()), ..Flags::default() };
    let shown = show_json(&assemble_layers(layers, &flags).unwrap());
    let of = |key: &str| {
        let lines = shown["lines"].as_array().unwrap();
        lines.iter().find(|line| line["key"] == key).unwrap().clone()
    };
    let rule = of("a.test");
    assert_eq!((&rule["table"], &rule["origin"]["line"]), (&"network.domains".into(), &2.into()));
    assert_eq!(rule["value"], serde_json::json!({ "action": "allow", "ports": [443] }));
    let mode = of("mode");
    assert_eq!((&mode["value"], &mode["origin"]["profile"]), (&"limited".into(), &"ci".into()));
    assert_eq!(of("ech")["origin"], serde_json::Value::Null);
}
