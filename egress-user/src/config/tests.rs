use super::keys::Table;
use super::*;
use crate::policy::{Action, Layer, Name, PortSet, Transport};

mod flags;
mod keys;
mod ports;
mod resolves_to;
mod show;

fn errors(text: &str) -> Vec<String> {
    parse(text, "p.toml").unwrap_err().iter().map(ToString::to_string).collect()
}

fn one(text: &str) -> Assembled {
    assemble_layers(vec![parse(text, "p.toml").unwrap()], &Flags::default()).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

#[test]
fn every_error_of_a_file_is_reported_with_its_place() {
    let text = "[network]\nenabled = \"yes\"\nmode = \"Full\"\n\n[network.domains]\n  \"a*.com\" = \"allow\"\n\"b.com\" = \"Allow\"\n\"c.com\" = { action = \"allow\", ports = [0, 443, \"x\"] }\n[network.dns]\ntimeout = 2\n";
    assert_eq!(
        errors(text),
        [
            "p.toml:2:11: \"yes\" is not a boolean; write true or false",
            "p.toml:3:8: mode cannot be \"Full\"; write \"full\" or \"limited\"",
            "p.toml:6:3: \"a*.com\": `*` stands only for whole labels, at the start; write one line for each name, or a pattern such as \"*.example.com\"",
            "p.toml:7:11: \"Allow\" is not an action; write \"allow\" or \"deny\"",
            "p.toml:8:40: port 0 cannot be connected to; write a port of 1 to 65535",
            "p.toml:8:48: \"x\" is not a port; write a port of 1 to 65535, or a range such as \"8000-8010\"",
            "p.toml:10:11: 2 is not a time; write \"2s\"",
        ]
    );
}

#[test]
fn the_line_is_shown_and_underlined() {
    let shown = parse("[network.domains]\n\t\"bü*.com\" = \"allow\"\n", "p.toml").unwrap_err();
    let shown = shown.to_string();
    let (_, excerpt) = shown.split_once('\n').unwrap();
    assert_eq!(excerpt, "   |\n 2 |  \"bü*.com\" = \"allow\"\n   |  ^^^^^^^^^");
}

#[test]
fn mistakes_get_an_error_that_helps() {
    for (text, expected) in [
        ("[network", "p.toml:1:9"),
        ("x = 1", "\"x\" is no key of the file; the keys of the file are network"),
        ("[network]\ndomain = {}", "write domains"),
        ("[domains]\n\"a.com\" = \"allow\"", "domains belongs in [network]"),
        (
            "[network]\ndomains = [\"a.com\"]",
            "write [network.domains] and below it \"a.com\" = \"allow\"",
        ),
        ("[[network.domains]]\nhost = 1", "with one bracket on each side"),
        ("[network.domains]\nallow = [\"a.com\"]", "write \"a.com\" = \"allow\""),
        ("network = 3", "a table is needed here"),
        ("[network.domains]\n\"a.com\" = { ports = [1] }", "has no action"),
        ("[network.domains]\n\"a.com\" = { action = \"deny\", ports = [1] }", "remove ports"),
        ("[network.domains]\n\"a.com\" = { action = \"allow\", port = [1] }", "write ports"),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", methods = [\"get\"] }",
            "write \"GET\"",
        ),
        ("[network.domains]\n\"a.com\" = { action = \"allow\", ports = 443 }", "a list is needed"),
        ("[network.domains]\n\"a.com\" = { action = \"allow\", ports = [] }", "leave the key out"),
        ("[network.domains]\n\"a.com\" = { action = \"allow\", ports = [65536] }", "not a port"),
        ("[network.domains]\n\"a.com\" = { action = \"allow\", ports = [-1] }", "not a port"),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", transport = [\"sctp\"] }",
            "\"tcp\" or \"udp\"",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", protocol = \"ssh\" }",
            "write \"any\"",
        ),
        ("[network.domains]\n\"a.com\" = \"allow\"\n\"a.com\" = \"deny\"", "p.toml:3:1"),
        ("[network.addresses]\n\"a.com\" = \"allow\"", "[network.domains]"),
        (
            "[network.dns]\nservers = [\"https://dns.example/q\"]",
            "write its address, with the name behind: \"https://9.9.9.9#dns.example\"",
        ),
        ("[network.dns]\nservers = [\"quic://9.9.9.9\"]", "quic:// is not built"),
        ("[network.dns]\nservers = [\"tls://9.9.9.9/x\"]", "not a DNS server"),
        ("[network.dns]\nrecord_types = [\"AAAA\"]", "answered without being listed"),
        ("[network.dns]\nrecord_types = [\"ANY\"]", "no type of records but a question"),
        ("[network.dns]\nrecord_types = [\"text\"]", "such as \"TXT\""),
        ("[network.dns]\nrefusal = \"servfail\"", "write \"nxdomain\" or \"refused\""),
        ("[network.dns]\nforward = { \"10.0.0.1\" = [\"9.9.9.9\"] }", "is no domain"),
        ("[network]\nproxy_url = \"\"", "has no scheme"),
        ("[network]\nproxy_url = \"http://proxy.example:1\"", "no address to listen at"),
        ("[network]\nsocks_url = \"http://127.0.0.1:1\"", "socks5h://127.0.0.1:8081"),
        ("[network]\npresets = [\"npm\"]", "write one of"),
        ("[network]\nallowed_domains = [\"a.com\"]", "egress policy import"),
        ("[network]\nech = true", "write \"refuse\" or \"allow\""),
        ("[network.unix_sockets]\n\"run/a.sock\" = \"allow\"", "not an absolute path"),
        ("[network.unix_sockets]\n\"/run/../a\" = \"allow\"", "write the path that is meant"),
        ("[network.unix_sockets]\n\"/run/*.sock\" = \"allow\"", "write one line for each socket"),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", ports = [\"9-1\"] }",
            "write \"1-9\"",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", ports = \"443\" }",
            "write 443, in brackets: [ ]",
        ),
        ("[network.dns]\nservers = \"9.9.9.9\"", "write [\"9.9.9.9\"]"),
        ("[network.unix_sockets]\n\"@\" = \"allow\"", "names no unix socket"),
        ("[network.unix_sockets]\n\"/a\" = \"none\"", "or write \"deny\""),
        ("[network.upstream]\nurl = \"http://u:secret@/x\"", "no path or query"),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", paths = [\"api\"] }",
            "write \"/api\"",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", paths = [\"/a/*\"] }",
            "write \"/a/\"",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", paths = [\"/a/%2e\"] }",
            "no escapes",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", methods = [\"GET\"], transport = [\"udp\"] }",
            "remove transport, or methods",
        ),
        (
            "[network.domains]\n\"a.com/x\" = \"allow\"",
            "write \"a.com\" = { action = \"allow\", paths = [\"/x\"] }",
        ),
        ("[network.dns]\nservers = [\"dns.example\"]", "not a DNS server"),
        ("[network.dns]\nservers = [\"9.9.9.9:0\"]", "not a DNS server"),
        ("[network.dns]\ntimeout = \"0s\"", "no time"),
        ("[network.dns]\ntimeout = \"99999999999999999999s\"", "not a time"),
        ("[network.dns]\ntimeout = \"9999999999h\"", "more than a year"),
        ("[network.dns]\nmin_ttl = \"2h\"\nmax_ttl = \"1h\"", "p.toml:2:11"),
        ("[profiles.ci]\nextend = \"x\"", "write extends"),
        ("[profiles.default]\n", "is [network] itself"),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", path = \"kernel\" }",
            "p.toml:2:31: `path` is now `via`; write via = \"kernel\"",
        ),
        ("[[attach]]\nprofile = \"ci\"", "[[attach]] has no cgroup"),
        ("[[attach]]\ncgroup = \"docker\"\nprofile = \"ci\"", "write a path such as"),
    ] {
        let all = errors(text).join("\n");
        assert!(all.contains(expected), "{text}\n{all}");
    }
}

#[test]
fn a_first_policy_with_mistakes_is_mended_by_its_messages() {
    let text = "# Work\n[network]\nmode = limited\n\n[network.domains]\ngithub.com = \"allow\"\n\"https://pypi.org\" = \"allow\"\n\"db.test\" = { action = \"allow\", ports = 5432 }\n\"c.test\" = { allow = true, ports = [\"443\"] }\n";
    assert_eq!(
        errors(text),
        [
            "p.toml:3:8: a text needs quotes; write \"limited\"",
            "p.toml:6:1: the dots of github.com need quotes; write \"github.com\" = \"allow\"",
            "p.toml:7:1: a domain pattern has no scheme: \"https://\"; write \"pypi.org\"",
            "p.toml:8:41: a list is needed here; write [5432]",
            "p.toml:9:14: \"allow\" is no key of a rule; write action = \"allow\"",
        ]
    );
    let mended = "# Work\n[network]\nmode = \"limited\"\n\n[network.domains]\n\"github.com\" = \"allow\"\n\"pypi.org\" = \"allow\"\n\"db.test\" = { action = \"allow\", ports = [5432] }\n\"c.test\" = { action = \"allow\", ports = [\"443\"] }\n";
    assert_eq!(errors(mended), ["p.toml:9:41: \"443\" is not a port; write 443"]);
    assert!(parse(&mended.replace("\"443\"", "443"), "p.toml").is_ok());
}

#[test]
fn names_without_quotes_are_shown_whole() {
    for (line, expected) in [
        (
            "api.a.com = \"allow\"",
            "p.toml:2:1: the dots of api.a.com need quotes; write \"api.a.com\" = \"allow\"",
        ),
        (
            " a.com = { action = \"deny\" }",
            "p.toml:2:2: the dots of a.com need quotes; write \"a.com\"",
        ),
        (
            "localhost = {}",
            "p.toml:2:1: the rule \"localhost\" has no action; write action = \"allow\" in it",
        ),
    ] {
        assert_eq!(errors(&format!("[network.domains]\n{line}")), [expected]);
    }
    let both = errors(
        "[network.domains]\na.com = \"allow\"\na.org = \"deny\"\nlocalhost.action = \"allow\"\n",
    );
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both[1].starts_with("p.toml:3:1: the dots of a.org"), "{both:?}");
}

#[test]
fn options_and_settings_are_read() {
    let text = "[network]\nallow_local_binding = true\n[network.domains]\n\"a.com\" = { action = \"allow\", ports = [443, 0x50], transport = [\"tcp\", \"udp\"], protocol = \"any\" }\n[network.dns]\nservers = [\"system\", \"9.9.9.9\", \"9.9.9.9:5353\", \"2620:fe::fe\", \"[2620:fe::fe]:853\"]\ntimeout = \"500ms\"\nmax_ttl = \"1m\"\n";
    let assembled = one(text);
    assert!(assembled.policy.settings().allow_local_binding);
    assert_eq!(assembled.enabled_written, None);
    let address = |text: &str| DnsServer::Address(text.parse().unwrap());
    assert_eq!(
        assembled.dns,
        DnsSettings {
            servers: vec![
                DnsServer::System,
                address("9.9.9.9:53"),
                address("9.9.9.9:5353"),
                address("[2620:fe::fe]:53"),
                address("[2620:fe::fe]:853"),
            ],
            timeout: Duration::from_millis(500),
            queries_per_second: 1000,
            min_ttl: Duration::from_secs(60),
            max_ttl: Duration::from_secs(60),
            ..DnsSettings::default()
        }
    );
    let grant = assembled.policy.name(&name("a.com")).unwrap();
    assert!(grant.opens(80, Transport::Udp) && !grant.opens(81, Transport::Tcp));
    assert!(grant.any_protocol(443));
    assert_eq!(grant.rule().origin.line, Some(4));
}

#[test]
fn lines_without_effect_are_warned_of() {
    let text = "[network.domains]\n\"**.a.com\" = \"deny\"\n\"*.b.a.com\" = \"allow\"\n\"X.com\" = \"allow\"\n\"x.com.\" = \"allow\"\n\"y.com\" = { action = \"allow\", ports = [53] }\n[network.addresses]\n\"10.0.0.0/8\" = \"deny\"\n\"10.1.0.0/16\" = \"allow\"\n\"8.0.0.0/8\" = \"allow\"\n";
    let warnings: Vec<_> = one(text).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "p.toml:3: \"*.b.a.com\" allows nothing, as the deny of **.a.com (p.toml:2) covers it",
            "p.toml:5: \"x.com.\" is a second spelling of X.com (p.toml:4)",
            "p.toml:6: port 53 of \"y.com\" has no effect: the DNS proxy answers every query to port 53",
            "p.toml:9: \"10.1.0.0/16\" allows nothing, as the deny of 10.0.0.0/8 (p.toml:8) covers it",
        ]
    );
}

#[test]
fn a_block_with_private_addresses_among_public_ones_is_warned_of() {
    for (block, warned) in [
        ("0.0.0.0/0", true),
        ("160.0.0.0/3", true),
        ("::/0", true),
        ("2001::/16", true),
        ("10.0.0.0/8", false),
        ("8.8.8.0/24", false),
        ("127.0.0.1", false),
        ("2606:4700::/32", false),
        ("fd00::/8", false),
    ] {
        let text = format!("[network.addresses]\n\"{block}\" = \"allow\"\n");
        let warnings = one(&text).warnings;
        let found = warnings.iter().any(|warning| warning.message.contains("metadata"));
        assert_eq!(found, warned, "{block}: {warnings:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    assert!(load(&path).unwrap_err().to_string().contains("p.toml: cannot be read"));
    std::fs::write(&path, b"[network]\n\xff").unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("is not UTF-8 text (line 2)"));
    let both = assemble(&[path.clone(), path], &Flags::default()).unwrap_err();
    assert_eq!(both.iter().count(), 2);
}

proptest::proptest! {
    #[test]
    fn any_text_is_refused_or_read(text in "\\PC{0,60}|[a-z\"=.*\\[\\]{}\n0-9 ]{0,60}") {
        if let Err(errors) = parse(&text, "p.toml") {
            proptest::prop_assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn a_password_is_in_no_error() {
    for url in
        ["http://user:secret@/", "ftp://user:secret@proxy.test", "secret", "http://u:secret@p/x"]
    {
        // With the line that each error shows, and also where the line is no TOML.
        for line in [
            format!("[network.upstream]\nurl = \"{url}\""),
            format!("[network]\nupstream = {{ url = \"{url}\", resolve = \"x\" }}"),
            format!("[network]\nupstream = {{ url = \"{url}\", resolve }}"),
        ] {
            let all = parse(&line, "p.toml").unwrap_err().to_string();
            // A text without `@` is known to be a password only where it is the value of a key.
            assert!(
                !all.contains("secret") || url == "secret" && line.contains("resolve }"),
                "{all}"
            );
        }
    }
    let open = parse("[network.upstream]\nurl = \"http://user:secret@h", "p.toml").unwrap_err();
    assert!(open.to_string().contains("url = \"http://***********@h"), "{open}");
}

#[test]
fn every_key_has_an_example_that_is_read() {
    for key in KEYS.iter() {
        let example = key.example;
        let text = match key.table {
            Table::Top | Table::Profile if example.starts_with("[[") => {
                "[[attach]]\ncgroup = \"/a\"\nprofile = \"ci\"".to_owned()
            }
            Table::Top => example.to_owned(),
            Table::Network if example.starts_with('[') => example.to_owned(),
            Table::Network if example.starts_with('"') => {
                format!("[network.{}]\n{example}", key.name)
            }
            Table::Network => format!("[network]\n{example}"),
            Table::Rule if key.name == "action" => {
                format!("[network.domains]\n\"a.com\" = {{ {example} }}")
            }
            Table::Rule => {
                format!("[network.domains]\n\"a.com\" = {{ action = \"allow\", {example} }}")
            }
            Table::Dns => format!("[network.dns]\n{example}"),
            Table::Upstream => format!("[network.upstream]\n{example}"),
            Table::Profile if example.starts_with('[') => example.to_owned(),
            Table::Profile => format!("[profiles.ci]\n{example}"),
            Table::Attach => {
                let others =
                    if key.name == "cgroup" { "profile = \"ci\"" } else { "cgroup = \"/a\"" };
                format!("[[attach]]\n{example}\n{others}")
            }
        };
        let read = parse(&text, "p.toml");
        assert!(read.is_ok(), "{text}\n{}", read.unwrap_err());
    }
}
