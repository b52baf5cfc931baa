use super::*;

fn public(text: &str) -> bool {
    is_public(text.parse().unwrap())
}

#[test]
fn both_edges_of_each_reserved_block_are_local() {
    for (net, class, what) in V4 {
        assert_eq!(class, Local);
        assert!(!is_public(net.network().into()), "{what}");
        assert!(!is_public(net.broadcast().into()), "{what}");
        assert!(!is_public(net.broadcast().to_ipv6_mapped().into()), "{what}, mapped");
        let nat64 = embed(NAT64, net).unwrap();
        assert!(
            !is_public(nat64.network().into()) && !is_public(nat64.broadcast().into()),
            "{what}"
        );
    }
    for text in [
        "::",
        "::1",
        "fc00::",
        "fdff::1",
        "fe80::",
        "fec0::1",
        "ff02::1",
        "64:ff9b:1::1",
        "100::1",
        "100:0:0:1::1",
        "5f00::1",
        "4000::",
        "fe00::1",
        "2001::1",
        "2001:1::",
        "2001:1::4",
        "2001:1ff:ffff::",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff:fff::1",
        "::8.8.8.8",
        "::ffff:0:8.8.8.8",
        "1fff:ffff::1",
    ] {
        assert!(!public(text), "{text}");
    }
}

#[test]
fn what_is_reachable_between_them_is_public() {
    for text in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.88.98.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "168.63.129.15",
        "168.63.129.17",
        "2606:4700::1",
        "2000::",
        "2001:1::1",
        "2001:1::3",
        "2001:3::1",
        "2001:4:112::1",
        "2001:20::1",
        "2001:3f:ffff::1",
        "2001:200::",
        "2001:db9::",
        "3fff:1000::",
        "2003::1",
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
    ] {
        assert!(public(text), "{text}");
    }
}

#[test]
fn every_form_that_carries_ipv4_is_read() {
    let read = |text: &str| carried(text.parse().unwrap()).map(|block| block.to_string());
    for text in ["64:ff9b::8.8.8.0/120", "::8.8.8.0/120", "::ffff:0:8.8.8.0/120"] {
        assert_eq!(read(text), Some("8.8.8.0/24".into()), "{text}");
    }
    for text in ["2002:808:808::/48", "64:ff9b:1::8.8.8.8/128", "64:ff9b::/95", "8.8.8.8/32"] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(carriers_of(v4(8, 8, 8, 0, 24)).count(), 3);
}

/// Written out apart from the table, so that a slip in the table shows.
#[test]
fn first_and_last_addresses_of_reserved_blocks() {
    for (first, last, before, after) in [
        ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
        ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
        ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
        ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
        ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
        ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
        ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
        ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
        ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
        ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
        ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
        ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
        ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
        ("224.0.0.0", "255.255.255.255", Some("223.255.255.255"), None),
        ("168.63.129.16", "168.63.129.16", Some("168.63.129.15"), Some("168.63.129.17")),
        ("2001::", "2001:0:ffff:ffff::", Some("2000:ffff::"), None),
        ("2001:1ff::", "2001:1ff:ffff:ffff::", None, Some("2001:200::")),
        ("2001:db8::", "2001:db8:ffff:ffff::", Some("2001:db7:ffff::"), Some("2001:db9::")),
        ("2002::", "2002:ffff:ffff:ffff::", Some("2001:ffff:ffff::"), Some("2003::")),
        ("3fff::", "3fff:fff:ffff:ffff::", Some("3ffe:ffff::"), Some("3fff:1000::")),
        ("2001:10::", "2001:1f:ffff:ffff::", None, Some("2001:20::")),
        ("2001:40::", "2001:4f:ffff:ffff::", Some("2001:3f:ffff:ffff::"), None),
        ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3fff:ffff::"), None),
    ] {
        assert!(!public(first) && !public(last), "{first} to {last}");
        assert!(before.is_none_or(public), "before {first}");
        assert!(after.is_none_or(public), "after {last}");
    }
}
