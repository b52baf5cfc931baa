//! The smallest settings of public files that once came out wider, or not at all.
use super::*;

const ROWS: &[Row] = &[
    (
        "a profile without network, and one that extends it",
        "default_permissions = 'c'\n[permissions.p.network]\nenabled = false\n\
         domains = {'a.example' = 'allow'}\n[permissions.c]\nextends = 'p'\n\
         [permissions.c.network]\ndomains = {'b.example' = 'allow'}\n",
        None,
        &[("a.example:443", false), ("b.example:443", false)],
        &["f:3: enabled = false: no network in this profile"],
    ),
    (
        "a profile that does not say",
        "default_permissions = 'p'\n[permissions.p.network]\ndomains = {'a.example' = 'allow'}\n",
        None,
        &[("a.example:443", false)],
        &["f:2: without enabled = true the profile has no network there"],
    ),
    (
        "a child that turns it on",
        "[permissions.p.network]\nenabled = false\nmode = 'limited'\n\
         domains = {'a.example' = 'allow'}\n[permissions.c]\nextends = 'p'\n\
         [permissions.c.network]\nenabled = true\n",
        Some("c"),
        &[
            ("http://a.example/", true),
            ("http://a.example/ POST", false),
            ("https://a.example/", false),
        ],
        &[],
    ),
    (
        "a child that turns on what a deny of its parent closes",
        "[permissions.p.network]\ndomains = {'*example' = 'deny'}\n[permissions.c]\nextends = 'p'\n\
         [permissions.c.network]\nenabled = true\ndomains = {'a.example' = 'allow'}\n",
        Some("c"),
        &[("a.example:443", false)],
        &["f:2: the deny \"*example\" is not one that can be said"],
    ),
    (
        "the proxy without the key that decides",
        "[features.network_proxy]\nenabled = true\ndomains = {'a.example' = 'allow'}\n",
        None,
        &[("a.example:443", false)],
        &["f:2: without sandbox_workspace_write.network_access = true there is no network there"],
    ),
    (
        "read-only, whatever follows",
        "sandbox_mode = 'read-only'\n[sandbox_workspace_write]\nnetwork_access = true\n\
         [features.network_proxy]\nenabled = true\ndomains = {'a.example' = 'allow'}\n",
        None,
        &[("a.example:443", false)],
        &["f:1: sandbox_mode = \"read-only\": no network there"],
    ),
    (
        "a workspace with network",
        "sandbox_mode = 'workspace-write'\n[sandbox_workspace_write]\nnetwork_access = true\n\
         [features.network_proxy]\nenabled = true\ndomains = {'a.example' = 'allow'}\n",
        None,
        &[("a.example:443", true), ("b.example:443", false)],
        &[],
    ),
    (
        "a child takes a socket back",
        "[permissions.p.network]\nenabled = true\nunix_sockets = {'/run/a.sock' = 'allow'}\n\
         [permissions.c]\nextends = 'p'\n[permissions.c.network]\n\
         unix_sockets = {'/run/a.sock' = 'none'}\n",
        Some("c"),
        &[("unix:/run/a.sock", false)],
        &[],
    ),
    (
        "addresses that no name may resolve to",
        "{\"network\": {\"allowedDomains\": [\"a.example\"],\n\
         \"deniedResolvedAddresses\": [\"93.184.216.0/24\", \"::1\", \"10.1.2.3/8\"]}}",
        None,
        &[("a.example:443", false), ("10.1.2.3:80", false)],
        &[],
    ),
    (
        "rules of another tool of the program",
        "{\"permissions\": {\"deny\": [\"WebFetch(domain:bad.a.example)\", \"Bash(rm:*)\"]},\n\
         \"sandbox\": {\"network\": {\"allowedDomains\": [\"*.a.example\"]}}}",
        None,
        &[("x.a.example:443", true), ("bad.a.example:443", false)],
        &["f:1: permissions: those of other tools are not about network"],
    ),
    (
        "only such rules",
        "{\"permissions\": {\"allow\": [\"WebFetch(domain:a.example)\"], \"ask\": [\n\
         \"WebFetch(domain:b.example)\"]}}",
        None,
        &[("a.example:443", true), ("b.example:443", false)],
        &["f:2: \"WebFetch(domain:b.example)\" asks there"],
    ),
    (
        "requirements with those of files",
        "[permissions.filesystem]\ndeny_read = ['/x']\n[experimental_network]\nenabled = true\n\
         domains = {'a.example' = 'allow'}\n",
        None,
        &[("a.example:443", true), ("b.example:443", false)],
        &[],
    ),
    (
        "requirements with a pin of the feature",
        "[features]\nnetwork_proxy = true\n[experimental_network]\ndomains = {'a.example' = 'allow'}\n",
        None,
        &[("a.example:443", true)],
        &["f:2: features.network_proxy: the filter is always on here"],
    ),
    (
        "the older table",
        "[permissions.network]\nallowed_domains = ['*.a.example']\ndenied_domains = ['b.a.example']\n",
        None,
        &[("x.a.example:443", true), ("b.a.example:443", false)],
        &[],
    ),
    (
        "sockets by wildcards",
        "{\"network\": {\"allowUnixSockets\": [\n\"/tmp/x/*\", \"~/agent.sock\"]}}",
        None,
        &[("unix:/tmp/x/a", false)],
        &["f:2: the unix socket \"/tmp/x/*\": ", "\"~/agent.sock\" is that of who imports"],
    ),
    (
        "what editors write",
        "\u{feff}// settings\n{ /* of */ \"network\": {\n\"allowedDomains\": [\"a.example\",],\n}, }",
        None,
        &[("a.example:443", true), ("b.example:443", false)],
        &[],
    ),
    (
        "two ports of one host",
        "{\"network\": {\"allowedDomains\": [\"a.example:443\", \"a.example:8443\"]}}",
        None,
        &[("a.example:443", true), ("a.example:8443", true), ("a.example:80", false)],
        &[],
    ),
    (
        "a deny of one port",
        "{\"network\": {\"allowedDomains\": [\"example.org\"],\n\"deniedDomains\": [\"example.org:25\"]}}",
        None,
        &[("example.org:25", false), ("example.org:443", false)],
        &["f:2: the deny \"example.org:25\": a deny has no ports here"],
    ),
    (
        "denies of addresses by wildcards, and of a URL",
        "[network]\nallowed_domains = ['*', '169.254.9.9', '192.168.3.4', '10.0.0.1']\n\
         denied_domains = ['169.254.*', '192.168.*.*', 'https://evil.example']\n",
        None,
        &[
            ("169.254.9.9:80", false),
            ("192.168.3.4:80", false),
            ("10.0.0.1:80", true),
            ("evil.example:443", false),
            ("a.example:443", true),
        ],
        &["f:3: the deny \"169.254.*\"", "\"192.168.0.0/16\" is denied"],
    ),
    (
        "a deny of everything beside allows",
        "[network.domains]\n'*' = 'deny'\n'a.example' = 'allow'\n",
        None,
        &[("a.example:443", true), ("b.example:443", false)],
        &["f:2: the deny of \"*\": what no line allows is refused anyway"],
    ),
    (
        "an allow of a URL",
        "[network]\nallowed_domains = ['https://a.example', 'http://b.example/', 'ftp://c.example']\n",
        None,
        &[
            ("a.example:443", true),
            ("a.example:80", false),
            ("b.example:80", true),
            ("b.example:443", false),
            ("c.example:21", false),
        ],
        &["f:2: \"https://a.example\": opens nothing there; here the host", "ftp:// has no rule"],
    ),
    (
        "rules that stand elsewhere",
        "{\"extends\": \"code\",\n\"network\": {\"allowedDomains\": [\"a.example\"]}}",
        None,
        &[("a.example:443", true)],
        &["f:1: extends: rules stand elsewhere"],
    ),
    (
        "an absent mode of the older form",
        "[network_proxy]\nenabled = true\n[network_proxy.policy]\nallowed_domains = ['a.example']\n",
        None,
        &[("a.example:443", true)],
        &[],
    ),
];

#[test]
fn every_row_comes_out_no_wider_than_it_went_in() {
    for (name, text, profile, expected, told) in ROWS {
        println!("{name}");
        let imported = imported("f", text);
        check(&imported, *profile, expected);
        tells(&imported, told);
    }
}

#[test]
fn two_ports_are_one_rule() {
    let text = "{\"network\": {\"allowedDomains\": [\"a.example:443\", \"a.example:8443\"]}}";
    let imported = imported("f", text);
    let line = "\"a.example\" = { action = \"allow\", ports = [443, 8443] } # f:1";
    assert!(imported.text.contains(line), "{}", imported.text);
}

#[test]
fn rules_that_stand_elsewhere_are_losses() {
    let lost = imported("f", "{\"extends\": \"code\", \"network\": {\"allowedDomains\": []}}");
    assert!(lost.has_losses());
    let whole = imported("f", "{\"network\": {\"allowedDomains\": []}}");
    assert!(!whole.has_losses());
}

#[test]
fn what_closes_and_cannot_be_read_is_an_error() {
    for (text, expected) in [
        (
            "[network]\ndenied_domains = 'x.example'\n",
            "f:2: denied_domains is no list; write it as",
        ),
        (
            "[network]\ndenied_domains = [\n'a.example', 1]\n",
            "f:3: an entry of denied_domains is no",
        ),
        (
            "[network.domains]\n'x.example' = 'DENY'\n",
            "f:2: \"x.example\" has neither \"allow\" nor",
        ),
        ("[network.domains]\n'x.example' = {action = 'deny'}\n", "f:2: \"x.example\" has neither"),
        ("[network]\ndomains = ['x.example']\n", "f:2: domains is no table"),
        ("[network]\nmode = 'Limited'\n", "f:2: this is no mode; write \"full\" or \"limited\""),
        ("[network]\nenabled = 'false'\n", "f:2: enabled is neither true nor false"),
        ("[network]\ndeny_domains = ['x']\n", "f:2: deny_domains is no key that is known, and may"),
        ("[network.unix_sockets]\n'/a' = 'Deny'\n", "f:2: \"/a\" has neither"),
        ("[network.unix_sockets]\n'/a*' = 'deny'\n", "f:2: the unix socket \"/a*\""),
        ("[[permissions]]\nx = 1\n", "f:1: permissions is no table"),
        ("features = ['network_proxy']\n", "f:1: features is no table"),
        ("sandbox_mode = 'readonly'\n[network]\n", "f:1: \"readonly\" is no sandbox_mode"),
        (
            "[profiles.strict.features.network_proxy]\ndomains = {'x.example' = 'deny'}\n",
            "f:1: profiles.strict has network settings of its own",
        ),
        (
            "[permissions.p]\nextends = 'q'\n[permissions.p.network]\nenabled = true\n",
            "f:2: there is no profile \"q\"",
        ),
        (
            "default_permissions = 'q'\n[permissions.p.network]\nenabled = true\n",
            "f:1: there is no profile \"q\"",
        ),
        ("[permissions.a]\nextends='b'\n[permissions.b]\nextends='a'\n", "extends itself"),
        ("{\"network\": {\"deniedDomains\": \"x\"}}", "f:1: deniedDomains is no list"),
        ("{\"network\": {\n\"deniedDomains\": [{}]}}", "f:2: an entry of deniedDomains is no text"),
        (
            "{\"network\": {\n\"deniedDomians\": [\"x\"]}}",
            "f:2: deniedDomians is no key that is known",
        ),
        (
            "{\"network\": {\"deniedResolvedAddresses\": [\n\"x\"]}}",
            "f:2: this is neither an address",
        ),
        ("{\"network\": {\"filterRequest\": 1}}", "f:1: filterRequest is a function"),
        (
            "{\"network\": {\"deniedDomains\": [],\n\"deniedDomains\": []}}",
            "f:2: \"deniedDomains\" is",
        ),
        ("{\"network\": []}", "f:1: network is no object"),
        ("{\"network\": {}, \"sandbox\": {}}", "f:1: there is a network beside the sandbox"),
        (
            "{\"permissions\": {\"deny\": [\n\"WebFetch(x.example)\"]}}",
            "f:2: \"WebFetch(x.example)\" is",
        ),
        ("{\"permissions\": {\"deny\": \"WebFetch\"}}", "f:1: deny is no list"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(expected) || error.contains(expected), "{text}: {error}");
        assert!(error.contains("; "), "{text}: {error} says nothing to do");
    }
}

#[test]
fn what_has_no_network_settings_is_said() {
    for text in
        ["model = 'x'\n", "", "[permissions.filesystem]\n'/' = 'read'\n", "{}", "[features]\n"]
    {
        let error = refused(text);
        assert!(error.contains("has no network settings that are known"), "{text}: {error}");
    }
    for (text, expected) in
        [("[network", "f:1: this is no TOML: "), ("{ \"network\": ", "f:1: this is no JSON")]
    {
        let error = refused(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let deep = "[".repeat(100_000);
    refused(&format!("{{\"network\": {deep}"));
}
