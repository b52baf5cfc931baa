//! Ports of rules, and ranges of them.
use super::*;

fn rules(options: &str) -> Result<Policy, String> {
    let text = format!("[network.domains]\n\"a.test\" = {{ action = \"allow\", {options} }}\n");
    let layer = parse(&text, "p.toml").map_err(|errors| errors.to_string())?;
    assemble_layers(vec![layer], &Flags::default())
        .map(|assembled| assembled.policy)
        .map_err(|errors| errors.to_string())
}

fn ports(text: &str) -> Result<String, String> {
    let policy = rules(&format!("ports = [{text}]"))?;
    Ok(policy.name(&name("a.test")).unwrap().tcp_ports().to_string())
}

#[test]
fn ranges_stand_beside_ports() {
    for (text, expected) in [
        ("22, \"30000-31000\"", "22, 30000-31000"),
        ("\"30000-31000\", \"30500-32000\", 443", "443, 30000-32000"),
        ("\"5-5\"", "5"),
        ("8000, 8001, 8002", "8000-8002"),
        ("\"1-65535\"", "1-65535"),
    ] {
        assert_eq!(ports(text).unwrap(), expected, "{text}");
    }
    let policy = rules("ports = [\"30000-31000\"]").unwrap();
    let grant = policy.name(&name("a.test")).unwrap();
    for (port, is_open) in [(29_999, false), (30_000, true), (31_000, true), (31_001, false)] {
        assert_eq!(grant.opens(port, Transport::Tcp), is_open, "{port}");
    }
}

#[test]
fn what_is_no_range_is_refused_with_the_form_that_is_meant() {
    for (text, expected) in [
        ("\"31000-30000\"", "\"31000-30000\" is not a port; write \"30000-31000\""),
        ("\"8000:8010\"", "write \"8000-8010\""),
        ("\"8000 - 8010\"", "write \"8000-8010\""),
        ("\"8000,8010\"", "write each port, as in [8000, 8001]"),
        ("\"0-80\"", "write a port of 1 to 65535, or a range such as \"8000-8010\""),
        ("\"80-65536\"", "or a range"),
        ("\"80-\"", "or a range"),
        ("\"-80\"", "or a range"),
        ("-80", "-80 is not a port"),
        ("65536", "65536 is not a port"),
        ("true", "true is not a port"),
    ] {
        let error = ports(text).unwrap_err();
        assert!(error.starts_with("p.toml:2:"), "{text}: {error}");
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn more_ranges_than_the_kernel_holds_are_an_error_with_the_line() {
    let list = |count: u16, from: u16| {
        let ports: Vec<_> = (0..count).map(|at| (from + 2 * at).to_string()).collect();
        ports.join(", ")
    };
    assert!(ports(&list(32, 1000)).is_ok());
    let error = ports(&list(33, 1000)).unwrap_err();
    assert!(
        error.starts_with("p.toml:2:1: \"a.test\" opens 33 ranges of ports, and 32 is the most"),
        "{error}"
    );
    // Neighbours are one, however they are written.
    assert!(
        ports(&(1000..1100).map(|port| port.to_string()).collect::<Vec<_>>().join(",")).is_ok()
    );
    // Lines of one pattern count together, wherever they stand.
    let line = |from| {
        let ports = list(20, from);
        format!("[network.domains]\n\"a.test\" = {{ action = \"allow\", ports = [{ports}] }}\n")
    };
    let layers =
        vec![parse(&line(1000), "high.toml").unwrap(), parse(&line(2000), "low.toml").unwrap()];
    let error = assemble_layers(layers, &Flags::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("low.toml:2:1: \"a.test\", together with a.test (high.toml:2),"),
        "{error}"
    );
    // Of flags, too.
    let allow = format!("a.test:{}", list(33, 1000).replace(' ', ""));
    let flags = Flags { allow: vec![allow], ..Flags::default() };
    let error = assemble_layers(vec![], &flags).unwrap_err().to_string();
    assert!(error.starts_with("--allow: "), "{error}");
}

#[test]
fn ranges_bound_ranges() {
    let line = |ports: &str| {
        format!("[network.domains]\n\"a.test\" = {{ action = \"allow\", ports = [{ports}] }}\n")
    };
    for (high, low, holds) in [
        ("\"1000-2000\"", "\"1500-1600\", 1000", true),
        ("\"1000-2000\"", "\"1500-2001\"", false),
        ("\"1000-1499\", \"1500-2000\"", "\"1400-1600\"", true),
        ("\"1000-1498\", \"1500-2000\"", "\"1400-1600\"", false),
    ] {
        let only = "[network]\nmanaged_allowed_domains_only = true\n";
        let texts = [format!("{only}{}", line(high)), String::new(), line(low)];
        let layers = texts.iter().map(|text| parse(text, "p.toml").unwrap()).collect();
        assert_eq!(assemble_layers(layers, &Flags::default()).is_ok(), holds, "{high} {low}");
    }
}
