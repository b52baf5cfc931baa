//! Lists of hosts, as allows and by their own models: what a list says of a host is what it is.
use std::cell::Cell;

use super::*;

fn item() -> impl Strategy<Value = String> {
    let others = prop::sample::select(vec!["10.0.0.0/8", "93.184.216.0/24", "https://a.test", "*"]);
    prop_oneof![8 => pattern(), 1 => others.prop_map(str::to_owned)]
        .prop_map(|item| item.trim().to_owned())
        .prop_filter("no host", |item| !item.is_empty())
}

/// With a port behind any of them, the list is one of endpoints.
fn allows(items: &[String], asked: Asked) -> bool {
    let has_port = |item: &String| {
        !item.contains("://") && harden_runner::port_of(item).is_some_and(|port| port != 0)
    };
    if items.iter().any(has_port) {
        return harden_runner::allows(items, asked);
    }
    let matches = |item: &String| match item.as_str() {
        "*" => true,
        "https://a.test" => asked.host == "a.test" && asked.port == 443,
        block if block.contains('/') => {
            let block: ipnet::IpNet = block.parse().unwrap();
            asked.bare().parse().is_ok_and(|address: std::net::IpAddr| block.contains(&address))
        }
        item => match (item.strip_prefix("*."), item.strip_prefix("**."), item.strip_prefix('.')) {
            (Some(base), _, _) => is_below(base, asked),
            (_, Some(base), _) | (_, _, Some(base)) => {
                is_below(base, asked) || is_same(base, asked)
            }
            _ => is_same(item, asked),
        },
    };
    items.iter().any(matches)
}

#[test]
fn lists_are_never_wider_here() {
    let passed = Cell::new(0);
    let list =
        (prop::collection::vec(item(), 1..6), prop::sample::select(vec!["\n", " ", " # x\n"]));
    proptest!(|((items, between) in list)| {
        let text = format!("# hosts\n{}\n", items.join(between));
        passed.set(passed.get() + hold(&text, None, |asked| allows(&items, asked)));
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}
