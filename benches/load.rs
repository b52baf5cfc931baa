//! Cost of reading a policy, by the number of rules: `cargo bench -p benches --bench load`.
//!
//! - `load`: text to policy, warnings included: what `egress check` waits for.
//! - `reload`: the same, and the list of entries for the kernel's map. Goal for 100,000 rules: 150 ms.
//! - the parts of a reload, so that a slow one has a name.
use std::hint::black_box;

use benches::policy_text;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use egress_user::{
    config::{self, Assembled, Flags, Loaded},
    policy::{Policy, Settings},
};

fn parse(text: &str) -> Loaded {
    config::parse(text, "bench.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn assemble(loaded: Loaded) -> Assembled {
    config::assemble_layers(vec![loaded], &Flags::default())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(20);
    for count in [10, 1_000, 100_000] {
        let text = policy_text(count);
        let id = |part: &str| BenchmarkId::new(part, count);
        group.bench_function(id("load"), |bencher| {
            bencher.iter_with_large_drop(|| assemble(parse(black_box(&text))));
        });
        group.bench_function(id("reload"), |bencher| {
            bencher.iter_with_large_drop(|| {
                let assembled = assemble(parse(black_box(&text)));
                (assembled.policy.address_entries(), assembled)
            });
        });
        let loaded = parse(&text);
        group.bench_function(id("part: parse"), |bencher| {
            bencher.iter_with_large_drop(|| parse(black_box(&text)));
        });
        group.bench_function(id("part: assemble"), |bencher| {
            bencher.iter_batched(|| loaded.clone(), assemble, BatchSize::PerIteration);
        });
        group.bench_function(id("part: index"), |bencher| {
            let rules = || loaded.network.rules.clone();
            let index = |rules| Policy::new(Settings::default(), rules);
            bencher.iter_batched(rules, index, BatchSize::PerIteration);
        });
        let policy = assemble(loaded.clone()).policy;
        group.bench_function(id("part: address_entries"), |bencher| {
            bencher.iter_with_large_drop(|| black_box(&policy).address_entries());
        });
    }
    group.finish();
}

criterion_group!(benches, load);
criterion_main!(benches);
