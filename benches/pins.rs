//! Cost of what a connection asks the table of pins: `cargo bench -p benches --bench pins`.
//!
//! By the number of pins in the table, which must not matter, and by the number of names that share the
//! address. "while others write" is what a connection asks while nine threads pin names, each write to the store
//! taking as long as a few bpf(2) calls.
use std::{
    hint::black_box,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egress_user::{
    config::{self, Flags},
    pins::{NEVER_NS, Naming, Opening, PinStore, Pins},
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
fn table(policy: &Policy, pins: u32, sharing: u32) -> Option<(Pins, Name)> {
    let table = Pins::new(Arc::new(Elsewhere));
    let mut first = None;
    for number in 0..pins {
        let [_, high, middle, low] = number.to_be_bytes();
        let at = if number < sharing { SITE } else { Ipv4Addr::new(93, high, middle, low).into() };
        let name = Name::parse(&format!("host{number}.example.com")).ok()?;
        let grant = policy.name(&name).ok()?;
        table.pin(&name, &grant, &[(at, NEVER_NS)], 0).ok()?;
        first.get_or_insert(name);
    }
    Some((table, first?))
}

fn lookups(criterion: &mut Criterion) {
    let Some(policy) = policy() else { return };
    let mut group = criterion.benchmark_group("pins");
    for (pins, sharing) in [(1, 1), (4000, 1), (4000, 16), (4000, 256)] {
        let Some((table, name)) = table(&policy, pins, sharing) else { continue };
        let of = format!("{pins} pins, {sharing} of the address");
        group.bench_function(BenchmarkId::new("names of an address", &of), |bencher| {
            bencher.iter(|| table.names_of(black_box(SITE), 1));
        });
        group.bench_function(BenchmarkId::new("addresses of a name", &of), |bencher| {
            bencher.iter(|| table.addresses_of(black_box(&name), 1));
        });
        group.bench_function(BenchmarkId::new("hold and release", &of), |bencher| {
            bencher.iter(|| {
                table.hold(black_box(SITE), 1);
                table.release(SITE, 1);
            });
        });
        group.bench_function(BenchmarkId::new("renew all", &of), |bencher| {
            bencher.iter(|| table.renew(1));
        });
    }
    group.finish();
}

/// A kernel that takes its time.
struct Slow;

/// For one write.
const WRITE: Duration = Duration::from_micros(5);

impl PinStore for Slow {
    fn pin(&self, _: IpAddr, _: &Opening) -> io::Result<()> {
        let end = Instant::now() + WRITE;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn unpin(&self, _: IpAddr) {}

    fn name(&self, _: IpAddr, _: &Name, _: &Naming) -> Option<u64> {
        Some(1)
    }
}

fn contended(criterion: &mut Criterion) {
    let Some(policy) = policy() else { return };
    let pins = Pins::new(Arc::new(Slow));
    let parsed: Result<Vec<Name>, _> =
        (0..10).map(|number| Name::parse(&format!("host{number}.example.com"))).collect();
    let Ok(names) = parsed else { return };
    let Some((first, others)) = names.split_first() else { return };
    let Ok(grant) = policy.name(first) else { return };
    if pins.pin(first, &grant, &[(SITE, NEVER_NS)], 0).is_err() {
        return;
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (number, name) in (1..).zip(others) {
            let (pins, grant, is_over) = (&pins, &grant, &is_over);
            scope.spawn(move || {
                let at = IpAddr::from([93, 184, 217, number]);
                let mut now_ns = 0;
                while !is_over.load(Ordering::Relaxed) {
                    // Far enough apart that each is written.
                    now_ns += 1_000_000_000;
                    let wanted = [(at, now_ns + 60_000_000_000)];
                    if pins.pin(name, grant, &wanted, now_ns).is_err() {
                        return;
                    }
                }
            });
        }
        criterion.bench_function("pins/names of an address/while others write", |bencher| {
            bencher.iter(|| pins.names_of(black_box(SITE), 1));
        });
        is_over.store(true, Ordering::Relaxed);
    });
}

criterion_group!(all, lookups, contended);
criterion_main!(all);
