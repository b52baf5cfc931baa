//! squid.conf, and the lists that it names.
use super::*;

const CONF: &str = "\
acl localnet src 10.0.0.0/8 # clients
acl SSL_ports port 443
acl Safe_ports port 80 443 \\
  1025-65535
acl CONNECT method CONNECT
acl allowed dstdomain \"/etc/squid/allowed.txt\"
acl ads dstdomain .ads.example
acl words url_regex secret
cache_mem 64 MB
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access deny to_localhost
http_access deny ads
http_access allow localnet allowed
http_access allow localnet words
http_access deny localnet
http_access allow all
";

fn conf(text: &str) -> Result<Imported, ConfigErrors> {
    let list = "# mirrors\n.a.example\nb.example\n*.c.example\nx.ads.example\n";
    let sources =
        [Source { name: "squid.conf", text }, Source { name: "lists/allowed.txt", text: list }];
    import(&sources, &OPTIONS)
}

#[test]
fn lines_of_access_become_rules() {
    let imported = conf(CONF).unwrap();
    let expected = [
        ("a.example:443", true),
        ("x.y.a.example:443", true),
        ("b.example:443", true),
        ("x.b.example:443", false),
        ("a.example:80", false),
        ("c.example:443", false),
        ("x.ads.example:443", false),
        ("other.example:443", false),
        ("127.0.0.1:443", false),
    ];
    check(&imported, None, &expected);
    tells(
        &imported,
        &[
            "lists/allowed.txt:4: \"*.c.example\": a star matches nothing in squid's lists",
            "squid.conf:11: http_access deny: tunnels have these ports alone",
            "squid.conf:15: http_access allow: url_regex has no form here",
            "squid.conf:9: not about what may be reached: cache_mem",
        ],
    );
    assert!(imported.text.contains("taken as a client of \"localnet\""), "{}", imported.text);
}

#[test]
fn the_order_and_the_end_of_lines_are_kept() {
    for (text, expected) in [
        // The first line that matches counts; here a deny wins.
        (
            "acl a dstdomain a.example\nacl b dstdomain .example\nhttp_access allow a\nhttp_access deny b\nhttp_access deny all\n",
            [("a.example:443", false), ("a.test:443", false)],
        ),
        (
            "acl b dstdomain .example\nhttp_access deny b\nhttp_access allow all\n",
            [("a.example:443", false), ("a.test:443", true)],
        ),
        // What no line is about passes there behind a deny.
        (
            "acl b dstdomain .example\nhttp_access deny b\n",
            [("a.example:443", false), ("a.test:443", false)],
        ),
        (
            "acl b dstdomain .example\nhttp_access deny !b\nhttp_access allow all\n",
            [("a.example:443", true), ("a.test:443", false)],
        ),
        (
            "acl b dstdomain .example\nacl c dstdomain a.example\nhttp_access allow b !c\nhttp_access deny all\n",
            [("a.example:443", false), ("b.example:443", true)],
        ),
        // A star matches nothing, also where two lists meet.
        (
            "acl b dstdomain *.a.example\nacl c dstdomain x.a.example\nhttp_access deny !c\nhttp_access allow b\n",
            [("x.a.example:443", false), ("y.a.example:443", false)],
        ),
        (
            "acl a src 10.0.0.1\nacl b src 10.0.0.2\nacl x dstdomain a.example\nacl y dstdomain b.example\nhttp_access allow a x\nhttp_access allow b \
             y\nhttp_access deny all\n",
            [("a.example:443", true), ("b.example:443", false)],
        ),
    ] {
        check(&imported("squid.conf", text), None, &expected);
    }
}

#[test]
fn what_is_not_known_of_a_deny_is_an_error() {
    for (text, expected) in [
        ("acl w url_regex x\nhttp_access deny w\n", "squid.conf:2: url_regex closes something"),
        ("acl w dst host.example\nhttp_access deny w\n", "squid.conf:2: dst host.example closes"),
        ("http_access deny w\n", "squid.conf:1: there is no acl \"w\""),
        (
            "acl w dstdomain \"/no\"\nhttp_access deny w\n",
            "squid.conf:1: what \"/no\" lists is not known",
        ),
        ("acl w port x\nhttp_access deny w\n", "squid.conf:1: \"x\" is no port"),
        ("acl w port 1\nacl w src x\n", "squid.conf:2: an acl of two types"),
        ("acl w port 1\nhttp_access refuse w\n", "squid.conf:2: neither allow nor deny"),
    ] {
        let error = conf(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(imported("squid.conf", "include /x\nhttp_access deny all\n").has_losses());
}
