use std::time::Duration;

use super::*;
use crate::{
    config::{Assembled, Flags, KEYS, UpstreamUrl, assemble_layers, parse, values::Value},
    policy::{Layer, Mode, Name},
};

fn set(flags: &[&str]) -> Flags {
    let set = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Flags { set, ..Flags::default() }
}

fn with(file: &str, flags: &[&str]) -> Result<Assembled, String> {
    let layers = vec![parse(file, "p.toml").unwrap()];
    assemble_layers(layers, &set(flags)).map_err(|errors| errors.to_string())
}

/// What is written to a key.
fn written(network: &NetworkWritten, table: Table, key: &str) -> Written<Value> {
    network.values.find(table, key).unwrap().clone()
}

fn user(file: &str, flags: &[&str]) -> Loaded {
    let mut layers = vec![parse(file, "p.toml").unwrap()];
    apply(KEYS, &mut layers, &set(flags)).unwrap();
    layers.remove(0)
}

#[test]
fn a_value_is_toml_or_else_a_text() {
    for flag in ["network.mode=limited", "network.mode = \"limited\"", "network.mode='limited'"] {
        let mode = user("[network]\nmode = \"full\"", &[flag]).network;
        let mode = written(&mode, Table::Network, "mode");
        assert_eq!(mode.value, Value::Word("limited"), "{flag}");
        assert_eq!(mode.origin.to_string(), "--set network.mode");
    }
    let loaded = user(
        "[network.dns]\ntimeout = \"1s\"\n",
        &[
            "network.dns.timeout=5s",
            "network.dns.servers=[\"9.9.9.9\"]",
            "network.allow_inbound=true",
            "network.upstream.url=http://u:a=b@proxy.test:1",
        ],
    );
    let value = |table, key| written(&loaded.network, table, key).value;
    assert_eq!(value(Table::Dns, "timeout"), Value::Time(Duration::from_secs(5)));
    assert_eq!(value(Table::Dns, "servers").into_list().len(), 1);
    assert_eq!(value(Table::Network, "allow_inbound"), Value::Boolean(true));
    let url = UpstreamUrl { text: "http://u:a=b@proxy.test:1".to_owned() };
    assert_eq!(value(Table::Upstream, "url"), Value::Upstream(url));
}

#[test]
fn the_same_key_is_replaced_and_others_stay() {
    let file = "[network.domains]\n\"a.com\" = \"deny\"\n\"**.b.com\" = \"deny\"\n\
                [network.unix_sockets]\n\"/a\" = \"allow\"\n\
                [network.dns]\nforward = { \"x.test\" = [\"10.0.0.1\"], \"y.test\" = [\"10.0.0.1\"] }\n\
                [profiles.ci]\nextends = \"default\"\n[profiles.ci.network]\nmode = \"full\"\n";
    let flags = [
        "network.domains.\"a.com\"=allow",
        "network.domains.\"www.b.com\"=\"allow\"",
        "network.domains.'c=d.com'=deny",
        "network.unix_sockets.\"/a\"=deny",
        "network.dns.forward.\"x.test\"=[\"10.0.0.2\"]",
        "profiles.ci.network.mode=limited",
        "profiles.new.extends=ci",
    ];
    // `=` in quotes is of the key, which is no name.
    let error = with(file, &flags).unwrap_err();
    assert!(error.starts_with("--set network.domains.'c=d.com': \"c=d.com\""), "{error}");
    let flags: Vec<_> = flags.into_iter().filter(|flag| !flag.contains('\'')).collect();
    let loaded = user(file, &flags);
    let rules = loaded.network.rules.iter();
    let rules: Vec<_> = rules.map(|rule| format!("{} {rule}", rule.action.as_str())).collect();
    assert_eq!(
        rules,
        [
            "deny **.b.com (p.toml:3)",
            "allow a.com (--set network.domains.\"a.com\")",
            "allow www.b.com (--set network.domains.\"www.b.com\")",
        ]
    );
    assert_eq!(loaded.network.unix_rules.len(), 1);
    let forward = written(&loaded.network, Table::Dns, "forward").value;
    let Value::Forward(forward) = forward else { panic!("{forward:?}") };
    let domains: Vec<_> = forward.iter().map(|forward| forward.domain.to_string()).collect();
    assert_eq!(domains, ["y.test", "x.test"]);
    assert_eq!(loaded.profiles.len(), 2);
    let ci = &loaded.profiles[0];
    assert!(ci.extends.is_some());
    assert_eq!(written(&ci.network, Table::Network, "mode").value, Value::Word("limited"));

    let policy = with(file, &flags).unwrap().policy;
    assert!(policy.name(&Name::parse("a.com").unwrap()).is_ok());
    assert!(policy.name(&Name::parse("www.b.com").unwrap()).is_err());
}

#[test]
fn a_deny_of_a_higher_layer_stays() {
    let managed = parse("[network.domains]\n\"a.com\" = \"deny\"", "m.toml").unwrap();
    let flags = set(&["network.domains.\"a.com\"=allow"]);
    let policy = assemble_layers(vec![managed, Loaded::default()], &flags).unwrap().policy;
    let refusal = policy.name(&Name::parse("a.com").unwrap()).unwrap_err();
    assert_eq!(refusal.rule.unwrap().origin.layer, Layer::Managed);
}

#[test]
fn a_later_flag_wins_and_no_file_is_needed() {
    let flags = ["network.mode=limited", "network.mode=full"];
    let network = user("", &flags).network;
    assert_eq!(written(&network, Table::Network, "mode").value, Value::Word("full"));
    let mut none = Vec::new();
    apply(KEYS, &mut none, &set(&["network.domains.\"a.com\"=allow"])).unwrap();
    assert_eq!(none.len(), 1);
    // The administrator's file is not the user's.
    let mut managed = parse("[network]\nmode = \"full\"", "m.toml").unwrap();
    managed.layer = Layer::Managed;
    let mut layers = vec![managed];
    apply(KEYS, &mut layers, &set(&flags)).unwrap();
    assert_eq!(layers.len(), 2);
    let mode = written(&layers[0].network, Table::Network, "mode");
    assert_eq!(mode.origin.to_string(), "m.toml:2");
}

#[test]
fn under_a_profile_its_own_keys_are_set() {
    let file = "[profiles.ci.network]\nmode = \"full\"";
    let of_ci = |flag: &str| {
        let flags = Flags { profile: Some("ci".into()), ..set(&[flag]) };
        assemble_layers(vec![parse(file, "p.toml").unwrap()], &flags)
    };
    assert_eq!(
        of_ci("network.mode=limited").unwrap_err().to_string(),
        "--set network.mode: this is a key of [network], and the profile ci is in force; write --set \
         'profiles.ci.network.mode=...'"
    );
    let settings = of_ci("profiles.ci.network.mode=limited").unwrap().policy.settings().clone();
    assert_eq!(settings.mode, Mode::Limited);
}

#[test]
fn mistakes_name_the_key_and_what_to_write() {
    for (flag, expected) in [
        (
            "network.mode=Limited",
            "--set network.mode: mode cannot be \"Limited\"; write \"full\" or \"limited\"",
        ),
        ("network.mod=full", "--set network.mod: \"mod\" is no key of [network]; write mode"),
        (
            "network.mode",
            "--set: this is not KEY=VALUE; write --set network.mode=limited, for instance",
        ),
        ("=full", "--set: this is no key; write --set network.mode=limited, for instance"),
        (
            "network.domains.a.com=allow",
            "--set network.domains.a.com: a key with dots needs quotes: a.com; quote it for egress \
             and for the shell: --set 'network.domains.\"a.com\"=allow'",
        ),
        (
            "network.domains.*.a.com=allow",
            "--set network.domains.*.a.com: this is no key; quote it for egress and for the shell: \
             --set 'network.domains.\"*.a.com\"=allow'",
        ),
        (
            "network.addresses.10.0.0.0/8=allow",
            "--set network.addresses.10.0.0.0/8: this is no key; quote it for egress and for the \
             shell: --set 'network.addresses.\"10.0.0.0/8\"=allow'",
        ),
        (
            "network.domains.\"a.com\".ports=[22]",
            "--set network.domains.\"a.com\".ports: a rule is set as a whole; write --set \
             'network.domains.\"a.com\"={ action = \"allow\", ports = [22] }'",
        ),
        (
            "network.domains={}",
            "--set network.domains: domains is a whole table, and --set takes one key; write --set \
             'network.domains.\"example.com\"=\"allow\"', for instance",
        ),
        (
            "network={mode=\"full\"}",
            "--set network: network is a whole table, and --set takes one key; write --set \
             'network.mode=limited', for instance",
        ),
        (
            "attach=[]",
            "--set attach: attach is a list of tables, and --set takes one key; write [[attach]] \
             in a file",
        ),
        (
            "network.presets=[all]",
            "--set network.presets: the value is no TOML: string values must be quoted, expected \
             literal string; quote the whole for the shell: --set \
             'network.presets=[\"common-dependencies\"]'",
        ),
        ("network.dns.timeout=5", "--set network.dns.timeout: 5 is not a time; write \"5s\""),
        (
            "network.mode=full\nx=1",
            "--set network.mode: there is a control character in it; write one line",
        ),
    ] {
        assert_eq!(with("", &[flag]).unwrap_err(), expected, "{flag}");
    }
}

#[test]
fn every_wrong_flag_is_reported_and_no_password() {
    let mut flags = set(&["network.mod=1", "network.upstream.url=ftp://u:secret@h"]);
    flags.allow.push("a*.com".to_owned());
    let errors = assemble_layers(Vec::new(), &flags).unwrap_err();
    assert_eq!(errors.iter().count(), 3);
    assert!(!errors.to_string().contains("secret"), "{errors}");
}

#[test]
fn halves_that_contradict_each_other_are_an_error() {
    let error = with("[network.dns]\nmin_ttl = \"10m\"", &["network.dns.max_ttl=1m"]).unwrap_err();
    assert!(error.starts_with("p.toml:2:11: min_ttl (600s) is more than max_ttl (60s)"), "{error}");
}
