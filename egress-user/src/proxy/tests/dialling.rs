//! Which address is dialled, and what happens when nothing answers there.

use std::{net::IpAddr, sync::Arc};

use super::{
    CURL, Ended, PYTHON, Site, TWO, WEB, World,
    peer::{turns, until},
    world::{Silent, fresh},
};
use crate::{clock::boottime_ns, policy::OwnAddresses};

#[tokio::test]
async fn where_nobody_listens_the_client_is_told_at_once() {
    let world = World::new(TWO).await;
    let at = fresh(WEB);
    world.pin("curl.test", at.ip());
    let mut client = world.client(at).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn another_pin_of_the_name_is_tried_when_the_first_fails() {
    let world = World::new(TWO).await;
    let (dead, site) = (fresh(WEB), Site::listen(WEB).await);
    world.pin("curl.test", dead.ip());
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(dead).await;
    client.write(CURL).await;
    let mut server = site.accept().await;
    server.expect(CURL).await;
    server.write(b"an answer").await;
    client.expect(b"an answer").await;
}

#[tokio::test]
async fn another_pin_of_the_name_is_tried_when_the_first_is_silent() {
    let world = World::new(TWO).await;
    let (silent, site) = (Silent::new(WEB), Site::listen(WEB).await);
    world.pin("curl.test", silent.at.ip());
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(silent.at).await;
    client.write(CURL).await;
    site.accept().await.expect(CURL).await;
}

#[tokio::test]
async fn a_pin_of_another_name_is_not_tried() {
    let world = World::new(TWO).await;
    let (dead, site) = (fresh(WEB), Site::listen(WEB).await);
    world.pin("curl.test", dead.ip());
    world.pin("python.test", dead.ip());
    world.pin("python.test", site.at.ip());
    let mut client = world.client(dead).await;
    client.write(CURL).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    site.is_alone().await;
    // For that name it is.
    let mut client = world.client(dead).await;
    client.write(PYTHON).await;
    site.accept().await.expect(PYTHON).await;
}

#[tokio::test]
async fn a_port_of_another_pin_is_the_asked_one() {
    let world = World::new(TWO).await;
    let (dead, site) = (fresh(WEB), Site::listen(WEB + 1).await);
    world.pin("curl.test", dead.ip());
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(dead).await;
    client.write(CURL).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    site.is_alone().await;
}

#[tokio::test]
async fn a_refused_hello_ends_the_dial_as_well() {
    let world = World::new(TWO).await;
    let (silent, site) = (Silent::new(WEB), Site::listen(WEB).await);
    world.pin("curl.test", silent.at.ip());
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(silent.at).await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    site.is_alone().await;
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let world = World::new(TWO).await;
    let silent = Silent::new(WEB);
    world.pin("curl.test", silent.at.ip());
    let mut client = world.client(silent.at).await;
    client.write(CURL).await;
    until("the dial", || world.held(silent.at.ip()) == 1).await;
    turns().await;
    // From here on time is what the proxy waits for.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    let waited = begun.elapsed().as_secs();
    assert!((29..=31).contains(&waited), "{waited}");
}

#[tokio::test]
async fn an_address_that_becomes_the_machines_own_during_the_dial_gets_no_byte() {
    let world = World::new(TWO).await;
    let silent = Silent::new(WEB);
    let address = silent.at.ip();
    world.pin("curl.test", address);
    let mut client = world.client(silent.at).await;
    client.write(CURL).await;
    until("the dial", || world.held(address) == 1).await;
    turns().await;
    become_own(&world, address);
    let mut server = silent.wake().await.accept().await;
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["not_allowed_local"]);
}

/// What the keeper of the machine's addresses does.
fn become_own(world: &World, address: IpAddr) {
    // Loopback addresses are local anyway, and left out: so all of them at once.
    world.sandbox.policy().set_own_addresses(OwnAddresses::unknown());
    let policy = Arc::clone(&world.sandbox.policy());
    assert!(policy.closes_own(address));
    let is_closed = |address: IpAddr| policy.closes_own(address);
    world.sandbox.pins().end(is_closed, boottime_ns());
}
