use super::*;
use crate::{
    config::{Assembled, Flags, assemble_layers, parse},
    policy::{Answer, Lookup, Name},
    target::{Target, judge},
};

const CONFIG: &str = r##"
model = "gpt"
default_permissions = "work"
[features]
network_proxy = true
[network]
mode = "full"
proxy_url = "127.0.0.1:3128"
socks_url = "anything://127.0.0.1:8081"
admin_url = "http://127.0.0.1:8080"
dangerously_allow_non_loopback_admin = true
allowed_domains = ["api.openai.com", "a*.example.com", "registry.test:443", "10.0.0.0/8"]
denied_domains = ["**.evil.test", "ad?.tracker.test"]
allow_unix_sockets = ["/run/a.sock", "relative.sock"]
proxy = "http://user:pw@proxy.test:3128"
no_proxy = "localhost,.corp.test"
mitm = true
[network.domains]
"GitHub.com." = "allow"
"bad.github.com" = "deny"
"nothing.test" = "none"
[permissions.base.network]
enabled = true
allow_local_binding = false
[permissions.base.network.domains]
"base.test" = "allow"
[permissions.work]
extends = "base"
[permissions.work.network.domains]
"*" = "allow"
[permissions.work.filesystem]
"/" = "read"
[sandbox_workspace_write]
network_access = true
"##;

const REQUIREMENTS: &str = r##"
allowed_sandbox_modes = ["read-only"]
[experimental_network]
enabled = true
http_port = 8080
managed_allowed_domains_only = true
danger_full_access_denylist_only = true
[experimental_network.domains]
"**.corp.test" = "allow"
"*.bad.test" = "deny"
[experimental_network.unix_sockets]
"/run/a.sock" = "allow"
"/run/b.sock" = "none"
"##;

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

fn imported(name: &str, text: &str) -> Imported {
    import(&[Source { name, text }]).unwrap()
}

/// The policy that comes out must be one.
fn policy(imported: &Imported, profile: Option<&str>) -> Assembled {
    let loaded = parse(&imported.text, "imported.toml");
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}\n{}", imported.text));
    let layers = match imported.is_requirements {
        true => vec![loaded, Default::default(), Default::default()],
        false => vec![loaded],
    };
    let flags = Flags { profile: profile.map(str::to_owned), ..Flags::default() };
    assemble_layers(layers, &flags).unwrap()
}

struct Public;

impl Lookup for Public {
    fn lookup(&mut self, _: &Name) -> Answer {
        Answer::Found { chain: Vec::new(), addresses: vec!["93.184.216.34".parse().unwrap()] }
    }
}

fn check(imported: &Imported, profile: Option<&str>, expected: &[(&str, bool)]) {
    let policy = policy(imported, profile).policy;
    for (target, allowed) in expected {
        let verdict = judge(&policy, &target.parse::<Target>().unwrap(), &mut Public);
        assert_eq!(verdict.is_allow(), *allowed, "{target}: {verdict}\n{}", imported.text);
    }
}

fn leaves_out(imported: &Imported, expected: &[&str]) {
    for text in expected {
        let said = |left: &LeftOut| format!("{}: {}", left.place, left.why).contains(text);
        assert!(imported.left_out.iter().any(said), "{text}\n{:#?}", imported.left_out);
        // In the file as well.
        assert!(imported.text.contains("# Not carried over: "), "{}", imported.text);
    }
}

#[test]
fn codex_settings_become_a_policy() {
    let imported = imported("config.toml", CONFIG);
    check(
        &imported,
        None,
        &[
            ("api.openai.com:443", true),
            ("github.com:22", true),
            ("bad.github.com:443", false),
            ("registry.test:443", true),
            ("registry.test:80", false),
            ("ab.example.com:443", false),
            ("x.evil.test:443", false),
            ("10.1.2.3:80", true),
            ("192.168.1.1:80", false),
            ("nothing.test:443", false),
            ("base.test:443", false),
            ("unix:/run/a.sock", true),
            ("unix:/run/b.sock", false),
        ],
    );
    leaves_out(
        &imported,
        &[
            "config.toml:8: proxy_url",
            "config.toml:9: socks_url",
            "config.toml:10: admin_url",
            "config.toml:11: dangerously_allow_non_loopback_admin",
            "config.toml:12: \"a*.example.com\"",
            "config.toml:13: the deny \"ad?.tracker.test\"",
            "the unix socket \"relative.sock\"",
            "config.toml:17: mitm",
            "filesystem is not about network",
            "not about network: model",
        ],
    );
    assert!(imported.text.contains("run with --profile work"), "{}", imported.text);
    assert!(imported.text.contains("Here hosts are still filtered"), "{}", imported.text);
    assert!(
        imported.text.contains("\"github.com\" = \"allow\" # config.toml:19"),
        "{}",
        imported.text
    );
    // A profile there inherits nothing from [network] but its denies, as here.
    check(
        &imported,
        Some("work"),
        &[
            ("base.test:443", true),
            ("any.test:443", true),
            ("x.evil.test:443", false),
            ("127.0.0.1:80", false),
        ],
    );
    let upstream = policy(&imported, None).network;
    assert_eq!(upstream.no_proxy, ["localhost", ".corp.test"]);
}

#[test]
fn a_deny_that_cannot_be_said_is_denied_with_more() {
    let imported = imported("config.toml", CONFIG);
    check(&imported, Some("work"), &[("ads.tracker.test:443", false), ("tracker.test:443", false)]);
    for deny in ["*", "evil*"] {
        let text = format!("[network]\nallowed_domains = [\"*\"]\ndenied_domains = [\"{deny}\"]\n");
        check(
            &super::import(&[Source { name: "c.toml", text: &text }]).unwrap(),
            None,
            &[("a.test:443", false)],
        );
    }
}

#[test]
fn requirements_become_requirements() {
    let imported = imported("requirements.toml", REQUIREMENTS);
    assert!(imported.is_requirements && imported.text.contains("/etc/egress/requirements.toml"));
    check(
        &imported,
        None,
        &[
            ("a.corp.test:443", true),
            ("a.bad.test:443", false),
            ("other.test:443", false),
            ("unix:/run/a.sock", true),
        ],
    );
    leaves_out(
        &imported,
        &["http_port", "danger_full_access_denylist_only", "allowed_sandbox_modes"],
    );
    let user = parse("[network.domains]\n\"other.test\" = \"allow\"", "u.toml").unwrap();
    let bounds = parse(&imported.text, "r.toml").unwrap();
    let layers = vec![bounds, Default::default(), user];
    assert!(assemble_layers(layers, &Flags::default()).is_err());
    let both = [Source { name: "r", text: REQUIREMENTS }, Source { name: "c", text: CONFIG }];
    assert!(import(&both).unwrap_err().to_string().contains("two policies"));
}

#[test]
fn sandbox_runtime_settings_become_a_policy() {
    let imported = imported("settings.json", RUNTIME);
    check(
        &imported,
        None,
        &[
            ("github.com:443", true),
            ("registry.npmjs.org:443", false),
            ("npmjs.org:443", false),
            ("files.pypi.org:443", true),
            ("pypi.org:443", false),
            ("localhost:80", true),
            ("bad.test:443", false),
            ("127.0.0.1:80", false),
            ("unix:/var/run/docker.sock", true),
        ],
    );
    leaves_out(
        &imported,
        &[
            "network.deniedDomains[0]: the deny \"evil*.npmjs.org\"",
            "network.allowUnixSockets[1]",
            "allow_own_loopback",
            "httpProxyPort",
            "not about network: filesystem, permissions",
        ],
    );
}

#[test]
fn booleans_and_older_tables_are_read() {
    for text in [
        "[features]\nnetwork_proxy = true\n",
        "[features.network_proxy]\nenabled = true\ndomains = { \"a.test\" = \"allow\" }\n",
        "[network_proxy]\nenabled = true\n[network_proxy.policy]\nallowed_domains = [\"a.test\"]\n",
    ] {
        let imported = imported("c.toml", text);
        check(&imported, None, &[("a.test:443", text.contains("a.test")), ("b.test:443", false)]);
    }
    let off = imported("c.toml", "[features]\nnetwork_proxy = false\n");
    check(&off, None, &[("a.test:443", false)]);
    leaves_out(&off, &["the filter is off there, and stays on here"]);
    let first = "[network]\nmode = \"limited\"\nallowed_domains = [\"a.test\"]\n";
    let second = "[network]\nmode = \"full\"\ndenied_domains = [\"a.test\"]\n";
    let both = [Source { name: "1", text: first }, Source { name: "2", text: second }];
    let both = import(&both).unwrap();
    assert_eq!(policy(&both, None).policy.settings().mode.as_str(), "limited");
    check(&both, None, &[("a.test:443", false)]);
    leaves_out(&both, &["mode = \"full\" is written another way at 1:2"]);
}

#[test]
fn what_is_not_known_is_said() {
    for (text, expected) in [
        ("model = \"x\"\n", "has no network settings that are known"),
        ("[network", "f: line 1: "),
        ("{ \"network\": 1 }", "has no network settings that are known"),
        ("{ \"network\": ", "is not JSON"),
        ("", "has no network settings that are known"),
    ] {
        let error = import(&[Source { name: "f", text }]).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    // Nothing of a file ends a comment.
    let text = "[network]\nallowed_domains = [\"a*\\n[network.domains]\\n\\\"x.test\\\" = \\\"allow\\\"\"]\n";
    check(&imported("a\nb.toml", text), None, &[("x.test:443", false)]);
}
