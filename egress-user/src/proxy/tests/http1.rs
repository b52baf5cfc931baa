//! HTTP/1: every request of a connection is judged by itself.

use super::{Ended, Site, WEB, World, connected};

const GET: &[u8] = b"GET /one HTTP/1.1\r\nHost: curl.test\r\n\r\n";
const ELSEWHERE: &[u8] = b"GET /two HTTP/1.1\r\nHost: denied.test\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn is_refusal(text: &str, reason: &str) -> bool {
    text.starts_with("HTTP/1.1 403 Forbidden\r\n") && text.contains(reason)
}

#[tokio::test]
async fn a_request_passes_as_it_is() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(GET).await;
    server.expect(GET).await;
    server.write(ANSWER).await;
    client.expect(ANSWER).await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_first_request_to_a_denied_host_is_answered_here() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(ELSEWHERE).await;
    let (text, ended) = client.text().await;
    assert!(is_refusal(&text, "denied") && ended == Ended::Fin, "{text}");
    assert!(text.contains("x-proxy-error: blocked-by-denylist\r\n"), "{text}");
    client.finish().await;
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn a_second_request_to_a_denied_host_never_arrives() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(GET).await;
    server.expect(GET).await;
    server.write(ANSWER).await;
    client.expect(ANSWER).await;
    client.write(ELSEWHERE).await;
    assert_eq!(server.rest().await, (vec![], Ended::Fin));
    server.finish().await;
    let (text, ended) = client.text().await;
    assert!(is_refusal(&text, "denied") && ended == Ended::Fin, "{text}");
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn a_host_of_another_address_is_refused() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(b"GET / HTTP/1.1\r\nHost: python.test\r\n\r\n").await;
    let (text, _) = client.text().await;
    assert!(is_refusal(&text, "host_mismatch"), "{text}");
    client.finish().await;
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["host_mismatch"]);
}

#[tokio::test]
async fn requests_in_one_write_arrive_in_order() {
    let (world, mut client, mut server) = connected(WEB).await;
    let both = [GET, GET].concat();
    client.write(&both).await;
    server.expect(&both).await;
    server.write(&[ANSWER, ANSWER].concat()).await;
    client.expect(&[ANSWER, ANSWER].concat()).await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_refusal_waits_for_the_answers_before_it() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&[GET, ELSEWHERE].concat()).await;
    assert_eq!(server.rest().await, (GET.to_vec(), Ended::Fin));
    client.hears_nothing().await;
    server.write(ANSWER).await;
    server.finish().await;
    client.expect(ANSWER).await;
    let (text, _) = client.text().await;
    assert!(is_refusal(&text, "denied"), "{text}");
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn a_request_split_anywhere_is_the_same_request() {
    for at in 1..GET.len() {
        let (world, mut client, mut server) = connected(WEB).await;
        client.write_pieces(&[&GET[..at]]).await;
        server.hears_nothing().await;
        client.write(&GET[at..]).await;
        server.expect(GET).await;
        assert!(world.sandbox.journal.is_empty(), "split at {at}");
    }
}

#[tokio::test]
async fn a_refused_request_split_anywhere_is_refused() {
    for at in 1..ELSEWHERE.len() {
        let (world, mut client, mut server) = connected(WEB).await;
        client.write_pieces(&[&ELSEWHERE[..at], &ELSEWHERE[at..]]).await;
        let (text, _) = client.text().await;
        assert!(is_refusal(&text, "denied"), "split at {at}: {text}");
        client.finish().await;
        assert_eq!(server.rest().await.0, b"", "split at {at}");
        assert_eq!(world.reasons(), ["denied"]);
    }
}

#[tokio::test]
async fn what_looks_like_a_request_in_a_body_is_none() {
    let (world, mut client, mut server) = connected(WEB).await;
    let length = ELSEWHERE.len();
    let head = format!("POST / HTTP/1.1\r\nHost: curl.test\r\nContent-Length: {length}\r\n\r\n");
    let whole = [head.as_bytes(), ELSEWHERE].concat();
    client.write(&whole).await;
    server.expect(&whole).await;
    // And behind the body the next one is judged.
    client.write(ELSEWHERE).await;
    assert_eq!(server.rest().await.0, b"");
    server.finish().await;
    let (text, _) = client.text().await;
    assert!(is_refusal(&text, "denied"), "{text}");
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_not_forwarded() {
    let (world, mut client, mut server) = connected(WEB).await;
    let twice = "Content-Length: 1\r\nContent-Length: 2\r\n";
    client.write(format!("POST / HTTP/1.1\r\nHost: curl.test\r\n{twice}\r\nab").as_bytes()).await;
    let (text, ended) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 400 ") && ended == Ended::Fin, "{text}");
    client.finish().await;
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn a_tunnel_is_not_asked_of_a_server() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(b"CONNECT curl.test:443 HTTP/1.1\r\nHost: curl.test\r\n\r\n").await;
    let (text, _) = client.text().await;
    assert!(is_refusal(&text, "protocol_not_allowed"), "{text}");
    client.finish().await;
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn half_a_request_is_none() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&GET[..30]).await;
    client.finish().await;
    assert_eq!(client.rest().await.0, b"");
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn a_method_that_the_rule_does_not_allow_is_refused_behind_one_that_it_does() {
    let text = "[network.domains]\n\
        \"curl.test\" = { action = \"allow\", ports = [8443], methods = [\"GET\"] }\n";
    let world = World::new(text).await;
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(site.at).await;
    let mut server = site.accept().await;
    client.write(GET).await;
    server.expect(GET).await;
    server.write(ANSWER).await;
    client.expect(ANSWER).await;
    client.write(b"PUT / HTTP/1.1\r\nHost: curl.test\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(server.rest().await, (vec![], Ended::Fin));
    server.finish().await;
    let (text, _) = client.text().await;
    assert!(is_refusal(&text, "method_not_allowed"), "{text}");
    assert_eq!(world.reasons(), ["method_not_allowed"]);
}

#[tokio::test]
async fn a_refusal_waits_for_answers_before_it_but_not_without_end() {
    let (_world, mut client, mut server) = connected(WEB).await;
    client.write(&[GET, ELSEWHERE].concat()).await;
    assert_eq!(server.rest().await, (GET.to_vec(), Ended::Fin));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    let waited = begun.elapsed().as_secs();
    assert!((4..=6).contains(&waited), "{waited}");
}

#[tokio::test]
async fn what_a_refused_program_still_sends_does_not_cost_it_the_answer() {
    let (_world, mut client, _server) = connected(WEB).await;
    client.write(&[ELSEWHERE, &[b'x'; 100_000]].concat()).await;
    let (text, ended) = client.text().await;
    assert!(is_refusal(&text, "denied") && ended == Ended::Fin, "{text}");
}
