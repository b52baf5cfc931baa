use proptest::prelude::*;

use super::*;

fn name(text: &str) -> String {
    match Host::parse(text) {
        Ok(Host::Name(name)) => name.to_string(),
        other => panic!("{text:?} gave {other:?}"),
    }
}

fn address(text: &str) -> String {
    match Host::parse(text) {
        Ok(Host::Address(address)) => address.to_string(),
        other => panic!("{text:?} gave {other:?}"),
    }
}

#[test]
fn one_name_has_one_value() {
    for text in [
        "example.com",
        " Example.COM.\t",
        "exam\u{ad}ple.com",
        "ｅｘａｍｐｌｅ.com",
        "example。com",
        "example.com。",
        "EXAMPLE．com",
    ] {
        assert_eq!(name(text), "example.com", "{text:?}");
    }
    assert_eq!(name("BÜCHER.example"), "xn--bcher-kva.example");
    assert_eq!(name("XN--BCHER-KVA.example"), "xn--bcher-kva.example");
    assert_eq!(name("faß.example"), "xn--fa-hia.example");
    assert_eq!(name("_dmarc.r4---sn-x.example"), "_dmarc.r4---sn-x.example");
    assert_eq!(name("localhost"), "localhost");
    assert_eq!(name("0xcafe.example"), "0xcafe.example");
}

#[test]
fn one_address_has_one_value() {
    for text in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f000001",
        "0X7F.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "１２７.0.0.1",
        "[127.0.0.1]",
        "::ffff:127.0.0.1",
        "[::FFFF:7f00:1]",
        "::ffff:127.0.0.1%eth0",
    ] {
        assert_eq!(address(text), "127.0.0.1", "{text:?}");
    }
    assert_eq!(address("0"), "0.0.0.0");
    assert_eq!(address("1.2.3"), "1.2.0.3");
    assert_eq!(address("4294967295"), "255.255.255.255");
    assert_eq!(address("[0:0:0:0:0:0:0:1]"), "::1");
    assert_eq!(address("fe80::1%25eth0"), "fe80::1");
    assert_eq!(address("[::1%lo]"), "::1");
}

#[test]
fn what_is_neither_is_refused() {
    let long_label = format!("{}.com", "a".repeat(64));
    let long_name = "a.".repeat(127) + "com";
    let endless = "\u{ad}".repeat(2000) + "a.com";
    for text in [
        "",
        " ",
        ".",
        "..",
        "a..b",
        ".a",
        "a.b..",
        "[]",
        "[evil.com]",
        "[::1",
        "::1]",
        "[[::1]]",
        "[ ::1]",
        "1.2.3.4.5",
        "0x",
        "0x1.0x",
        "08",
        "1.2.3.256",
        "256.1.1.1",
        "0400.0.0.1",
        "1.16777216",
        "4294967296",
        "0x100000000",
        "+1",
        "1.+2",
        "example.1",
        "a.0x1f",
        "exam ple.com",
        "a\0b.com",
        "a\u{7f}.com",
        "a\nb.com",
        "user@example.com",
        "a/b",
        "a%41.com",
        "127.0.0.1%lo",
        "::1%",
        "::1%/",
        "xn--a.example",
        "xn--.example",
        "xn--example-.com",
        "xn--ｅ.com",
        "::1::",
        "1:2",
        "12345::1",
        "::ffff:0127.0.0.1",
        "*.example.com",
        "a,b",
        "ａ／b.com",
        "\u{202e}moc.example",
        &long_label,
        &long_name,
        &endless,
    ] {
        let parsed = Host::parse(text);
        assert!(parsed.is_err(), "{text:?} gave {parsed:?}");
    }
}

#[test]
fn a_port_is_looked_for_after_the_address() {
    let parse = |text| Host::parse_with_port(text).map(|(host, port)| (host.to_string(), port));
    assert_eq!(parse("example.com:443"), Ok(("example.com".into(), Some(443))));
    assert_eq!(parse("example.com"), Ok(("example.com".into(), None)));
    assert_eq!(parse("[::1]:80"), Ok(("::1".into(), Some(80))));
    assert_eq!(parse("2606:4700::443"), Ok(("2606:4700::443".into(), None)));
    assert_eq!(parse("127.1:0"), Ok(("127.0.0.1".into(), Some(0))));
    for text in [
        "example.com:",
        ":443",
        "a:b:443",
        "a:+1",
        "a:65536",
        "a:４４",
        "a:1 2",
        "example.com :443",
        "[evil.com]:443",
        "[::1]443",
        "::1]:443",
        "a:443/",
        "",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn labels_of_a_message_are_taken_as_they_are() {
    let from = |labels: &[&[u8]]| Name::from_labels(labels.iter().copied()).map(|n| n.to_string());
    assert_eq!(from(&[b"Example", b"COM"]), Ok("example.com".into()));
    for labels in [
        &[&b"a.b"[..], b"com"][..],
        &[b"", b"com"],
        &[b"a\0", b"com"],
        &[b"127", b"1"],
        &[],
        &[b""],
    ] {
        assert!(from(labels).is_err(), "{labels:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_and_normal_forms_stay(text in "\\PC{0,40}|[a-z0-9.:%\\[\\]x*-]{0,24}") {
        if let Ok(host) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(&host.to_string()), Ok(host));
        }
        if let Ok((Host::Name(name), Some(port))) = Host::parse_with_port(&text) {
            let again = Host::parse_with_port(&format!("{name}:{port}"));
            prop_assert_eq!(again, Ok((Host::Name(name), Some(port))));
        }
    }
}
