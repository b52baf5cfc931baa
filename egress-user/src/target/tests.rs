use super::*;

fn read(text: &str) -> Option<(String, u16, Transport)> {
    let Target { host, port, transport, .. } = text.parse::<Target>().ok()?;
    Some((host.map_or_else(|_| "invalid".to_owned(), |host| host.to_string()), port, transport))
}

#[test]
fn every_form_is_read() {
    let tcp = |host: &str, port| Some((host.to_owned(), port, Transport::Tcp));
    for (text, expected) in [
        ("a.test:443", tcp("a.test", 443)),
        ("tcp://[::1]:22", tcp("::1", 22)),
        ("udp://a.test:53", Some(("a.test".to_owned(), 53, Transport::Udp))),
        ("http://a.test/b:c@d HEAD", tcp("a.test", 80)),
        ("HTTPS://a.test:8443?x", tcp("a.test", 8443)),
        ("https://[2606::1]", tcp("2606::1", 443)),
        ("https://good.test@evil.test/", tcp("invalid", 443)),
        // Browsers and RFC 3986 read two different hosts here.
        ("https://good.test\\@evil.test/", tcp("invalid", 443)),
        ("[evil.com]:443", tcp("invalid", 443)),
        (".a.test:443", tcp("invalid", 443)),
        (":443", tcp("invalid", 443)),
        ("a.test:0", tcp("a.test", 0)),
        ("a.test", None),
        ("::1", None),
        ("a.test:", None),
        ("a.test:99999", None),
        ("a.test:+1", None),
        ("ftp://a.test", None),
        ("unix:/run/a.sock", None),
        ("", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn the_scheme_says_what_the_bytes_are() {
    let payload = |text: &str| text.parse::<Target>().ok().map(|target| target.payload);
    let http = |method: &str, path: &str| {
        Some(Payload::Http(HttpRequest { method: method.into(), path: path.into() }))
    };
    assert_eq!(payload("a.test:80"), Some(Payload::Unknown));
    assert_eq!(payload("https://a.test/x"), Some(Payload::Tls));
    assert_eq!(payload("http://a.test"), http("GET", "/"));
    assert_eq!(payload("http://a.test?q=1#part"), http("GET", "/?q=1"));
    assert_eq!(payload("http://a.test/b/c?d  HEAD"), http("HEAD", "/b/c?d"));
    // As sent: nothing is decoded or resolved on the way to the engine.
    assert_eq!(payload("http://a.test/%2e%2e/x get"), http("get", "/%2e%2e/x"));
}

#[test]
fn a_host_that_is_none_is_refused_by_name() {
    let policy = Policy::new(crate::policy::Settings::default(), Vec::new());
    let target: Target = "[evil.com]:443".parse().unwrap();
    match judge(&policy, &target, &mut Answers::default()) {
        Decision::Refuse(refusal) => assert_eq!(refusal.reason, Reason::InvalidHost),
        Decision::Allow { .. } => panic!("an invalid host was allowed"),
    }
}
