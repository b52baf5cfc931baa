//! Where anything passes: what may become a request does not, before it is judged.

use super::{Ended, OTHER, Peer, World, connected, peer::turns};

const DENIED: &[u8] = b"GET /two HTTP/1.1\r\nHost: denied.test\r\n\r\n";

/// The client is told that it was not understood; its server got nothing of this, and no end in order.
async fn is_malformed(world: &World, mut client: Peer, mut server: Peer, secret: &str) {
    let (text, _) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    drop(client);
    let (got, ended) = server.rest().await;
    let got = String::from_utf8_lossy(&got).into_owned();
    assert!(!got.contains(secret), "{got}");
    assert_eq!(ended, Ended::Reset);
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn what_makes_a_request_of_a_line_is_held() {
    let (_world, mut client, server) = connected(OTHER).await;
    client.write(b"GET /two HTTP/1").await;
    turns().await;
    let mut got = [0; 64];
    let length = server.0.try_read(&mut got).unwrap_or_default();
    let got = String::from_utf8_lossy(&got[..length]).into_owned();
    assert!(!got.contains("HTTP/1"), "{got}");
}

#[tokio::test]
async fn a_request_line_that_ends_with_the_stream_does_not_pass() {
    let (world, mut client, server) = connected(OTHER).await;
    client.write_pieces(&[b"GET /two HTTP/1.1"]).await;
    client.finish().await;
    is_malformed(&world, client, server, "HTTP/1.1").await;
}

#[tokio::test]
async fn half_a_head_does_not_pass() {
    let (world, mut client, server) = connected(OTHER).await;
    client.write_pieces(&[b"GET /two HTTP/1.1\r\nHost: cu"]).await;
    client.finish().await;
    is_malformed(&world, client, server, "HTTP/1.1").await;
}

#[tokio::test]
async fn a_head_may_take_half_a_minute() {
    let (world, mut client, server) = connected(OTHER).await;
    client.write_pieces(&[b"GET /two HTTP/1.1\r\nHost: cu"]).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let (text, _) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    let waited = begun.elapsed().as_secs();
    assert!((29..=31).contains(&waited), "{waited}");
    drop((server, world));
}

#[tokio::test]
async fn a_request_behind_more_blank_lines_than_are_kept_does_not_pass() {
    let (world, mut client, server) = connected(OTHER).await;
    let blank = b"\r\n".repeat(20_000);
    client.write_pieces(&[&blank, DENIED]).await;
    is_malformed(&world, client, server, "denied.test").await;
}

#[tokio::test]
async fn a_request_behind_a_header_of_the_proxy_protocol_does_not_pass() {
    let (world, mut client, server) = connected(OTHER).await;
    client.write(&[b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", DENIED].concat()).await;
    is_malformed(&world, client, server, "denied.test").await;
}

#[tokio::test]
async fn http2_that_comes_in_two_pieces_arrives_once() {
    let whole = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for at in 1..whole.len() {
        let (world, mut client, mut server) = connected(OTHER).await;
        client.write_pieces(&[&whole[..at], &whole[at..]]).await;
        client.finish().await;
        assert_eq!(server.rest().await, (whole.to_vec(), Ended::Fin), "split at {at}");
        assert!(world.sandbox.journal.is_empty(), "split at {at}");
    }
}
