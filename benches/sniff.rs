//! Cost of reading the first bytes of a connection: `cargo bench -p benches --bench sniff`.
//!
//! "kernel side" is the walk that the packet hook runs, here over a slice; "proxy" is the walk and rustls,
//! which have to agree.
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use egress_common::hello;
use egress_user::sniff::{RequestStream, Sniffer, TlsSniffer};

static HELLOS: [(&str, &[u8]); 2] = [
    ("curl", include_bytes!("../egress-user/tests/data/hello/curl-openssl3.bin")),
    ("post-quantum", include_bytes!("../egress-user/tests/data/hello/post-quantum-large.bin")),
];
const REQUEST: &[u8] = b"GET /simple/requests/ HTTP/1.1\r\nHost: pypi.org\r\nUser-Agent: pip/25.0\r\n\
    Accept: application/vnd.pypi.simple.v1+json\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n";

fn first_bytes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hello");
    for (client, bytes) in HELLOS {
        assert!(hello::read(bytes).is_ok());
        group.bench_function(BenchmarkId::new("protocol", client), |bencher| {
            bencher.iter(|| Sniffer::new().feed(black_box(bytes)));
        });
        group.bench_function(BenchmarkId::new("kernel side", client), |bencher| {
            bencher.iter(|| hello::read(black_box(bytes)));
        });
        group.bench_function(BenchmarkId::new("proxy", client), |bencher| {
            bencher.iter(|| TlsSniffer::new().feed(black_box(bytes)));
        });
    }
    group.finish();
    criterion.bench_function("request head", |bencher| {
        bencher.iter(|| RequestStream::new().step(black_box(REQUEST)));
    });
}

criterion_group!(all, first_bytes);
criterion_main!(all);
