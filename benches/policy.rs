//! Cost of a decision.
use criterion::{Criterion, criterion_group, criterion_main};

fn decision(_criterion: &mut Criterion) {}

criterion_group!(benches, decision);
criterion_main!(benches);
