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
const GET: &[u8] = b"GET /one HTTP/1.1\r\nHost: curl.test\r\n\r\n";
const HEAD: &[u8] = b"HEAD /one HTTP/1.1\r\nHost: curl.test\r\n\r\n";
const NOT_SWITCHED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
const ELSEWHERE: &[u8] = b"GET /two HTTP/1.1\r\nHost: denied.test\r\n\r\n";

/// Bytes that one connection may hold behind its offer, with the room for one more read.
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

/// An offer behind these requests and their answers becomes a tunnel.
async fn switches_behind(asked: &[&[u8]], answers: &[&[u8]]) {
    let (world, mut client, mut server) = connected(WEB).await;
    let (asked, answers) = (asked.concat(), answers.concat());
    client.write(&asked).await;
    server.expect(&asked).await;
    server.write(&answers).await;
    client.expect(&answers).await;
    client.write(&[OFFER, b"\x81\x02hi"].concat()).await;
    server.expect(OFFER).await;
    server.hears_nothing().await;
    server.write(SWITCHED).await;
    client.expect(SWITCHED).await;
    client.write(ELSEWHERE).await;
    server.expect(&[b"\x81\x02hi", ELSEWHERE].concat()).await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn behind_answers_an_offer_is_one_as_well() {
    let denied =
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 2\r\n\r\nno";
    switches_behind(&[GET], &[denied]).await;
    switches_behind(&[GET, HEAD], &[denied, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]).await;
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    switches_behind(&[GET, GET], &[chunked, b"HTTP/1.1 204 No Content\r\n\r\n"]).await;
    // Declined once, taken the second time.
    switches_behind(&[OFFER], &[NOT_SWITCHED]).await;
}

#[tokio::test]
async fn behind_a_long_answer_that_passes_uncopied_as_well() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client.write(GET).await;
    server.expect(GET).await;
    let length = 64 << 20;
    let sending = async {
        server
            .write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())
            .await;
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..length >> 20 {
            server.write(&chunk).await;
        }
    };
    let reading = async {
        client
            .expect(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())
            .await;
        let mut left = length;
        let mut got = vec![0; 1 << 20];
        while left > 0 {
            left -= client.read(&mut got).await;
        }
    };
    tokio::join!(sending, reading);
    client.write(OFFER).await;
    server.expect(OFFER).await;
}

/// An offer behind these, none of which has been answered to its end, is taken out.
async fn is_taken_out_behind(answers: &[u8]) {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(GET).await;
    server.expect(GET).await;
    server.write(answers).await;
    client.expect(answers).await;
    client.write(&[OFFER, GET].concat()).await;
    let mut got = vec![0; b"GET /chat HTTP/1.1\r\nHost: curl.test\r\n\r\n".len()];
    server.read_exact(&mut got).await;
    assert_eq!(String::from_utf8_lossy(&got), "GET /chat HTTP/1.1\r\nHost: curl.test\r\n\r\n");
    // And what follows is judged, whatever the server says.
    server.expect(GET).await;
    server.write(SWITCHED).await;
    client.expect(SWITCHED).await;
    client.write(ELSEWHERE).await;
    assert_eq!(server.rest().await.0, b"");
    server.finish().await;
    let (text, _) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn while_an_answer_is_outstanding_an_offer_is_taken_out() {
    is_taken_out_behind(b"").await;
    is_taken_out_behind(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhalf").await;
    // An answer in an answer is none.
    is_taken_out_behind(
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    is_taken_out_behind(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nHTTP/1.1 200 OK\r\n\r\n",
    )
    .await;
    // Two readers differ on where these end.
    is_taken_out_behind(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx")
        .await;
    is_taken_out_behind(b"HTTP/1.1 200 OK\r\n\r\nto the end").await;
    is_taken_out_behind(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await;
}

#[tokio::test]
async fn where_the_server_spoke_first_an_offer_is_taken_out() {
    let (_world, mut client, mut server) = connected(WEB).await;
    server.write(b"HTTP/1.1 ").await;
    client.expect(b"HTTP/1.1 ").await;
    client.write(OFFER).await;
    client.finish().await;
    assert_eq!(server.text().await.0, "GET /chat HTTP/1.1\r\nHost: curl.test\r\n\r\n");
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

#[tokio::test]
async fn behind_an_answer_that_is_no_http_nothing_passes() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client.write(&[OFFER, ELSEWHERE].concat()).await;
    server.expect(OFFER).await;
    server.write(b"not at all\r\n\r\n").await;
    assert_eq!(server.rest().await.0, b"");
    server.finish().await;
    let (text, _) = client.text().await;
    assert!(text.contains("HTTP/1.1 400 "), "{text}");
}

#[tokio::test]
async fn an_end_behind_an_offer_reaches_a_server_that_says_nothing() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(OFFER).await;
    client.finish().await;
    assert_eq!(server.rest().await, ([OFFER].concat(), Ended::Fin));
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_server_that_ends_without_an_answer_was_not_refused() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(OFFER).await;
    server.expect(OFFER).await;
    server.finish().await;
    assert_eq!(client.rest().await, (vec![], Ended::Fin));
    assert_eq!(server.rest().await, (vec![], Ended::Fin));
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn what_stands_behind_an_offer_is_given_up_without_an_answer() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&[OFFER, b"\x81\x02hi"].concat()).await;
    client.finish().await;
    server.expect(OFFER).await;
    turns().await;
    // From here on time is what the proxy waits for.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let (text, _) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    let waited = begun.elapsed().as_secs();
    assert!((9..=11).contains(&waited), "{waited}");
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["rate_limited"]);
}

#[tokio::test]
async fn the_room_behind_an_offer_is_free_again_once_it_is_answered() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&[OFFER, b"\x81\x02hi"].concat()).await;
    server.expect(OFFER).await;
    server.write(SWITCHED).await;
    server.expect(b"\x81\x02hi").await;
    assert!(world.proxy.early.share().grow(EARLY_BYTES));
}
