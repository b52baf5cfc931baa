//! JSON of sandbox-runtime and of programs that use it.
use super::*;

const RUNTIME: &str = r#"{
  "permissions": {"allow": []},
  "sandbox": {
    "network": {
      "allowedDomains": ["github.com", "*.npmjs.org", ".pypi.org", "localhost"],
      "deniedDomains": ["evil*.npmjs.org", ".bad.test"],
      "allowUnixSockets": ["/var/run/docker.sock", "~/agent.sock"],
      "allowAllUnixSockets": false,
      "allowLocalBinding": true,
      "httpProxyPort": 8080
    },
    "filesystem": {"allowWrite": ["."]}
  }
}"#;

fn network(keys: &str) -> Imported {
    imported("f", &format!("{{\"network\": {{{keys}}}}}"))
}

#[test]
fn settings_become_a_policy() {
    let imported = imported("settings.json", RUNTIME);
    check(
        &imported,
        None,
        &[
            ("github.com:443", true),
            ("registry.npmjs.org:443", false),
            ("npmjs.org:443", false),
            ("files.pypi.org:443", false),
            ("localhost:80", true),
            ("bad.test:443", false),
            ("127.0.0.1:80", false),
        ],
    );
    tells(
        &imported,
        &[
            "settings.json:5: \".pypi.org\": a dot at the start matches nothing there; write \"*.pypi.org\"",
            "settings.json:6: the deny \"evil*.npmjs.org\"",
            "settings.json:9: allowLocalBinding",
            "settings.json:10: httpProxyPort",
            "settings.json:12: not about network: filesystem",
            "\"/home/user/agent.sock\"",
        ],
    );
}

#[test]
fn denies_of_everything_close_everything() {
    let all = network("\"allowedDomains\": [\"a.test\"], \"deniedDomains\": [\"*\"]");
    check(&all, None, &[("a.test:443", false)]);
    let port = network(
        "\"allowedDomains\": [\"a.test\", \"b.test:22\", \"c.test:443\"],\
        \"deniedDomains\": [\"*:22\", \"*:443\"]",
    );
    check(
        &port,
        None,
        &[
            ("a.test:443", false),
            ("a.test:22", false),
            ("a.test:80", true),
            ("b.test:22", false),
            ("c.test:443", false),
        ],
    );
    tells(&port, &["f:1: the deny of port 22 at every host"]);
}

#[test]
fn an_address_rule_is_of_tcp() {
    let rule = network("\"allowedDomains\": [\"93.184.216.34\"]");
    check(&rule, None, &[("93.184.216.34:9", true), ("udp://93.184.216.34:9", false)]);
}

#[test]
fn opaque_tunnels_are_refused_by_ports() {
    let only =
        network("\"allowedDomains\": [\"a.test\", \"b.test:22\"], \"refuseOpaqueTunnels\": true");
    check(&only, None, &[("a.test:443", true), ("a.test:22", false), ("b.test:22", false)]);
}

#[test]
fn another_proxy_s_hosts_are_denied() {
    let mitm = network(
        "\"allowedDomains\": [\"*.a.test\"], \"mitmProxy\": {\"socketPath\": \"/s\", \"domains\": [\"x.a.test\"]}",
    );
    check(&mitm, None, &[("x.a.test:443", false), ("y.a.test:443", true)]);
    assert!(mitm.has_losses());
}

#[test]
fn present_keys_are_carried_or_named() {
    let text = r#"{
  "credentials": {"files": []},
  "network": {
    "allowedDomains": ["a.test"], "deniedDomains": [],
    "strictAllowlist": true,
    "tlsTerminate": {},
    "deniedDomainReasons": {"x": "y"},
    "requireHostMatch": true,
    "parentProxy": {"http": "http://one.test:1", "https": "http://u:pw@two.test:2", "noProxy": "a,b"},
    "allowMachLookup": []
  }
}"#;
    let imported = imported("f", text);
    check(&imported, None, &[("a.test:443", true)]);
    tells(
        &imported,
        &[
            "f:2: credentials",
            "f:6: tlsTerminate",
            "f:7: deniedDomainReasons",
            "f:8: requireHostMatch",
            "f:9: parentProxy.http",
            "upstream.url is not built yet",
        ],
    );
    assert!(imported.told.iter().all(|told| !told.why.contains("pw")));
    assert!(!imported.told.iter().any(|told| told.why.contains("strictAllowlist")));
}

#[test]
fn an_administrator_s_file_stands_alone() {
    let managed = "{\"sandbox\": {\"network\": {\"allowManagedDomainsOnly\": true, \"allowedDomains\": [\"a.test\"]}}}";
    let user = "{\"sandbox\": {\"network\": {\"allowedDomains\": [\"b.test\"]}}}";
    let (managed, user) = (Source { name: "m", text: managed }, Source { name: "u", text: user });
    let error = import(&[managed, user], &OPTIONS).unwrap_err().to_string();
    assert!(error.starts_with("m:1: allowManagedDomainsOnly"), "{error}");
    import(&[managed], &OPTIONS).unwrap();
    check(&import(&[user, user], &OPTIONS).unwrap(), None, &[("b.test:443", true)]);
}
