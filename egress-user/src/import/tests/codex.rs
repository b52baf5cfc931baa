//! Codex's files.
use super::*;

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
allowed_sandbox_modes = ["read-only", "workspace-write"]
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

#[test]
fn settings_become_a_policy() {
    let imported = imported("config.toml", CONFIG);
    check(
        &imported,
        Some("default"),
        &[
            ("api.openai.com:443", true),
            ("github.com:22", true),
            ("bad.github.com:443", false),
            ("registry.test:443", true),
            ("registry.test:80", false),
            ("ab.example.com:443", false),
            ("x.evil.test:443", false),
            ("10.1.2.3:80", false),
            ("192.168.1.1:80", false),
            ("nothing.test:443", false),
            ("base.test:443", false),
            ("unix:/run/b.sock", false),
        ],
    );
    tells(
        &imported,
        &[
            "config.toml:10: admin_url",
            "config.toml:11: dangerously_allow_non_loopback_admin",
            "config.toml:12: \"a*.example.com\"",
            "config.toml:12: \"10.0.0.0/8\": a block opens nothing there; write \"10.0.0.0/8\"",
            "config.toml:13: the deny \"ad?.tracker.test\"",
            "the unix socket \"relative.sock\"",
            "config.toml:17: mitm",
            "filesystem is not about network",
            "config.toml:2: not about network: model",
            "config.toml:9: socks_url: written here as",
        ],
    );
    assert!(
        imported.text.contains("default_profile = \"work\" # config.toml:3"),
        "{}",
        imported.text
    );
    assert!(
        imported.text.contains("socks_url = \"socks5h://127.0.0.1:8081\""),
        "{}",
        imported.text
    );
    let line = "\"github.com\" = \"allow\" # config.toml:19";
    assert!(imported.text.contains(line), "{}", imported.text);
    // A profile there inherits nothing from [network] but its denies, as here. It is the default.
    for profile in [None, Some("work")] {
        check(
            &imported,
            profile,
            &[
                ("base.test:443", true),
                ("any.test:443", true),
                ("x.evil.test:443", false),
                ("ads.tracker.test:443", false),
                ("127.0.0.1:80", false),
            ],
        );
    }
}

#[test]
fn what_run_does_not_act_on_is_a_comment_with_the_reason() {
    let imported = imported("config.toml", CONFIG);
    for line in [
        "# \"/run/a.sock\" = \"allow\" # config.toml:14",
        "# url = \"http://user:pw@proxy.test:3128\" # config.toml:15",
        "# no_proxy = [\"localhost\", \".corp.test\"] # config.toml:16",
    ] {
        let (before, _) = imported.text.split_once(&format!("\n{line}\n")).unwrap();
        let reason = before.lines().last().unwrap();
        assert!(reason.starts_with("# Left to you: "), "{line}: {reason}");
        assert!(reason.contains("not built yet") || reason.contains("not enforced"), "{reason}");
    }
    // A password is in the file alone, where it was before.
    assert!(imported.told.iter().all(|told| !told.why.contains("pw")), "{:#?}", imported.told);
}

#[test]
fn requirements_become_requirements() {
    let imported = imported("requirements.toml", REQUIREMENTS);
    assert!(imported.is_requirements && imported.text.contains("/etc/egress/requirements.toml"));
    check(
        &imported,
        None,
        &[("a.corp.test:443", true), ("a.bad.test:443", false), ("other.test:443", false)],
    );
    tells(&imported, &["http_port", "danger_full_access_denylist_only"]);
    let user = parse("[network.domains]\n\"other.test\" = \"allow\"", "u.toml").unwrap();
    let bounds = parse(&imported.text, "r.toml").unwrap();
    let layers = vec![bounds, Default::default(), user];
    assert!(assemble_layers(layers, &Flags::default()).is_err());
    let both = [Source { name: "r", text: REQUIREMENTS }, Source { name: "c", text: CONFIG }];
    assert!(import(&both, &OPTIONS).unwrap_err().to_string().contains("two policies"));
}

#[test]
fn bounds_that_close_everything_do() {
    for (text, told) in [
        (
            "[experimental_network]\nenabled = false\ndomains = {'a.test' = 'allow'}\n",
            "f:2: enabled",
        ),
        (
            "allowed_sandbox_modes = ['read-only']\n[experimental_network]\n\
             domains = {'a.test' = 'allow'}\n[permissions.p.network]\nenabled = true\n\
             domains = {'a.test' = 'allow'}\n",
            "f:1: allowed_sandbox_modes",
        ),
        // Which machine it is for is not known.
        (
            "allowed_sandbox_modes = ['workspace-write']\n[experimental_network]\n\
             domains = {'a.test' = 'allow'}\n[[remote_sandbox_config]]\nhostname_patterns = ['*']\n\
             allowed_sandbox_modes = ['workspace-write']\n[[remote_sandbox_config]]\n\
             hostname_patterns = ['ci-*']\nallowed_sandbox_modes = ['read-only']\n",
            "f:9: allowed_sandbox_modes",
        ),
    ] {
        let imported = imported("f", text);
        check(&imported, None, &[("a.test:443", false)]);
        tells(&imported, &[told]);
    }
    for modes in ["'read-only'", "[['read-only']]", "[1]"] {
        let text =
            format!("remote_sandbox_config = {modes}\n[experimental_network]\nenabled = true\n");
        refused(&text);
    }
    // Profiles that may not be taken have no network.
    let text = "[allowed_permission_profiles]\np = true\nq = false\n\
        [permissions.p.network]\nenabled = true\ndomains = {'a.test' = 'allow'}\n\
        [permissions.q]\nextends = 'p'\n[permissions.r]\nextends = 'p'\n";
    let imported = imported("f", text);
    for (profile, allowed) in [("p", true), ("q", false), ("r", false)] {
        check(&imported, Some(profile), &[("a.test:443", allowed)]);
    }
}

#[test]
fn settings_of_the_feature_narrow_every_profile() {
    let text = "default_permissions = 'p'\n[features.network_proxy]\nenabled = true\n\
        mode = 'limited'\ndomains = {'b.test' = 'deny', 'c.test' = 'allow'}\n\
        [permissions.p.network]\nenabled = true\ndomains = {'*' = 'allow', 'b.test' = 'allow'}\n";
    let imported = imported("f", text);
    let targets = [("http://a.test/", true), ("https://a.test/", false), ("http://b.test/", false)];
    check(&imported, None, &targets);
    tells(&imported, &["the allows of features.network_proxy hold", "\"b.test\" stays denied"]);
}

#[test]
fn names_of_profiles_are_those_of_the_language() {
    let text = "default_permissions = 'my work'\n[permissions.'my work'.network]\nenabled = true\n\
        domains = {'a.test' = 'allow'}\n[permissions.default]\nextends = 'my work'\n";
    let imported = imported("f", text);
    for profile in [None, Some("my-work"), Some("default-permissions")] {
        check(&imported, profile, &[("a.test:443", true)]);
    }
    tells(&imported, &["the profile \"my work\" is called \"my-work\" here"]);
}

#[test]
fn the_programs_own_profiles_are_the_network_table() {
    for (name, allowed) in [(":read-only", false), (":workspace", false)] {
        let text = format!(
            "default_permissions = '{name}'\n[features.network_proxy]\nenabled = true\n\
             domains = {{'a.test' = 'allow'}}\n"
        );
        check(&imported("f", &text), None, &[("a.test:443", allowed)]);
    }
    let text = "default_permissions = 'p'\n[permissions.p]\nextends = ':workspace'\n\
        [permissions.p.network]\nenabled = true\ndomains = {'a.test' = 'allow'}\n";
    let extended = imported("f", text);
    check(&extended, None, &[("a.test:443", true)]);
    assert!(!extended.has_losses());
    // With this key the profiles are not taken there.
    let text = format!("sandbox_mode = 'read-only'\n{text}");
    let beside = imported("f", &text);
    check(&beside, None, &[("a.test:443", false)]);
    check(&beside, Some("p"), &[("a.test:443", true)]);
}

#[test]
fn hooks_and_reviews_close_their_hosts() {
    for (hooks, lost) in [
        ("mitm = {hooks = {h = {host = 'a.test', methods = ['GET']}}}\n", true),
        ("mitm_hooks = [{host = 'a.test', matcher = {}}]\n", true),
        ("mitm = {hooks = {h = {methods = ['GET']}}}\n", true),
        ("review_domains = ['a.test']\n", false),
    ] {
        let text = format!("[network]\nallowed_domains = ['a.test', 'b.test']\n{hooks}");
        let imported = imported("f", &text);
        check(&imported, None, &[("a.test:443", false)]);
        assert_eq!(imported.has_losses(), lost, "{hooks}");
    }
    let text = "[network]\nallowed_domains = ['a.test']\nmitm = {hooks = {}}\ncredential_broker = true\n\
        credentials = {}\n";
    let harmless = imported("f", text);
    check(&harmless, None, &[("a.test:443", true)]);
    assert!(!harmless.has_losses());
}

#[test]
fn present_keys_are_carried_or_named() {
    let text = "[application.network]\ndomains = ['x.test']\n\
        [permissions.p]\ndescription = 'd'\nworkspace_roots = {'/w' = true}\n\
        [permissions.p.network]\nenabled = true\ntransparent_tcp = true\ncredential_broker = false\n\
        allow_upstream_proxy = false\ndomains = {'a.test' = 'allow'}\n";
    let imported = imported("f", text);
    check(&imported, Some("p"), &[("a.test:443", true)]);
    tells(
        &imported,
        &[
            "f:1: application",
            "description is not",
            "workspace_roots is not",
            "transparent_tcp",
            "credential_broker",
        ],
    );
    assert!(imported.text.contains("allow_upstream_proxy = false"));
}

#[test]
fn of_two_files_the_narrower_value_counts() {
    let first = "[network]\nmode = \"limited\"\nallowed_domains = [\"a.test\"]\n";
    let second = "[network]\nmode = \"full\"\ndenied_domains = [\"a.test\"]\n";
    for both in [[first, second], [second, first]] {
        let [one, two] = both;
        let both = [Source { name: "1", text: one }, Source { name: "2", text: two }];
        let both = import(&both, &OPTIONS).unwrap();
        assert_eq!(policy(&both, None).policy.settings().mode.as_str(), "limited");
        check(&both, None, &[("a.test:443", false)]);
        tells(&both, &["mode = \"full\" is written another way at"]);
    }
    // What decides, too; and of what only one can be, all have to say the same.
    let open = "sandbox_mode = 'danger-full-access'\n[sandbox_workspace_write]\nnetwork_access = true\n\
        [features.network_proxy]\nenabled = true\ndomains = {'a.test' = 'allow'}\n\
        [permissions.p.network]\nenabled = true\ndomains = {'a.test' = 'allow'}\n";
    for (closing, profile) in [
        ("sandbox_mode = 'read-only'\n[permissions.q.network]\n", None),
        (
            "sandbox_mode = 'workspace-write'\n[sandbox_workspace_write]\nnetwork_access = false\n",
            None,
        ),
        ("[permissions.p.network]\nenabled = false\n", Some("p")),
    ] {
        for both in [[open, closing], [closing, open]] {
            let both = both.map(|text| Source { name: "f", text });
            check(&import(&both, &OPTIONS).unwrap(), profile, &[("a.test:443", false)]);
        }
    }
    let both = ["default_permissions = 'p'\n", "default_permissions = 'q'\n"]
        .map(|head| format!("{head}[permissions.p.network]\n[permissions.q.network]\n"));
    let both = [Source { name: "1", text: &both[0] }, Source { name: "2", text: &both[1] }];
    let error = import(&both, &OPTIONS).unwrap_err().to_string();
    assert!(error.starts_with("2:1: default_permissions is another one at 1:1"), "{error}");
    let json = Source { name: "s", text: "{\"network\": {}}" };
    let both = [Source { name: "1", text: first }, json];
    assert!(import(&both, &OPTIONS).unwrap_err().to_string().contains("two policies"));
}

#[test]
fn listeners_take_any_scheme() {
    for (url, address) in [
        ("http://127.0.0.1:8081", "127.0.0.1:8081"),
        ("socks5://localhost:0/", "127.0.0.1:0"),
        ("[::1]:9", "[::1]:9"),
        ("x://example.com", "127.0.0.1:8081"),
        ("::1", "[::1]:8081"),
        ("", "127.0.0.1:8081"),
        ("http://u:p@0.0.0.0:99999", "0.0.0.0:8081"),
    ] {
        let imported = imported("f", &format!("[network]\nsocks_url = '{url}'\n"));
        let line = format!("socks_url = \"socks5h://{address}\"");
        assert!(imported.text.contains(&line), "{url}: {}", imported.text);
        policy(&imported, None);
    }
}

#[test]
fn what_one_of_several_requirements_closes_is_closed() {
    let open = "allowed_sandbox_modes = ['read-only', 'workspace-write']\n\
        [allowed_permission_profiles]\np = true\nq = true\n[experimental_network]\nenabled = true\n\
        domains = {'a.test' = 'allow'}\n[permissions.p.network]\nenabled = true\n\
        domains = {'a.test' = 'allow'}\n[permissions.q]\nextends = 'p'\n";
    let both = |one: &str, other: &str| {
        let sources = [Source { name: "one", text: one }, Source { name: "other", text: other }];
        import(&sources, &OPTIONS).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let beside = "[experimental_network]\nenabled = true\n";
    let modes = format!("allowed_sandbox_modes = ['read-only']\n{beside}");
    let profiles = format!("allowed_permission_profiles = {{ p = true, q = false }}\n{beside}");
    let omitted = format!("allowed_permission_profiles = {{ p = true }}\n{beside}");
    for (one, other) in [(open, &*modes), (&*modes, open)] {
        check(&both(one, other), None, &[("a.test:443", false)]);
    }
    for narrow in [&*profiles, &*omitted] {
        for (one, other) in [(open, narrow), (narrow, open)] {
            let imported = both(one, other);
            check(&imported, Some("p"), &[("a.test:443", true)]);
            check(&imported, Some("q"), &[("a.test:443", false)]);
        }
    }
}
