//! What the kernel does with a compiled policy: the longest prefix among v4-mapped keys.
use std::net::{IpAddr, Ipv6Addr};

use egress_common::pin::Ports;
use egress_user::{
    pins::ports_of,
    policy::{AddressAction, AddressEntry, Policy},
};
use ipnet::IpNet;

/// What the map says to an address.
pub fn longest_match(rules: &[AddressEntry], address: IpAddr) -> Option<&AddressEntry> {
    let key = key(address);
    let matching = rules.iter().filter(|rule| {
        let (block, length) = block_key(rule.block);
        let kept = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        key.to_bits() & kept == block.to_bits() & kept
    });
    matching.max_by_key(|rule| block_key(rule.block).1)
}

/// Whether a TCP connection to an address that nothing pinned gets to the proxy.
pub fn reaches_proxy(policy: &Policy, rules: &[AddressEntry], address: IpAddr, port: u16) -> bool {
    match longest_match(rules, address) {
        None => policy.allows_public(),
        Some(AddressEntry { action: AddressAction::Allow, ports, .. }) => {
            ports_of(ports).contains(port)
        }
        Some(_) => false,
    }
}

/// Whether one to a pinned address does.
pub fn pinned_reaches_proxy(
    rules: &[AddressEntry],
    address: IpAddr,
    pin: Ports,
    port: u16,
) -> bool {
    let denied = |rule: &AddressEntry| rule.action == AddressAction::Deny;
    pin.contains(port) && !longest_match(rules, address).is_some_and(denied)
}

fn key(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn block_key(block: IpNet) -> (Ipv6Addr, u32) {
    let length = u32::from(block.prefix_len());
    (key(block.addr()), if block.addr().is_ipv4() { length + 96 } else { length })
}
