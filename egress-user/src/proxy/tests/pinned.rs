//! Pins live as long as a connection made under them.

use super::{
    CURL, Ended, OTHER, PYTHON, Site, TWO, WEB, World, connected, peer::until, world::fresh,
};
use crate::clock::boottime_ns;

#[tokio::test]
async fn a_connection_holds_its_pin_until_it_ends() {
    let (world, mut client, mut server) = connected(OTHER).await;
    let at = server.address().ip();
    until("the lease", || world.held(at) == 1).await;
    client.write(CURL).await;
    server.expect(CURL).await;
    assert_eq!(world.held(at), 1);
    client.finish().await;
    assert_eq!(server.rest().await, (vec![], Ended::Fin));
    assert_eq!(world.held(at), 1, "the server may still answer");
    drop(server);
    assert_eq!(client.rest().await, (vec![], Ended::Fin));
    until("the lease to end", || world.held(at) == 0).await;
    assert!(world.store.expiry(at).is_some(), "its time is not over");
}

#[tokio::test]
async fn a_refused_connection_gives_its_pin_back() {
    let (world, mut client, server) = connected(WEB).await;
    let at = server.address().ip();
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    until("the lease to end", || world.held(at) == 0).await;
}

#[tokio::test]
async fn a_pin_whose_time_is_nearly_over_is_lent_more_and_ends_with_the_connection() {
    let world = World::new(TWO).await;
    let site = Site::listen(WEB).await;
    let address = site.at.ip();
    let ends = boottime_ns() + 1_000_000_000;
    world.pin_until("curl.test", address, ends);
    let client = world.client(site.at).await;
    let mut server = site.accept().await;
    assert!(world.store.expiry(address).unwrap() > ends, "the kernel would have closed it");
    client.reset();
    let _ = server.rest().await;
    until("the lease to end", || world.held(address) == 0).await;
    // What it was lent is taken back.
    assert!(world.store.expiry(address).is_none_or(|expiry| expiry <= ends));
}

#[tokio::test]
async fn the_pin_that_answered_is_held_as_well_as_the_asked_one() {
    let world = World::new(TWO).await;
    let (dead, site) = (fresh(WEB), Site::listen(WEB).await);
    world.pin("curl.test", dead.ip());
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(dead).await;
    client.write(CURL).await;
    let mut server = site.accept().await;
    server.expect(CURL).await;
    assert_eq!((world.held(dead.ip()), world.held(site.at.ip())), (1, 1));
    client.reset();
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    until("the leases to end", || world.held(dead.ip()) + world.held(site.at.ip()) == 0).await;
}

#[tokio::test]
async fn each_connection_holds_for_itself() {
    let world = World::new(TWO).await;
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    let first = world.client(site.at).await;
    let second = world.client(site.at).await;
    let _servers = (site.accept().await, site.accept().await);
    until("both leases", || world.held(site.at.ip()) == 2).await;
    first.reset();
    until("one of them to end", || world.held(site.at.ip()) == 1).await;
    second.reset();
    until("the other to end", || world.held(site.at.ip()) == 0).await;
}
