//! How a connection ends: what one side says, the other hears.

use super::{CURL, Ended, OTHER, WEB, connected, peer::until};

#[tokio::test]
async fn a_client_that_ends_its_stream_is_still_answered() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client.write(CURL).await;
    client.finish().await;
    assert_eq!(server.rest().await, (CURL.to_vec(), Ended::Fin));
    server.write(b"an answer").await;
    server.finish().await;
    assert_eq!(client.rest().await, (b"an answer".to_vec(), Ended::Fin));
}

#[tokio::test]
async fn a_server_that_ends_its_stream_is_still_sent_to() {
    let (_world, mut client, mut server) = connected(OTHER).await;
    server.write(b"hello").await;
    server.finish().await;
    assert_eq!(client.rest().await, (b"hello".to_vec(), Ended::Fin));
    client.write(b"\0behind").await;
    client.finish().await;
    assert_eq!(server.rest().await, (b"\0behind".to_vec(), Ended::Fin));
}

#[tokio::test]
async fn a_client_that_says_nothing_and_ends_is_passed_on() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.finish().await;
    assert_eq!(server.rest().await, (vec![], Ended::Fin));
    server.write(b"nothing?").await;
    drop(server);
    assert_eq!(client.rest().await, (b"nothing?".to_vec(), Ended::Fin));
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_clients_reset_is_the_servers() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client.write(CURL).await;
    server.expect(CURL).await;
    client.reset();
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
}

#[tokio::test]
async fn a_servers_reset_is_the_clients() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client.write(CURL).await;
    server.expect(CURL).await;
    server.reset();
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
}

#[tokio::test]
async fn a_server_that_breaks_off_before_the_client_has_spoken_is_heard() {
    let (_world, mut client, server) = connected(WEB).await;
    server.reset();
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
}

#[tokio::test]
async fn a_client_that_breaks_off_before_it_has_spoken_leaves_nothing() {
    let (world, client, mut server) = connected(WEB).await;
    let at = server.0.local_addr().unwrap().ip();
    until("the connection", || world.held(at) == 1).await;
    client.reset();
    assert_eq!(server.rest().await.0, b"");
    until("the end of the connection", || world.held(at) == 0).await;
    assert!(world.sandbox.journal.is_empty());
}
