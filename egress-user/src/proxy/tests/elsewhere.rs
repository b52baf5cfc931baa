//! Where another pin answers than the asked one: what the connection then says has to be for that server.

use std::net::SocketAddr;

use super::{
    CURL, Ended, PYTHON, Peer, Site, TWO, WEB, World,
    peer::{turns, until},
    world::fresh,
};

/// A client of an address of both names, where nobody listens, and a server that only `curl.test` is pinned to.
async fn of_two(port: u16) -> (World, Peer, SocketAddr, Site) {
    let world = World::new(TWO).await;
    let (dead, site) = (fresh(port), Site::listen(port).await);
    world.pin("curl.test", dead.ip());
    world.pin("python.test", dead.ip());
    world.pin("curl.test", site.at.ip());
    let client = world.client(dead).await;
    until("the dial", || world.held(dead.ip()) == 1).await;
    (world, client, dead, site)
}

#[tokio::test]
async fn a_silent_client_is_given_time_to_name_itself() {
    let (_world, _client, _, site) = of_two(WEB).await;
    turns().await;
    // From here on time is what the proxy waits for.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let _server = site.accept().await;
    let waited = begun.elapsed().as_millis();
    assert!((200..=400).contains(&waited), "{waited}");
}

#[tokio::test]
async fn a_hello_for_another_name_is_not_sent_to_the_server_that_answered() {
    let (_world, mut client, _, site) = of_two(WEB).await;
    let mut server = site.accept().await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
}

#[tokio::test]
async fn a_second_hello_for_another_name_is_not_sent_there_either() {
    let (world, mut client, _, site) = of_two(WEB).await;
    client.write(CURL).await;
    let mut server = site.accept().await;
    server.expect(CURL).await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["not_pinned"]);
}
