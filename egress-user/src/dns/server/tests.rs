use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};

use tokio::net::UdpSocket;

use super::*;
use crate::dns::{
    Settings,
    support::{World, address, addresses, ask, code, extended},
};

/// A served listener, and a client of it.
async fn client(world: &World, at: impl Into<std::net::IpAddr>) -> (UdpSocket, JoinSet<()>) {
    let at = (at.into(), 0);
    let listener = std::net::UdpSocket::bind(at).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listens_at = listener.local_addr().unwrap();
    let mut served = JoinSet::new();
    let service = world.service.clone();
    served.spawn(async move { service.serve_udp(listener).await.unwrap() });
    let client = UdpSocket::bind(at).await.unwrap();
    client.connect(listens_at).await.unwrap();
    (client, served)
}

async fn receive(client: &UdpSocket) -> Message {
    let mut datagram = [0; 4096];
    let length = client.recv(&mut datagram).await.unwrap();
    Message::from_vec(&datagram[..length]).unwrap()
}

#[tokio::test]
async fn answers_datagrams_of_both_families() {
    let world = World::new(&["allow example.org"]).knows("example.org", &["9.9.9.9"]);
    for at in [std::net::IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let (client, _served) = client(&world, at).await;
        client.send(&ask("example.org.", RecordType::A)).await.unwrap();
        assert_eq!(addresses(&receive(&client).await), [address("9.9.9.9")]);
        client.send(&ask("other.org.", RecordType::A)).await.unwrap();
        let refused = receive(&client).await;
        assert_eq!(code(&refused), ResponseCode::NXDomain);
        assert!(extended(&refused).unwrap().1.starts_with("egress: not_allowed: "));
    }
    assert_eq!(world.diary.lookups(), 2, "of the allowed name alone");
}

#[tokio::test]
async fn pins_are_written_before_the_answer_is_sent() {
    let world = World::new(&["allow example.org"]).knows("example.org", &["9.9.9.9", "1.1.1.1"]);
    let (client, _served) = client(&world, Ipv4Addr::LOCALHOST).await;
    let client = Arc::new(client.into_std().unwrap());
    let probe = client.clone();
    let (saw_nothing, seen) = std::sync::mpsc::channel();
    world.diary.before_pin(move || {
        let received = probe.recv(&mut [0; 4096]);
        saw_nothing.send(received.is_err_and(|e| e.kind() == ErrorKind::WouldBlock)).unwrap();
    });
    client.send(&ask("example.org.", RecordType::A)).unwrap();
    let client = UdpSocket::from_std(client.try_clone().unwrap()).unwrap();
    assert_eq!(receive(&client).await.answers.len(), 2);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [true, true]);
    assert_eq!(world.diary.open().len(), 2);
}

#[tokio::test]
async fn nobodys_sockets_get_no_answer() {
    let world = World::with(&["allow *"], Settings::default(), false);
    let (client, _served) = client(&world, Ipv4Addr::LOCALHOST).await;
    client.send(&ask("example.org.", RecordType::A)).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), receive(&client)).await;
    assert!(waited.is_err());
    assert_eq!(world.diary.entries(), []);
}

#[tokio::test]
async fn bad_datagrams_harm_nobody() {
    let world = World::new(&["allow example.org"]).knows("example.org", &["9.9.9.9"]);
    let (client, _served) = client(&world, Ipv4Addr::LOCALHOST).await;
    client.send(&[]).await.unwrap();
    client.send(&[1; 11]).await.unwrap();
    client.send(&[0xff; 600]).await.unwrap();
    client.send(&[0; 60_000]).await.unwrap();
    assert_eq!(code(&receive(&client).await), ResponseCode::FormErr);
    client.send(&ask("example.org.", RecordType::A)).await.unwrap();
    assert_eq!(addresses(&receive(&client).await), [address("9.9.9.9")]);
}

#[tokio::test]
async fn queries_beyond_the_limit_fail_at_once_and_are_noted() {
    let world = World::new(&["allow **.test"]);
    let _all = world.service.queries.clone().try_acquire_many_owned(512).unwrap();
    let (client, _served) = client(&world, Ipv4Addr::LOCALHOST).await;
    client.send(&ask("a.test.", RecordType::A)).await.unwrap();
    let response = receive(&client).await;
    assert_eq!(code(&response), ResponseCode::ServFail);
    assert_eq!(world.diary.lookups(), 0);
    assert_eq!(world.noted(), ["DNS queries at once rate_limited"]);
}

#[tokio::test]
async fn behind_a_flood_it_goes_on() {
    let settings = Settings { queries_per_second: 1, ..Settings::default() };
    let world = World::with(&["allow example.org"], settings, true);
    let (client, _served) = client(&world, Ipv4Addr::LOCALHOST).await;
    let query = ask("example.org.", RecordType::A);
    // Until not even a refusal is to be had.
    while world.service.counters().read().dropped == 0 {
        client.send(&query).await.unwrap();
        while client.try_recv(&mut [0; 512]).is_ok() {}
        tokio::task::yield_now().await;
    }
    while client.try_recv(&mut [0; 512]).is_ok() {}
    // What arrived while nobody looked lies there still, and is refused as time goes on.
    let refused = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            client.send(&query).await.unwrap();
            let next = tokio::time::timeout(Duration::from_millis(50), receive(&client)).await;
            if let Ok(response) = next {
                return response;
            }
        }
    });
    assert_eq!(code(&refused.await.unwrap()), ResponseCode::Refused);
}

#[tokio::test]
async fn dropping_the_server_frees_its_port_and_tasks() {
    let world = World::new(&["allow example.org"]).knows("example.org", &["9.9.9.9"]);
    let _closed = world.diary.gate();
    let (client, mut served) = client(&world, Ipv4Addr::LOCALHOST).await;
    client.send(&ask("example.org.", RecordType::A)).await.unwrap();
    while world.diary.lookups() == 0 {
        tokio::task::yield_now().await;
    }
    served.shutdown().await;
    while world.service.queries.available_permits() < MAX_QUERIES {
        tokio::task::yield_now().await;
    }
    let freed = std::net::UdpSocket::bind(client.peer_addr().unwrap());
    assert!(freed.is_ok(), "{freed:?}");
}
