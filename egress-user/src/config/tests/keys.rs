//! The table of keys is a value: keys that no code names but the table that is handed in are read,
//! merged, bound, set, shown, and stand in the schema and in the reference.
use serde_json::json;

use super::*;
use crate::config::keys::{Kind, Table, key};

/// The keys of egress, and one of each sort besides.
fn keys() -> Keys {
    const MORE: [Key; 3] = [
        key(Table::Network, "allow_more", Kind::Boolean, "false", "More.", "allow_more = true")
            .narrow(false),
        key(Table::Dns, "patience", Kind::Time, "\"3s\"", "How long.", "patience = \"1m\"")
            .never_zero("nobody waits no time"),
        key(Table::Network, "extras", Kind::Texts { empty: true }, "[]", "Which.", "extras = []")
            .subset(),
    ];
    let keys: Vec<Key> = KEYS.iter().copied().chain(MORE).collect();
    Keys::new(keys.leak())
}

/// Requirements, managed defaults and the user's file, with flags.
fn three(files: [&str; 3], set: &[&str]) -> Result<Assembled, String> {
    let names = ["r.toml", "m.toml", "u.toml"];
    let layers = names.into_iter().zip(files).map(|(name, text)| parse_by(keys(), text, name));
    let layers = layers.collect::<Result<Vec<_>, _>>().map_err(|errors| errors.to_string())?;
    let set = set.iter().map(|flag| (*flag).to_owned()).collect();
    let flags = Flags { set, ..Flags::default() };
    assemble_layers_by(keys(), layers, &flags).map_err(|errors| errors.to_string())
}

/// The lines of `policy show --origins` for the keys that are added.
fn shown(assembled: &Assembled) -> Vec<String> {
    let is_added =
        |line: &&str| ["allow_more", "extras", "patience"].iter().any(|key| line.starts_with(key));
    show(assembled, true).lines().filter(is_added).map(str::to_owned).collect()
}

const USERS: &str =
    "[network]\nallow_more = true\nextras = [\"a\", \"b\"]\n[network.dns]\npatience = \"2m\"\n";

#[test]
fn an_added_key_is_read_and_a_wrong_type_is_an_error_with_its_place() {
    assert!(parse_by(keys(), USERS, "p.toml").is_ok());
    let wrong = "[network]\nallow_more = \"yes\"\nextras = [1]\n[network.dns]\npatience = 3\n";
    let errors = parse_by(keys(), wrong, "p.toml").unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "p.toml:2:14: \"yes\" is not a boolean; write true or false",
            "p.toml:3:11: extras cannot be 1; write a text in quotes",
            "p.toml:5:12: 3 is not a time; write \"3s\"",
        ]
    );
    let none = parse_by(keys(), "[network.dns]\npatience = \"0s\"", "p.toml").unwrap_err();
    assert!(none.to_string().contains("2:12: nobody waits no time; write \"3s\""), "{none}");
    // To the table of egress they are no keys.
    assert_eq!(super::errors(USERS).len(), 3);
}

#[test]
fn an_added_key_is_merged_and_shown_with_the_line_that_says_it() {
    let defaults = three(["", "", ""], &[]).unwrap();
    assert_eq!(
        shown(&defaults),
        ["allow_more = false  # default", "extras = []  # default", "patience = \"3s\"  # default"]
    );
    let managed = "[network]\nextras = [\"m\"]\nallow_more = false\n";
    let both = three(["", managed, "[network]\nallow_more = true"], &[]).unwrap();
    assert_eq!(
        shown(&both),
        [
            "allow_more = true  # user u.toml:2",
            "extras = [\"m\"]  # managed m.toml:2",
            "patience = \"3s\"  # default",
        ]
    );
    // A profile goes before what it extends.
    let profile = "[network]\nextras = [\"n\"]\nallow_more = true\n[profiles.ci]\n\
                   extends = \"default\"\n[profiles.ci.network]\nextras = [\"p\"]\n";
    let layers = vec![parse_by(keys(), profile, "p.toml").unwrap()];
    let flags = Flags { profile: Some("ci".into()), ..Flags::default() };
    let ci = assemble_layers_by(keys(), layers, &flags).unwrap();
    assert_eq!(
        shown(&ci)[..2],
        ["allow_more = true  # user p.toml:3", "extras = [\"p\"]  # user p.toml:7, profile ci"]
    );
    // And it reads back.
    let again = parse_by(keys(), &show(&both, false), "again.toml").unwrap();
    let again = assemble_layers_by(keys(), vec![again], &Flags::default()).unwrap();
    assert_eq!(show(&again, false), show(&both, false));
}

#[test]
fn an_added_key_is_bound_by_requirements() {
    let requirements =
        "[network]\nallow_more = false\nextras = [\"a\"]\n[network.dns]\npatience = \"1m\"\n";
    let error = three([requirements, "", USERS], &[]).unwrap_err();
    for expected in [
        "u.toml:2:14: allow_more of the user's layer goes beyond the requirements (r.toml:2); remove the line",
        "u.toml:3:10: extras of the user's layer goes beyond the requirements (r.toml:3); remove the line",
        "u.toml:5:12: dns.patience of the user's layer goes beyond the requirements (r.toml:5); remove the line",
    ] {
        assert!(error.contains(expected), "{expected}\n{error}");
    }
    let within = three([requirements, "", "[network]\nextras = []"], &[]).unwrap();
    assert_eq!(
        shown(&within),
        [
            "allow_more = false  # requirements r.toml:2",
            "extras = []  # user u.toml:2",
            "patience = \"60s\"  # requirements r.toml:5",
        ]
    );
}

#[test]
fn an_added_key_is_set_from_the_command_line() {
    let set = ["network.allow_more=true", "network.extras=[\"x\"]", "network.dns.patience=5s"];
    assert_eq!(
        shown(&three(["", "", USERS], &set).unwrap()),
        [
            "allow_more = true  # user --set network.allow_more",
            "extras = [\"x\"]  # user --set network.extras",
            "patience = \"5s\"  # user --set network.dns.patience",
        ]
    );
    let error = three(["", "", ""], &["network.dns.patience=x"]).unwrap_err();
    assert!(error.starts_with("--set network.dns.patience: \"x\" is not a time"), "{error}");
}

#[test]
fn an_added_key_stands_in_the_schema_and_in_the_reference() {
    let schema = json_schema(keys());
    let of = |table: &str, key: &str| schema["$defs"][table]["properties"][key].clone();
    assert_eq!(
        of("network", "allow_more"),
        json!({ "type": "boolean", "description": "More.", "default": false, "examples": [true] })
    );
    assert_eq!(of("network", "extras")["items"], json!({ "type": "string" }));
    assert_eq!(of("dns", "patience")["default"], "3s");
    assert_eq!(json_schema(KEYS)["$defs"]["dns"]["properties"].get("patience"), None);
    let page = reference(keys());
    for line in [
        "| `allow_more` | boolean | `false` | More. | `allow_more = true` |\n",
        "| `patience` | time | `\"3s\"` | How long. | `patience = \"1m\"` |\n",
        "| `extras` | list of texts | `[]` | Which. | `extras = []` |\n",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
        assert!(!reference(KEYS).contains(line));
    }
}

/// What the typed settings say where nothing is written; reading them by a name that is no key
/// fails here.
#[test]
fn the_defaults_of_the_table_are_those_of_the_settings() {
    assert_eq!(*one("").policy.settings(), crate::policy::Settings::default());
    assert_eq!(
        DnsSettings::default(),
        DnsSettings {
            servers: vec![DnsServer::System],
            forward: Vec::new(),
            timeout: Duration::from_secs(5),
            queries_per_second: 1000,
            min_ttl: Duration::from_secs(5 * 60),
            max_ttl: Duration::from_secs(60 * 60),
            record_types: Vec::new(),
            refusal: RefusalCode::NxDomain,
            dnssec: false,
        }
    );
    assert_eq!(
        NetworkSettings::default(),
        NetworkSettings {
            allow_upstream_proxy: true,
            enable_socks5: true,
            enable_socks5_udp: true,
            proxy_url: None,
            socks_url: None,
            proxy_env: false,
            dangerously_allow_non_loopback_proxy: false,
            unix_required: true,
            drain: Duration::from_secs(30),
            upstream: None,
            no_proxy: Vec::new(),
            resolve_at_proxy: false,
        }
    );
}

#[test]
fn every_option_of_a_rule_has_its_place() {
    for key in KEYS.of(Table::Rule) {
        assert_eq!(key.option.is_some(), key.name != "action", "{}", key.name);
    }
}

#[test]
fn every_default_is_a_value_of_its_key() {
    for key in KEYS.iter().filter(|key| key.is_setting() && !key.default.is_empty()) {
        assert!(key.default_value().is_some(), "{}", key.path());
    }
}
