//! What several benches share: policies of any size, a network, a name server, medians.
use std::fmt::Write as _;

pub mod dns_wire;
pub mod stats;
pub mod world;

/// A file of so many rules: half names, a quarter wildcards, a quarter blocks; one in ten is a deny,
/// one in seven has ports.
pub fn policy_text(count: u32) -> String {
    format!("[network.domains]\n{}", rules_text(count))
}

/// The same, without the head of its first table.
pub fn rules_text(count: u32) -> String {
    let (mut domains, mut addresses) = (String::new(), String::from("[network.addresses]\n"));
    for n in 0..count {
        let (high, low) = (n >> 8, n & 0xff);
        let (table, pattern) = match n % 4 {
            0 => (&mut domains, format!("**.group{n}.example.com")),
            1 => (&mut addresses, format!("{}.{}.{low}.0/24", 16 + (high >> 8), high & 0xff)),
            _ => (&mut domains, format!("host{n}.example.com")),
        };
        let value = match (n % 10, n % 7) {
            (9, _) => "\"deny\"",
            (_, 6) => "{ action = \"allow\", ports = [443, 8443] }",
            _ => "\"allow\"",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(table, "\"{pattern}\" = {value}");
    }
    domains + &addresses
}
