//! Cost of what a connection asks the table of pins: `cargo bench -p benches --bench pins`.
//!
//! By the number of pins in the table, which must not matter, and by the number of names that share the
//! address.
use std::{
    hint::black_box,
    io,
    net::{IpAddr, Ipv4Addr},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egress_user::{
    config::{self, Flags},
    pins::{NEVER_NS, Naming, Opening, PinStore, PinTable},
    policy::{Name, Policy},
};

/// A kernel that takes everything.
struct Elsewhere;

impl PinStore for Elsewhere {
    fn pin(&self, _: IpAddr, _: &Opening) -> io::Result<()> {
        Ok(())
    }

    fn unpin(&self, _: IpAddr) {}

    fn name(&self, _: IpAddr, _: &Name, _: &Naming) -> Option<u64> {
        Some(1)
    }
}

const SITE: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34));

fn policy() -> Option<Policy> {
    let text = "[network.domains]\n\"**.example.com\" = \"allow\"\n";
    let loaded = config::parse(text, "bench.toml").ok()?;
    Some(config::assemble_layers(vec![loaded], &Flags::default()).ok()?.policy)
}

/// A table with so many pins, of which the first `sharing` are of [`SITE`].
fn table(policy: &Policy, pins: u32, sharing: u32) -> Option<(PinTable, Name)> {
    let mut table = PinTable::default();
    let mut first = None;
    for number in 0..pins {
        let [_, high, middle, low] = number.to_be_bytes();
        let at = if number < sharing { SITE } else { Ipv4Addr::new(93, high, middle, low).into() };
        let name = Name::parse(&format!("host{number}.example.com")).ok()?;
        let grant = policy.name(&name).ok()?;
        table.pin(&Elsewhere, &name, &grant, &[(at, NEVER_NS)], 0).ok()?;
        first.get_or_insert(name);
    }
    Some((table, first?))
}

fn lookups(criterion: &mut Criterion) {
    let Some(policy) = policy() else { return };
    let mut group = criterion.benchmark_group("pins");
    for (pins, sharing) in [(1, 1), (4000, 1), (4000, 16), (4000, 256)] {
        let Some((mut table, name)) = table(&policy, pins, sharing) else { continue };
        let of = format!("{pins} pins, {sharing} of the address");
        group.bench_function(BenchmarkId::new("names of an address", &of), |bencher| {
            bencher.iter(|| table.names_of(black_box(SITE), 1));
        });
        group.bench_function(BenchmarkId::new("addresses of a name", &of), |bencher| {
            bencher.iter(|| table.addresses_of(black_box(&name), 1));
        });
        group.bench_function(BenchmarkId::new("hold and release", &of), |bencher| {
            bencher.iter(|| {
                table.hold(&Elsewhere, black_box(SITE), 1);
                table.release(&Elsewhere, SITE, 1);
            });
        });
        group.bench_function(BenchmarkId::new("renew all", &of), |bencher| {
            bencher.iter(|| table.renew(&Elsewhere, 1));
        });
    }
    group.finish();
}

criterion_group!(all, lookups);
criterion_main!(all);
