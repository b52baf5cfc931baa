//! Which connections are served at all.

use egress_common::hello::Finding;

use super::{CURL, Ended, OTHER, Site, TWO, WEB, World, world::fresh};
use crate::{
    clock::boottime_ns,
    direct::refusal,
    launch::{PROBE_GREETING, PROBE_TARGET},
};

#[tokio::test]
async fn nobodys_connection_is_reset() {
    let world = World::new(TWO).await;
    assert_eq!(world.stranger().await.rest().await, (vec![], Ended::Reset));
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn an_address_that_nothing_vouches_for_is_not_dialled() {
    let world = World::new(TWO).await;
    let site = Site::listen(WEB).await;
    let mut client = world.client(site.at).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    site.is_alone().await;
    assert_eq!(world.reasons(), ["not_allowed_local"]);
}

#[tokio::test]
async fn a_port_that_the_rule_does_not_open_is_not_dialled() {
    let world = World::new(TWO).await;
    let site = Site::listen(OTHER + 1).await;
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(site.at).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    site.is_alone().await;
    assert_eq!(world.reasons(), ["port_not_allowed"]);
}

#[tokio::test]
async fn a_denied_address_is_not_dialled_whatever_is_pinned_there() {
    let site = Site::listen(WEB).await;
    let text = format!("{TWO}[network.addresses]\n\"{}\" = \"deny\"\n", site.at.ip());
    let world = World::new(&text).await;
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(site.at).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    site.is_alone().await;
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn a_pin_whose_time_is_over_opens_nothing() {
    let world = World::new(TWO).await;
    let site = Site::listen(WEB).await;
    world.pin_until("curl.test", site.at.ip(), boottime_ns());
    let mut client = world.client(site.at).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    site.is_alone().await;
    assert_eq!(world.reasons(), ["not_pinned"]);
}

#[tokio::test]
async fn the_probe_is_greeted() {
    let world = World::starting(TWO).await;
    let mut client = world.client(PROBE_TARGET).await;
    assert_eq!(client.rest().await, (PROBE_GREETING.to_vec(), Ended::Fin));
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn the_probes_address_is_one_like_any_other_behind_the_start() {
    let world = World::new(TWO).await;
    let mut client = world.client(PROBE_TARGET).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["not_allowed_local"]);
}

#[tokio::test]
async fn a_record_serves_one_connection() {
    let world = World::new(TWO).await;
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(site.at).await;
    client.write(CURL).await;
    site.accept().await.expect(CURL).await;
    assert_eq!(world.stranger().await.rest().await, (vec![], Ended::Reset));
    // Another connection of a port that a record was of, without one of its own.
    assert_ne!(fresh(WEB), site.at);
    site.is_alone().await;
}

#[tokio::test]
async fn a_direct_connection_that_is_refused_is_judged_and_noted_as_one_of_the_proxys() {
    let world = World::new(TWO).await;
    let at = fresh(WEB);
    world.pin("curl.test", at.ip());
    let name = Some("python.test".to_owned());
    refusal::note(&world.sandbox, at, Finding::NotPinned, name);
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}
