//! Offers to upgrade: what stands behind one is held until the server has answered it.

use super::{
    super::budget::EARLY_BYTES,
    Ended, WEB, connected,
    peer::{turns, until},
};

const OFFER: &[u8] = b"GET /chat HTTP/1.1\r\nHost: curl.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\n\r\n";
const NOT_SWITCHED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
const ELSEWHERE: &[u8] = b"GET /two HTTP/1.1\r\nHost: denied.test\r\n\r\n";

/// Octets that one connection may hold behind its offer, with the room for one more read.
const A_SHARE: usize = 20 * 1024;

#[tokio::test]
async fn behind_the_servers_switch_anything_passes() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(OFFER).await;
    server.expect(OFFER).await;
    server.write(SWITCHED).await;
    client.expect(SWITCHED).await;
    // A frame, and what would be a refused request elsewhere.
    client.write(b"\x81\x02hi").await;
    client.write(ELSEWHERE).await;
    server.expect(&[b"\x81\x02hi", ELSEWHERE].concat()).await;
    server.write(b"\x81\x02yo").await;
    client.expect(b"\x81\x02yo").await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn what_stands_behind_an_offer_waits_for_the_answer() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client.write(&[OFFER, b"\x81\x02hi"].concat()).await;
    server.expect(OFFER).await;
    server.hears_nothing().await;
    server.write(SWITCHED).await;
    server.expect(b"\x81\x02hi").await;
}

#[tokio::test]
async fn where_the_server_does_not_switch_the_next_request_is_judged() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&[OFFER, ELSEWHERE].concat()).await;
    server.expect(OFFER).await;
    server.write(NOT_SWITCHED).await;
    client.expect(NOT_SWITCHED).await;
    assert_eq!(server.rest().await.0, b"");
    server.finish().await;
    let (text, _) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn an_offer_to_carry_unread_requests_is_taken_out() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client
        .write(
            b"GET / HTTP/1.1\r\nHost: curl.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
              Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        )
        .await;
    client.finish().await;
    let (text, ended) = server.text().await;
    assert_eq!(ended, Ended::Fin);
    assert!(text.contains("Host: curl.test\r\n"), "{text}");
    assert!(!text.to_ascii_lowercase().contains("h2c"), "{text}");
}

#[tokio::test]
async fn one_connection_holds_no_more_than_its_share_behind_an_offer() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(OFFER).await;
    server.expect(OFFER).await;
    let written = client.write_until_full().await;
    assert!(written > A_SHARE, "{written}");
    let has = |bytes| world.proxy.early.share().grow(bytes);
    assert!(has(EARLY_BYTES - A_SHARE), "more than its share is held");
    assert!(!has(EARLY_BYTES), "nothing is counted");
    // It waits in the sockets, and nothing of it is lost.
    server.write(SWITCHED).await;
    server.expect(&vec![b'x'; written]).await;
    until("the share to go back", || world.proxy.early.share().grow(EARLY_BYTES)).await;
}

#[tokio::test]
async fn where_all_memory_for_it_is_taken_nothing_more_is_read_behind_an_offer() {
    let (world, mut client, mut server) = connected(WEB).await;
    let mut others = world.proxy.early.share();
    assert!(others.grow(EARLY_BYTES));
    client.write(OFFER).await;
    server.expect(OFFER).await;
    client.write(b"early").await;
    turns().await;
    server.write(SWITCHED).await;
    server.expect(b"early").await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn where_all_memory_for_it_is_taken_what_was_read_with_an_offer_is_refused() {
    let (world, mut client, mut server) = connected(WEB).await;
    let mut others = world.proxy.early.share();
    assert!(others.grow(EARLY_BYTES));
    client.write(&[OFFER, b"early"].concat()).await;
    let (text, _) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 403 ") && text.contains("rate_limited"), "{text}");
    let (got, ended) = server.rest().await;
    assert_eq!(ended, Ended::Reset);
    assert!(!got.ends_with(b"early"));
    assert_eq!(world.reasons(), ["rate_limited"]);
}
