//! What is neither TLS nor HTTP, and servers that speak first.

use super::{CURL, Ended, OTHER, PYTHON, Peer, Site, WEB, World, connected};

const ANY: &str = "[network.domains]\n\
    \"curl.test\" = { action = \"allow\", ports = [8443], protocol = \"any\" }\n";

async fn any() -> (World, Peer, Peer) {
    let world = World::new(ANY).await;
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    let client = world.client(site.at).await;
    let server = site.accept().await;
    (world, client, server)
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    for port in [WEB, OTHER] {
        let (world, mut client, mut server) = connected(port).await;
        server.write(b"220 ready\r\n").await;
        client.expect(b"220 ready\r\n").await;
        server.hears_nothing().await;
        assert!(world.sandbox.journal.is_empty());
    }
}

#[tokio::test]
async fn anything_passes_where_neither_tls_nor_http_is_expected() {
    let (world, mut client, mut server) = connected(OTHER).await;
    server.write(b"220 ready\r\n").await;
    client.expect(b"220 ready\r\n").await;
    client.write(b"\0\x01\x02\x03").await;
    server.expect(b"\0\x01\x02\x03").await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn anything_else_is_refused_where_tls_or_http_is_expected() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(b"\0\x01\x02\x03").await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn a_rule_lets_anything_pass_there() {
    let (world, mut client, mut server) = any().await;
    client.write(b"\0\x01\x02\x03").await;
    server.expect(b"\0\x01\x02\x03").await;
    server.write(b"\x04").await;
    client.expect(b"\x04").await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn such_a_rule_lets_no_other_name_pass() {
    let (world, mut client, mut server) = any().await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn such_a_rule_lets_its_own_name_pass() {
    let (world, mut client, mut server) = any().await;
    client.write(CURL).await;
    server.expect(CURL).await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn where_anything_passes_bytes_are_not_kept_waiting_for_more() {
    let (_world, mut client, mut server) = connected(OTHER).await;
    for byte in b"hel" {
        client.write(&[*byte]).await;
        server.expect(&[*byte]).await;
    }
}

#[tokio::test]
async fn where_anything_passes_a_request_to_another_host_does_not() {
    let request = b"GET /secret HTTP/1.1\r\nHost: python.test\r\n\r\n";
    for at in 1..request.len() {
        let (world, mut client, mut server) = connected(OTHER).await;
        client.write_pieces(&[&request[..at], &request[at..]]).await;
        let (text, _) = client.text().await;
        assert!(text.starts_with("HTTP/1.1 403 "), "split at {at}: {text}");
        client.finish().await;
        let (got, ended) = server.rest().await;
        assert!(!got.contains(&b'\n'), "split at {at}: {:?}", String::from_utf8_lossy(&got));
        assert_eq!(ended, Ended::Reset, "split at {at}");
        assert_eq!(world.reasons(), ["host_mismatch"], "split at {at}");
    }
}

#[tokio::test]
async fn where_anything_passes_a_request_to_the_right_host_does() {
    let request = b"GET /one HTTP/1.1\r\nHost: curl.test\r\n\r\n";
    for at in 1..request.len() {
        let (world, mut client, mut server) = connected(OTHER).await;
        client.write_pieces(&[&request[..at], &request[at..]]).await;
        server.expect(request).await;
        assert!(world.sandbox.journal.is_empty(), "split at {at}");
    }
}
