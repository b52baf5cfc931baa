//! Lines that do not do what they seem to, and lines that `egress run` cannot hold.
use super::*;

#[test]
fn what_run_cannot_hold_is_listed_with_its_line() {
    let text = "[network]\nproxy_url = \"http://127.0.0.1:9\"\nsocks_url = \"socks5h://localhost:8081\"\n\
        proxy_env = true\nallow_own_loopback = false\n[network.unix_sockets]\n\"/a\" = \"deny\"\n\
        [network.dns]\nrecord_types = [\"TXT\"]\nrefusal = \"refused\"\ndnssec = true\n\
        [network.upstream]\nno_proxy = [\"a.test\"]\n";
    let assembled =
        assemble_layers(vec![parse(text, "p.toml").unwrap()], &Flags::default()).unwrap();
    let lines: Vec<_> = assembled.not_built.iter().map(|line| line.origin.line.unwrap()).collect();
    assert_eq!(lines, [2, 4, 7, 13]);
    // What is written with its default refuses nothing, and is not passed over.
    let warnings: Vec<_> = assembled.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|line| line.starts_with("p.toml:3: socks_url has no effect")));
}

#[test]
fn lines_that_mislead_are_warned_of() {
    for (text, expected) in [
        (
            "[network.domains]\n\"localhost\" = \"allow\"",
            &["p.toml:2: \"localhost\" opens the name alone"][..],
        ),
        (
            "[network.domains]\n\"a.test\" = { action = \"allow\", ports = [80], via = \"kernel\" }",
            &["p.toml:2: via = \"kernel\" of \"a.test\" has no effect"],
        ),
        (
            "[network.domains]\n\"a.test\" = { action = \"allow\", ports = [5432], via = \"kernel\" }",
            &[],
        ),
        (
            "[network.domains]\n\"**.a.test\" = \"allow\"\n\"b.a.test\" = { action = \"allow\", ports = [443] }",
            &[
                "p.toml:3: \"b.a.test\" opens port 443 alone, though **.a.test (p.toml:2) opens every port",
            ],
        ),
        (
            "[network.domains]\n\"**.a.test\" = { action = \"allow\", ports = [443] }\n\"b.a.test\" = { action = \"allow\", ports = [443] }",
            &[],
        ),
        (
            "[network.addresses]\n\"127.0.0.1\" = \"allow\"",
            &["p.toml:2: \"127.0.0.1\" opens the address alone"],
        ),
        (
            "[network.domains]\n\"localhost\" = \"allow\"\n[network.addresses]\n\"127.0.0.0/8\" = \"allow\"",
            &[],
        ),
        (
            "[network.domains]\n\"localhost\" = \"allow\"\n[network.addresses]\n\"::1\" = \"deny\"",
            &["p.toml:2: \"localhost\" allows nothing, as the deny of ::1 (p.toml:4)"],
        ),
        (
            "[network]\nmode = \"limited\"\npresets = [\"common-dependencies\"]",
            &["rules of the preset \"common-dependencies\" allow nothing"],
        ),
        (
            "[profiles.a]\n[[attach]]\ncgroup = \"/x\"\nprofile = \"a\"\n[[attach]]\ncgroup = \"/x\"\nprofile = \"default\"",
            &["p.toml:6: \"/x\" has the profile \"a\" already (p.toml:3)"],
        ),
    ] {
        let layers = vec![parse(text, "p.toml").unwrap()];
        let warnings = assemble_layers(layers, &Flags::default()).unwrap().warnings;
        assert_eq!(warnings.len(), expected.len(), "{text} {warnings:?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.to_string().contains(expected), "{warning}");
        }
    }
}
