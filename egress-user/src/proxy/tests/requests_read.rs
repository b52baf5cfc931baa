//! Where requests have to be read, on a port where neither TLS nor HTTP is expected.

use super::{Ended, OTHER, Peer, Site, WEB, World};

const METHODS: &str = "[network.domains]\n\
    \"curl.test\" = { action = \"allow\", ports = [7000], methods = [\"GET\"] }\n";

const LIMITED: &str = "[network]\nmode = \"limited\"\n[network.domains]\n\
    \"curl.test\" = { action = \"allow\", ports = [8080] }\n";

async fn under(policy: &str, port: u16) -> (World, Peer, Peer) {
    let world = World::new(policy).await;
    let site = Site::listen(port).await;
    world.pin("curl.test", site.at.ip());
    let client = world.client(site.at).await;
    let server = site.accept().await;
    (world, client, server)
}

#[tokio::test]
async fn silence_is_no_request() {
    let (world, mut client, mut server) = under(METHODS, OTHER).await;
    client.finish().await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn a_pause_behind_what_is_no_request_tells() {
    let (world, mut client, mut server) = under(METHODS, OTHER).await;
    client.write_pieces(&[b"PING"]).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    let waited = begun.elapsed().as_secs();
    assert!((1..=3).contains(&waited), "{waited}");
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn limited_mode_refuses_http2_at_its_preface() {
    let _ = WEB;
    let (world, mut client, mut server) = under(LIMITED, 8080).await;
    client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons().len(), 1);
}
