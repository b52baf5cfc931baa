//! How many connections there may be at once.

use super::{CURL, Ended, Site, TWO, WEB, World};

async fn limited(connections: usize) -> (World, Site) {
    let world = World::new(TWO).await;
    world.proxy.admit(connections);
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    (world, site)
}

#[tokio::test]
async fn one_more_waits_until_another_ends() {
    let (world, site) = limited(1).await;
    let mut first = world.client(site.at).await;
    first.write(CURL).await;
    let mut served = site.accept().await;
    served.expect(CURL).await;
    let mut second = world.client(site.at).await;
    second.write(CURL).await;
    site.is_alone().await;
    second.hears_nothing().await;
    first.reset();
    assert_eq!(served.rest().await, (vec![], Ended::Reset));
    site.accept().await.expect(CURL).await;
}

#[tokio::test]
async fn that_it_was_full_is_told_once() {
    let (world, site) = limited(1).await;
    for _ in 0..3 {
        let first = world.client(site.at).await;
        let served = site.accept().await;
        let second = world.client(site.at).await;
        site.is_alone().await;
        drop((first, served));
        let served = site.accept().await;
        drop((second, served));
    }
    assert_eq!(world.reasons(), ["rate_limited"]);
}

#[tokio::test]
async fn where_there_is_room_nothing_is_told() {
    let (world, site) = limited(2).await;
    let _clients = (world.client(site.at).await, world.client(site.at).await);
    let _servers = (site.accept().await, site.accept().await);
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn refused_connections_give_their_place_back() {
    let (world, site) = limited(1).await;
    for _ in 0..5 {
        let mut stranger = world.stranger().await;
        assert_eq!(stranger.rest().await, (vec![], Ended::Reset));
    }
    let mut client = world.client(site.at).await;
    client.write(CURL).await;
    site.accept().await.expect(CURL).await;
}
