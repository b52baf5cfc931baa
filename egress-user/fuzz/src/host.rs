//! Hosts: one value for every spelling, and a normal form that stays.
use egress_user::policy::{Host, Name};

/// Text of a host, with a port or without.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    with_port(text);
    let parsed = Host::parse(text).ok();
    let same = |other: &str| assert_eq!(Host::parse(other).ok(), parsed, "{text:?} as {other:?}");
    same(&format!(" {text}\r\n"));
    same(&text.to_ascii_uppercase());
    same(&text.to_ascii_lowercase());
    let Some(host) = &parsed else { return };
    assert_eq!(Host::parse_with_port(text), Ok((host.clone(), None)), "{text:?}");
    let normal = host.to_string();
    same(&normal);
    same(&normal.to_uppercase());
    match host {
        Host::Name(name) => {
            same(&format!("{normal}."));
            same(&normal.replace('.', "。"));
            same(&full_width(&normal));
            is_name(name);
        }
        Host::Address(address) => {
            assert_eq!(address.to_canonical(), *address, "{text:?}");
            same(&format!("[{normal}]"));
            if address.is_ipv4() {
                same(&format!("{normal}."));
                same(&full_width(&normal));
                same(&format!("::ffff:{normal}"));
            } else {
                same(&format!("{normal}%eth0"));
            }
        }
    }
    for port in [0, 443, u16::MAX] {
        let expected = Ok((host.clone(), Some(port)));
        assert_eq!(Host::parse_with_port(&authority(host, port)), expected, "{text:?}");
    }
}

/// A port is taken off at most once, and what is left is a host by itself.
fn with_port(text: &str) {
    let Ok((host, Some(port))) = Host::parse_with_port(text) else { return };
    let (before, _) = text.rsplit_once(':').unwrap_or_default();
    assert_eq!(Host::parse(before), Ok(host.clone()), "{text:?}");
    assert_eq!(Host::parse_with_port(&authority(&host, port)), Ok((host, Some(port))), "{text:?}");
}

fn authority(host: &Host, port: u16) -> String {
    match host {
        Host::Address(address) if address.is_ipv6() => format!("[{host}]:{port}"),
        Host::Address(_) | Host::Name(_) => format!("{host}:{port}"),
    }
}

/// RFC 1035 section 2.3.4, letters, digits, `-` and `_`, and nothing that a resolver reads as a number.
fn is_name(name: &Name) {
    let text = name.as_str();
    assert!(text.len() <= 253, "{text:?}");
    for label in text.split('.') {
        assert!((1..=63).contains(&label.len()), "{text:?}");
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        assert!(label.bytes().all(plain), "{text:?}");
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    assert!(!last.bytes().all(|b| b.is_ascii_digit()), "{text:?}");
    let labels = text.split('.').map(str::as_bytes);
    assert_eq!(Name::from_labels(labels).as_ref(), Ok(name));
    assert!(Host::parse(&format!("[{text}]")).is_err(), "{text:?}");
}

/// The forms of U+FF01 and on, which UTS 46 maps to ASCII.
fn full_width(text: &str) -> String {
    let wide = |c: char| match c {
        '!'..='~' if c != '.' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        _ => c,
    };
    text.chars().map(wide).collect()
}
