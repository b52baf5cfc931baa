//! Behind the command's end: what it wrote is delivered, or given up.

use std::{sync::Arc, time::Duration};

use super::{
    CURL, Ended, OTHER, Site, TWO, WEB, World, connected,
    peer::{turns, within},
};

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_waits_in_the_queue_is_still_delivered() {
    let world = World::new(TWO).await;
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(site.at).await;
    client.write(CURL).await;
    drop(client);
    world.proxy.drain(LONG);
    within("the delivery", world.proxy.drained()).await;
    assert_eq!(site.accept().await.rest().await, (CURL.to_vec(), Ended::Fin));
    assert!(world.proxy.given_up().is_empty());
}

#[tokio::test]
async fn a_connection_that_has_not_ended_is_waited_for() {
    let (world, mut client, mut server) = connected(OTHER).await;
    client.write(b"\0first").await;
    server.expect(b"\0first").await;
    world.proxy.drain(LONG);
    let drained = tokio::spawn({
        let proxy = Arc::clone(&world.proxy);
        async move { proxy.drained().await }
    });
    turns().await;
    assert!(!drained.is_finished());
    client.write(b"the last words").await;
    client.finish().await;
    within("the end of the stream", drained).await.unwrap();
    assert_eq!(server.rest().await, (b"the last words".to_vec(), Ended::Fin));
    assert!(world.proxy.given_up().is_empty());
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_given_up_and_counted() {
    let (world, mut client, mut server) = connected(OTHER).await;
    client.write(b"\0first").await;
    server.expect(b"\0first").await;
    let written = client.write_until_full().await;
    world.proxy.drain(Duration::from_millis(50));
    within("giving up", world.proxy.drained()).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    let given_up = world.proxy.given_up();
    assert_eq!(given_up.len(), 1);
    assert_eq!(given_up[0].to, server.address());
    let lost = usize::try_from(given_up[0].bytes).unwrap();
    assert!(lost > 0 && lost <= written, "{lost} of {written}");
    // Not an end that could pass for a whole.
    assert_eq!(server.rest().await.1, Ended::Reset);
}

#[tokio::test]
async fn giving_up_ends_everything_at_once() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(CURL).await;
    server.expect(CURL).await;
    world.proxy.drain(LONG);
    turns().await;
    world.proxy.give_up();
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    within("the end", world.proxy.drained()).await;
    assert!(world.proxy.given_up().is_empty(), "nothing was lost");
}

#[tokio::test]
async fn a_refusal_behind_the_commands_end_is_noted() {
    let (world, mut client, mut server) = connected(WEB).await;
    world.proxy.drain(LONG);
    client.write(super::PYTHON).await;
    drop(client);
    within("the verdict", world.proxy.drained()).await;
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn what_owes_nothing_any_more_is_not_given_up() {
    let (world, mut client, mut server) = connected(OTHER).await;
    client.write(b"\0first").await;
    client.finish().await;
    assert_eq!(server.rest().await, (b"\0first".to_vec(), Ended::Fin));
    world.proxy.drain(Duration::ZERO);
    within("the delivery", world.proxy.drained()).await;
    turns().await;
    server.write(b"late").await;
    client.expect(b"late").await;
}
