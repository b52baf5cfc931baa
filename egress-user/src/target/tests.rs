use super::*;
use crate::policy::Action;

fn read(text: &str) -> Option<(String, u16, Transport)> {
    let NetworkTarget { host, port, transport, .. } = match text.parse::<Target>().ok()? {
        Target::Network(target) => target,
        Target::Unix(address) => return Some((address.to_string(), 0, Transport::Tcp)),
    };
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
        ("unix:/run/a.sock", tcp("/run/a.sock", 0)),
        ("unix:@bus", tcp("@bus", 0)),
        ("", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn the_scheme_says_what_the_bytes_are() {
    let payload = |text: &str| match text.parse::<Target>() {
        Ok(Target::Network(target)) => Some(target.payload),
        Ok(Target::Unix(_)) | Err(_) => None,
    };
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
    let verdict = judge(&policy, &target, &mut Answers::default());
    assert_eq!(verdict.reason, Some(Reason::InvalidHost));
}

#[test]
fn the_line_that_lets_it_pass_is_the_one_shown() {
    let file = |text: &str, name: &str| crate::config::parse(text, name).unwrap();
    let files = vec![
        file("[network.domains]\n'a.test' = { action = 'allow', ports = [22] }", "a.toml"),
        file("[network.domains]\n'a.test' = { action = 'allow', ports = [80] }", "b.toml"),
    ];
    let policy = crate::config::assemble_layers(files, &crate::config::Flags::default());
    let mut answers = Answers::default();
    answers.set_others(Answers::of_words(["93.184.216.34"], Vec::new()).unwrap());
    let policy = policy.unwrap().policy;
    let mut say = |target: &str| judge(&policy, &target.parse().unwrap(), &mut answers).to_string();
    assert_eq!(say("a.test:22"), "allow by a.test (a.toml:2)");
    assert_eq!(say("a.test:80"), "allow by a.test (b.toml:2)");
    assert_eq!(say("b.test:80"), "deny (not_allowed) by no rule");
}

#[test]
fn unix_sockets_are_judged_by_their_own_rules() {
    let rule = |text: &str, action| UnixRule {
        text: text.to_owned(),
        address: UnixAddress::parse(text).unwrap(),
        action,
        origin: Origin::new("p.toml", Some(2)),
    };
    let rules = vec![rule("/run/a.sock", Action::Allow), rule("@bus", Action::Deny)];
    let policy = Policy::new(crate::policy::Settings::default(), Vec::new()).with_unix_rules(rules);
    let say = |target: &str| {
        judge(&policy, &target.parse().unwrap(), &mut Answers::default()).to_string()
    };
    assert_eq!(say("unix:/run/a.sock"), "allow by /run/a.sock (p.toml:2)");
    assert_eq!(say("unix:@bus"), "deny (denied) by @bus (p.toml:2)");
    assert_eq!(say("unix:/run/b.sock"), "deny (unix_socket_not_allowed) by no rule");
}
