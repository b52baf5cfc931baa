//! The spelling of a host, in the policy or in what is asked, changes no decision.
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use egress_user::{
    config::{self, Flags},
    policy::{Host, Name, Policy},
};
use proptest::prelude::*;

fn policy(table: &str, pattern: &str, action: &str) -> Policy {
    let text = format!(
        "[network.{table}]\n{pattern:?} = {action:?}\n[network.domains]\n\"*\" = \"allow\"\n"
    );
    let text = match table {
        "domains" => text.replace("[network.domains]\n\"*\"", "\"*\""),
        _ => text,
    };
    let loaded = config::parse(&text, "policy.toml").unwrap_or_else(|e| panic!("{e}"));
    config::assemble_layers(vec![loaded], &Flags::default()).unwrap().policy
}

/// Some way of writing the name: each character in one of its forms.
fn respell(name: &str, choices: &[u8], dot: bool) -> String {
    let wide = |c: char| char::from_u32(u32::from(c) + 0xfee0).unwrap();
    let mut text = String::new();
    for (c, choice) in name.chars().zip(choices.iter().cycle()) {
        text.push(match (c, choice % 4) {
            ('.', 0) => '。',
            ('.', 1) => '．',
            (_, 1) if c.is_ascii_alphanumeric() => wide(c),
            (_, 2) => c.to_ascii_uppercase(),
            (_, _) => c,
        });
    }
    if dot {
        text.push('.');
    }
    text
}

/// A form of inet_aton(3): the address in so many parts, each in one of three bases.
fn inet_aton(address: Ipv4Addr, parts: usize, bases: &[u8]) -> String {
    let bits = address.to_bits();
    let mut text = String::new();
    for part in 0..parts {
        let value = match part + 1 == parts {
            true => bits & u32::MAX.checked_shr(8 * part as u32).unwrap_or(0),
            false => u32::from(address.octets()[part]),
        };
        let separator = if part == 0 { "" } else { "." };
        match bases[part % bases.len()] % 4 {
            0 => write!(text, "{separator}{value:#x}").unwrap(),
            1 => write!(text, "{separator}0{value:o}").unwrap(),
            2 => write!(text, "{separator}0X{value:08X}").unwrap(),
            _ => write!(text, "{separator}{value}").unwrap(),
        }
    }
    text
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z][a-z0-9_-]{0,8}", 1 => Just("xn--bcher-kva".to_owned()), 1 => Just("bücher".to_owned())]
}

fn written_name() -> impl Strategy<Value = String> {
    prop::collection::vec(label(), 1..4).prop_map(|labels| format!("{}.test", labels.join(".")))
}

proptest! {
    #[test]
    fn of_a_name(
        name in written_name(),
        choices in prop::collection::vec(any::<u8>(), 1..16),
        dot in any::<bool>(),
        wildcard in prop::sample::select(vec!["", "*.", "**."]),
    ) {
        let spelled = respell(&name, &choices, dot);
        let normal = Host::parse(&name).unwrap();
        prop_assert_eq!(Host::parse(&spelled).ok(), Some(normal.clone()), "{}", spelled);
        // A deny in any spelling closes the name in its normal one, and the other way round.
        let apex = wildcard != "*.";
        for (pattern, asked) in [(&spelled, &name), (&name, &spelled)] {
            let policy = policy("domains", &format!("{wildcard}{pattern}"), "deny");
            let below = format!("x.{asked}");
            for (text, denied) in [(asked, apex), (&below, !wildcard.is_empty())] {
                let name = Name::parse(text).unwrap();
                prop_assert_eq!(policy.name(&name).is_err(), denied, "{} of {}", text, pattern);
            }
        }
    }

    #[test]
    fn of_an_address(
        bits in any::<u32>(),
        parts in 1..=4_usize,
        bases in prop::collection::vec(any::<u8>(), 4),
        form in 0..5_u8,
    ) {
        let address = Ipv4Addr::from_bits(bits);
        let [high, low] = [bits >> 16, bits & 0xffff];
        let spelled = match form {
            0 => inet_aton(address, parts, &bases),
            1 => format!("[{}]", inet_aton(address, parts, &bases)),
            2 => format!("::ffff:{address}"),
            3 => format!("[::FFFF:{high:X}:{low:X}]"),
            _ => format!("0:0:0:0:0:ffff:{high:x}:{low:x}%eth0"),
        };
        prop_assert_eq!(Host::parse(&spelled), Ok(Host::Address(address.into())), "{}", spelled);
        for table in ["domains", "addresses"] {
            let [closed, opened] = ["deny", "allow"].map(|action| policy(table, &spelled, action));
            let mapped = IpAddr::V6(address.to_ipv6_mapped());
            for asked in [address.into(), mapped] {
                prop_assert!(closed.denied_address(asked).is_some(), "{} of {}", asked, spelled);
                prop_assert!(opened.address(asked).is_ok(), "{} of {}", asked, spelled);
            }
            // A deny covers the NAT64 form, an allow does not.
            let nat64 = IpAddr::V6(format!("64:ff9b::{address}").parse().unwrap());
            prop_assert!(closed.denied_address(nat64).is_some(), "{} of {}", nat64, spelled);
        }
    }
}
