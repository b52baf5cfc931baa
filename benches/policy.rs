//! Cost of a decision, by the number of rules: `cargo bench -p benches --bench policy`.
//!
//! It has to stay flat. Each measurement is one decision before any lookup.
use std::{hint::black_box, net::IpAddr};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egress_user::policy::{
    Action, Host, Name, Origin, Pattern, Policy, Rule, RuleOptions, Settings,
};

/// Half names, a quarter wildcards, a quarter blocks; one in ten is a deny.
fn policy(count: u32) -> Policy {
    let rules = (0..count).map(|n| {
        let (high, low) = (n >> 8, n & 0xff);
        let text = match n % 4 {
            0 => format!("**.group{n}.example.com"),
            1 => format!("{}.{}.{low}.0/24", 16 + (high >> 8), high & 0xff),
            _ => format!("host{n}.example.com"),
        };
        let action = if n % 10 == 9 { Action::Deny } else { Action::Allow };
        let pattern = Pattern::parse_address(&text)
            .or_else(|_| Pattern::parse_domain(&text, action))
            .unwrap_or(Pattern::Any);
        let origin = Origin::new("bench.toml", Some(n));
        Rule { text, pattern, action, options: RuleOptions::default(), origin }
    });
    let settings = Settings::default();
    Policy::new(settings, rules.collect())
}

fn decision(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    for count in [10, 1_000, 100_000] {
        let policy = policy(count);
        let ask = |text: &str| Name::parse(text).map(|name| policy.name(black_box(&name)).is_ok());
        assert_eq!(ask("host2.example.com"), Ok(true));
        let Ok(name) = Name::parse("a.b.c.group4.example.com") else { continue };
        group.bench_function(BenchmarkId::new("name allowed", count), |bencher| {
            bencher.iter(|| policy.name(black_box(&name)));
        });
        let Ok(name) = Name::parse("a.b.c.unknown.example.org") else { continue };
        group.bench_function(BenchmarkId::new("name refused", count), |bencher| {
            bencher.iter(|| policy.name(black_box(&name)));
        });
        let address = IpAddr::from([16, 0, 1, 1]);
        group.bench_function(BenchmarkId::new("address allowed", count), |bencher| {
            bencher.iter(|| policy.address(black_box(address)));
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("address_entries", count), |bencher| {
            bencher.iter(|| black_box(&policy).address_entries());
        });
        group.sample_size(100);
    }
    group.finish();
}

fn spelling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("host");
    for text in ["API.example.com.", "bücher.example", "2606:4700::1111", "0x7f.1"] {
        group.bench_function(text, |bencher| bencher.iter(|| Host::parse(black_box(text))));
    }
    group.finish();
}

criterion_group!(benches, decision, spelling);
criterion_main!(benches);
