//! `--allow` and `--deny`.
use super::*;

fn flag(allow: &str) -> Result<(String, PortSet), String> {
    let flags = Flags { allow: vec![allow.to_owned()], ..Flags::default() };
    let mut rules = flags.rules().map_err(|errors| errors.to_string())?;
    let rule = rules.remove(0);
    assert_eq!((rule.action, rule.origin.to_string()), (Action::Allow, "--allow".to_owned()));
    Ok((rule.pattern.to_string(), rule.options.ports))
}

#[test]
fn flags_take_names_addresses_and_blocks_with_ports() {
    let only = |ports: &[u16]| PortSet::only(ports.to_vec());
    for (text, pattern, ports) in [
        ("example.org", "example.org", PortSet::All),
        ("*", "*", PortSet::All),
        ("**.Example.org:443,80", "**.example.org", only(&[80, 443])),
        ("[2606::1]:443", "2606::1", only(&[443])),
        ("2606::1", "2606::1", PortSet::All),
        ("2606::443", "2606::443", PortSet::All),
        ("10.0.0.0/8", "10.0.0.0/8", PortSet::All),
        ("10.0.0.0/8:5432", "10.0.0.0/8", only(&[5432])),
        ("2001:db8::/32", "2001:db8::/32", PortSet::All),
        ("2001:db8::/32:22", "2001:db8::/32", only(&[22])),
        ("[2001:db8::/32]:22", "2001:db8::/32", only(&[22])),
        ("127.1:22", "127.0.0.1", only(&[22])),
        ("a.test:30000-30002,22", "a.test", only(&[22, 30000, 30001, 30002])),
        ("[2606::1]:5-6", "2606::1", only(&[5, 6])),
    ] {
        assert_eq!(flag(text), Ok((pattern.to_owned(), ports)), "{text}");
    }
    for (text, suggestion) in [
        ("", "host name"),
        ("https://example.org/x", "write \"example.org\""),
        ("https://example.org:8443/x", "write \"example.org:8443\""),
        ("example.org/x", "write \"example.org\" alone"),
        ("example.org:", "write --allow example.org:443"),
        ("example.org:0", "write --allow example.org:443"),
        ("example.org:443,", "write --allow example.org:443"),
        ("example.org:+443", "write --allow example.org:443"),
        ("example.org:9-8", "write --allow example.org:443 or --allow example.org:80,8000-8010"),
        ("example.org:0-8", "write --allow example.org:443"),
        ("example.org:65536", "write --allow example.org:443"),
        ("10.0.0.1/8", "\"10.0.0.0/8\""),
        ("a*.org", "one line for each"),
    ] {
        let error = flag(text).unwrap_err();
        assert!(error.contains(suggestion), "{text}: {error}");
    }
    let deny = Flags { deny: vec!["a.test:1".into(), "*".into()], ..Flags::default() };
    assert_eq!(deny.rules().unwrap_err().iter().count(), 2);
}

#[test]
fn flags_and_files_add_up_and_denies_win() {
    let higher = "[network]\nnetwork_access = true\n[network.domains]\n\"**.b.com\" = \"deny\"\n\"a.com\" = { action = \"allow\", ports = [22] }";
    let lower = "[network]\nallow_local_binding = true\n[network.domains]\n\"x.b.com\" = \"allow\"";
    let layers = vec![parse(higher, "h.toml").unwrap(), parse(lower, "l.toml").unwrap()];
    let flags = Flags { allow: vec!["a.com:443".into()], ..Flags::default() };
    let assembled = assemble_layers(layers, &flags).unwrap();
    let grant = assembled.policy.name(&name("a.com")).unwrap();
    assert!(grant.opens(22, Transport::Tcp) && grant.opens(443, Transport::Tcp));
    assert!(!grant.opens(80, Transport::Tcp));
    let refusal = assembled.policy.name(&name("x.b.com")).unwrap_err();
    assert_eq!(refusal.rule.unwrap().origin.layer, Layer::Managed);
    assert_eq!(assembled.warnings.len(), 1);
}
