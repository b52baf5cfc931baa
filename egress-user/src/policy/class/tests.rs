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
