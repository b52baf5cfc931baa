//! Cost of a lookup: `cargo bench -p benches --bench dns`.
//!
//! A name server on loopback answers from a thread of its own. "warm" is a name that is kept, "cold"
//! another one each time: its difference to "direct", one question and its answer over
//! a socket that is open already, is what a lookup of both families with 0x20, a new port for each question
//! and the judging of the chain costs.
use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use egress_user::{
    config::{DnsServer, DnsSettings},
    dns::{NameServers, Upstream as _},
    host::Writer,
    policy::{Answer, Name},
};
use hickory_proto::{
    op::Message,
    rr::{
        RData, Record, RecordType,
        rdata::{A, AAAA},
    },
};

/// Gives every name an address of the family; names in `cold.test` with TTL 0.
fn name_server() -> std::io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = socket.local_addr()?;
    thread::spawn(move || {
        let mut datagram = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut datagram) {
            let Ok(query) = Message::from_vec(&datagram[..length]) else { continue };
            let Some(question) = query.queries.first().cloned() else { continue };
            let mut response = Message::response(query.metadata.id, query.metadata.op_code);
            let data = match question.query_type() {
                RecordType::A => RData::A(A::new(198, 51, 100, 1)),
                _ => RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            };
            let cold = question.name().to_lowercase().to_ascii().ends_with("cold.test.");
            let ttl = if cold { 0 } else { 3600 };
            response.add_answer(Record::from_rdata(question.name().clone(), ttl, data));
            response.add_query(question);
            if let Ok(response) = response.to_vec() {
                // The bench stops by itself when answers stay away.
                let _ = socket.send_to(&response, peer);
            }
        }
    });
    Ok(at)
}

fn lookup(criterion: &mut Criterion) {
    let (Ok(at), Ok(runtime)) = (name_server(), tokio::runtime::Runtime::new()) else { return };
    let settings = DnsSettings { servers: vec![DnsServer::Address(at)], ..DnsSettings::default() };
    let Ok(servers) = NameServers::new(&settings, Writer::Nobody) else { return };
    let mut group = criterion.benchmark_group("lookup");
    let Ok(warm) = Name::parse("warm.test") else { return };
    let looked = runtime.block_on(servers.lookup(&warm));
    assert!(matches!(looked.answer, Answer::Found { .. }), "{looked:?}");
    group.bench_function("warm.test", |bencher| {
        bencher.iter(|| runtime.block_on(servers.lookup(black_box(&warm))));
    });
    let mut count = 0_u64;
    group.bench_function("cold.test", |bencher| {
        bencher.iter_batched(
            || {
                count += 1;
                Name::parse(&format!("n{count}.cold.test"))
            },
            |name| name.map(|name| runtime.block_on(servers.lookup(black_box(&name)))),
            BatchSize::SmallInput,
        );
    });
    let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x04cold\x04test\0\0\x01\0\x01";
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return };
    group.bench_function("direct", |bencher| {
        let mut datagram = [0; 512];
        bencher.iter(|| {
            let sent = socket.send_to(query, at);
            sent.and_then(|_| socket.recv_from(&mut datagram)).is_ok()
        });
    });
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
