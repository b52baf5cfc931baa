use super::*;

fn domain(text: &str) -> Result<String, PatternError> {
    Pattern::parse_domain(text, Action::Allow).map(|pattern| pattern.to_string())
}

#[test]
fn patterns_are_normalised_like_hosts() {
    for (text, normal) in [
        ("Example.COM.", "example.com"),
        ("*.Example.COM.", "*.example.com"),
        ("**.bücher.example", "**.xn--bcher-kva.example"),
        ("*", "*"),
        ("[::1]", "::1"),
        ("0x7f.1", "127.0.0.1"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("*.com", "*.com"),
    ] {
        assert_eq!(domain(text), Ok(normal.to_owned()), "{text}");
    }
}

#[test]
fn each_mistake_is_named_with_what_to_write() {
    for (text, action, message, suggestion) in [
        ("", Action::Allow, "empty", "example.com"),
        ("*", Action::Deny, "cannot be denied", "leave the line out"),
        ("**", Action::Deny, "cannot be denied", "leave the line out"),
        ("*.*", Action::Deny, "cannot be denied", "leave the line out"),
        ("***", Action::Deny, "cannot be denied", "leave the line out"),
        ("**.*", Action::Deny, "cannot be denied", "leave the line out"),
        ("**", Action::Allow, "not a pattern", "\"*\""),
        ("*.", Action::Allow, "not a pattern", "\"*\""),
        (
            "https://a.com:8443/x",
            Action::Allow,
            "scheme",
            "\"a.com\" = { action = \"allow\", ports = [8443] }",
        ),
        ("https://a.com/x:1", Action::Allow, "scheme", "write \"a.com\""),
        ("a.com/x", Action::Allow, "path", "write \"a.com\""),
        ("10.0.0.0/8", Action::Deny, "block", "[network.addresses]"),
        ("a.com:443", Action::Allow, "port", "ports = [443]"),
        ("[::1]:443", Action::Allow, "port", "\"[::1]\""),
        ("a*.com", Action::Allow, "whole labels", "one line for each"),
        ("*example.com", Action::Allow, "whole labels", "\"*.example.com\""),
        ("a.*.com", Action::Allow, "whole labels", "one line for each"),
        ("*.*.com", Action::Allow, "whole labels", "one line for each"),
        ("***.a.com", Action::Deny, "whole labels", "\"*.a.com\""),
        ("a?.com", Action::Allow, "not part", "one line for each"),
        ("{a,b}.com", Action::Allow, "not part", "one line for each"),
        ("[a-z].com", Action::Allow, "not part", "one line for each"),
        ("[*]", Action::Allow, "not part", "one line for each"),
        ("*.1.2.3.4", Action::Allow, "below the address", "[network.addresses]"),
        ("a..b", Action::Allow, "empty label", "example.com"),
        ("*..b", Action::Allow, "empty label", "*.example.com"),
        ("＊.example.com", Action::Allow, "character", "example.com"),
        ("a b", Action::Allow, "", "example.com"),
    ] {
        let error = Pattern::parse_domain(text, action).unwrap_err();
        assert!(error.message.contains(message), "{text:?}: {error}");
        assert!(error.suggestion.contains(suggestion), "{text:?}: {error}");
    }
}

#[test]
fn blocks_are_canonical() {
    let parse = |text| Pattern::parse_address(text).map(|pattern| pattern.to_string());
    assert_eq!(parse("10.0.0.0/8"), Ok("10.0.0.0/8".into()));
    assert_eq!(parse("10.0.0.7/32"), Ok("10.0.0.7".into()));
    assert_eq!(parse("::ffff:10.0.0.0/104"), Ok("10.0.0.0/8".into()));
    assert_eq!(parse("[2606::1]"), Ok("2606::1".into()));
    assert_eq!(parse("::/0"), Ok("::/0".into()));
    assert!(parse("10.0.0.1/8").unwrap_err().suggestion.contains("\"10.0.0.0/8\""));
    assert!(parse("example.com").unwrap_err().suggestion.contains("[network.domains]"));
    for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "fe80::%eth0/64", "*", "10.0.0.0-9"]
    {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn errors_are_safe_to_print() {
    for text in ["https://a\u{1b}[31m/", "a\u{7}b:443", "a\rb/c", "a\nb"] {
        let error = domain(text).unwrap_err().to_string();
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
}
