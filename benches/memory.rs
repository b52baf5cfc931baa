//! Memory of a policy, by the number of rules, and of pins: `cargo bench -p benches --bench memory`.
//!
//! Bytes that the program asked its allocator for, counted: what the policy keeps for a rule, and
//! the most that a load held at once, its text left out; what a table of pins keeps for a pin. In the
//! kernel's maps a pin costs about 128 bytes for its address, 512 for its name and 64 for the count
//! of its connections (the sizes that the kernel allocates for these records).
use std::net::{IpAddr, Ipv4Addr};

use benches::policy_text;
use egress_user::{
    config::{self, Flags},
    pins::{MAX_PINS, NEVER_NS, Naming, Opening, PinStore, Pins},
    policy::Name,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    println!("{:>8}  {:>18}  {:>18}", "rules", "kept / rule", "most / rule");
    for count in [10, 1_000, 100_000_u32] {
        let text = policy_text(count);
        let profiler = dhat::Profiler::builder().testing().build();
        let loaded = config::parse(&text, "bench.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let assembled = config::assemble_layers(vec![loaded], &Flags::default())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let policy = assembled.policy;
        drop((assembled.warnings, assembled.not_built));
        let stats = dhat::HeapStats::get();
        let rules = usize::try_from(count).unwrap_or(usize::MAX);
        let each = |bytes: usize| format!("{} bytes", bytes / rules);
        println!("{count:>8}  {:>18}  {:>18}", each(stats.curr_bytes), each(stats.max_bytes));
        drop((policy, profiler));
    }
    pins();
}

/// A sink that keeps nothing, as the kernel's maps are not in this process.
struct Elsewhere;

impl PinStore for Elsewhere {
    fn pin(&self, _: IpAddr, _: &Opening) -> std::io::Result<()> {
        Ok(())
    }

    fn unpin(&self, _: IpAddr) {}

    fn name(&self, _: IpAddr, _: &Name, _: &Naming) -> Option<u64> {
        Some(1)
    }
}

/// 100,000 pins, in as many sandboxes as that takes.
fn pins() {
    const PINS: usize = 100_000;
    let text = "[network.domains]\n\"**.example.com\" = \"allow\"\n";
    let loaded = config::parse(text, "bench.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let policy = config::assemble_layers(vec![loaded], &Flags::default())
        .unwrap_or_else(|errors| panic!("{errors}"))
        .policy;
    let profiler = dhat::Profiler::builder().testing().build();
    let mut tables = Vec::new();
    let mut count = 0;
    while count < PINS {
        let table = Pins::new(std::sync::Arc::new(Elsewhere));
        for _ in 0..MAX_PINS.min(PINS - count) {
            let (high, low) = ((count >> 8) as u8, count as u8);
            let address = IpAddr::from(Ipv4Addr::new(93, (count >> 16) as u8, high, low));
            let name = Name::parse(&format!("host{count}.cdn.example.com"));
            let Ok(name) = name else { continue };
            let Ok(grant) = policy.name(&name) else { continue };
            table
                .pin(&name, &grant, &[(address, NEVER_NS)], 0)
                .unwrap_or_else(|error| panic!("{error}"));
            count += 1;
        }
        tables.push(table);
    }
    let bytes = dhat::HeapStats::get().curr_bytes;
    println!("{PINS} pins in {} sandboxes: {} bytes a pin", tables.len(), bytes / PINS);
    drop((tables, profiler));
}
