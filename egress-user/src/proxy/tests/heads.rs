//! Heads as servers take them: long ones, bytes over 0x7f, and HTTP/1.0 without Host.

use super::{
    super::budget::{UNCOUNTED_BYTES, UNJUDGED_BYTES},
    Ended, OTHER, Peer, Site, TWO, WEB, World, connected,
    peer::{turns, until},
};
use crate::sniff::http1::HEAD_LIMIT_BYTES;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A GET whose head is so many octets long.
fn long(octets: usize) -> Vec<u8> {
    let start = b"GET / HTTP/1.1\r\nHost: curl.test\r\nCookie: ";
    let cookie = vec![b'c'; octets - start.len() - 4];
    [&start[..], &cookie, b"\r\n\r\n"].concat()
}

#[tokio::test]
async fn long_heads_pass_as_they_are() {
    let fields: String = (0..254).map(|i| format!("x{i}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: curl.test\r\n{fields}\r\n").into_bytes();
    for head in [long(24 * 1024), long(HEAD_LIMIT_BYTES), many] {
        let (world, mut client, mut server) = connected(WEB).await;
        // As the first request of a connection, and behind another.
        for _ in 0..2 {
            client.write(&head).await;
            server.expect(&head).await;
            server.write(ANSWER).await;
            client.expect(ANSWER).await;
        }
        assert!(world.sandbox.journal.is_empty());
    }
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&long(HEAD_LIMIT_BYTES + 1)).await;
    client.finish().await;
    let (text, _) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("head is too long"), "{text}");
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

/// Takes the sandbox's whole memory for what waits to be judged.
fn full(world: &World) -> super::super::budget::Share {
    let mut others = world.proxy.unjudged.share();
    assert!(others.grow(UNJUDGED_BYTES));
    others
}

#[tokio::test]
async fn where_all_memory_for_heads_is_taken_a_long_one_is_refused() {
    let (world, mut client, mut server) = connected(WEB).await;
    let others = full(&world);
    // Most heads need none of it.
    let short = long(UNCOUNTED_BYTES / 2);
    client.write(&short).await;
    server.expect(&short).await;
    client.write_pieces(&[&long(HEAD_LIMIT_BYTES)[..2 * UNCOUNTED_BYTES]]).await;
    server.finish().await;
    let (text, ended) = client.text().await;
    assert!(text.starts_with("HTTP/1.1 403 ") && text.contains("rate_limited"), "{text}");
    assert_eq!(ended, Ended::Fin);
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["rate_limited"]);
    drop(others);
}

#[tokio::test]
async fn so_is_a_first_head_a_hello_and_one_that_other_protocols_may_begin_with() {
    let half = &long(HEAD_LIMIT_BYTES)[..2 * UNCOUNTED_BYTES];
    // Half of a hello of 16 KiB: no session, one cipher suite, padding.
    let body = [&[3, 3][..], &[0; 33], &[0, 2, 0x13, 1, 1, 0, 0x3e, 0, 0, 21, 0x3d, 0xfc]].concat();
    let start = [&[22, 3, 1, 0x3e, 0x2f, 1, 0, 0x3e, 0x2b][..], &body].concat();
    let hello = [start, vec![0; UNCOUNTED_BYTES + 4000]].concat();
    for (port, bytes) in [(WEB, half), (WEB, &hello[..]), (OTHER, half)] {
        let (world, mut client, mut server) = connected(port).await;
        let _others = full(&world);
        client.write(bytes).await;
        let (got, _) = client.rest().await;
        drop(client);
        assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 403 "), "{}", got.escape_ascii());
        assert!(!server.rest().await.0.contains(&b'H'), "a request's line has left");
        assert_eq!(world.reasons(), ["rate_limited"], "port {port}");
    }
}

#[tokio::test]
async fn what_was_judged_is_given_back() {
    let (world, mut client, mut server) = connected(WEB).await;
    let head = long(HEAD_LIMIT_BYTES);
    for _ in 0..2 {
        client.write_pieces(&[&head[..40_000]]).await;
        let mut others = world.proxy.unjudged.share();
        assert!(!others.grow(UNJUDGED_BYTES), "nothing is counted");
        client.write(&head[40_000..]).await;
        server.expect(&head).await;
        until("the share to go back", || {
            let mut all = world.proxy.unjudged.share();
            all.grow(UNJUDGED_BYTES)
        })
        .await;
    }
    drop(client);
}

#[tokio::test]
async fn bytes_over_0x7f_pass_and_are_shown_escaped() {
    let (world, mut client, mut server) = connected(WEB).await;
    for path in ["/caf\u{e9}?\u{2028}\u{202e}".as_bytes(), b"/caf\xe9"] {
        let request = [b"GET ", path, b" HTTP/1.1\r\nHost: curl.test\r\n\r\n"].concat();
        client.write(&request).await;
        server.expect(&request).await;
    }
    let text = "[network.domains]\n\
        \"curl.test\" = { action = \"allow\", ports = [8443], methods = [\"GET\"] }\n";
    let (_, refused) =
        asked(text, &["curl.test"], "POST /\u{202e}\u{9b}x HTTP/1.1\r\nHost: curl.test\r\n\r\n")
            .await;
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("method_not_allowed"));
    assert!(!refused.contains(['\u{202e}', '\u{9b}']), "{refused:?}");
    assert!(world.sandbox.journal.is_empty());
}

/// What becomes of a request at a server of these names; the whole answer, where there is one.
async fn asked(policy: &str, names: &[&str], request: &str) -> (Vec<u8>, String) {
    let world = World::new(policy).await;
    let site = Site::listen(WEB).await;
    names.iter().for_each(|name| world.pin(name, site.at.ip()));
    let mut client: Peer = world.client(site.at).await;
    let mut server = site.accept().await;
    client.write(request.as_bytes()).await;
    client.finish().await;
    turns().await;
    server.finish().await;
    let text = client.text().await.0;
    drop(client);
    (server.rest().await.0, text)
}

const OLD: &str = "GET / HTTP/1.0\r\nUser-Agent: old\r\n\r\n";

#[tokio::test]
async fn http_1_0_without_host_is_for_the_one_name_of_the_address() {
    assert_eq!(asked(TWO, &["curl.test"], OLD).await, (OLD.as_bytes().to_vec(), String::new()));
    // Of several names one is meant, and nobody says which.
    let (got, text) = asked(TWO, &["curl.test", "python.test"], OLD).await;
    assert!(got.is_empty() && text.starts_with("HTTP/1.1 403 "), "{text}");
    assert!(text.contains("host_mismatch") && text.contains("without a host"), "{text}");
    // What the rule of the name asks for holds.
    let text = "[network.domains]\n\
        \"curl.test\" = { action = \"allow\", ports = [8443], methods = [\"PUT\"] }\n";
    let (got, text) = asked(text, &["curl.test"], OLD).await;
    assert!(got.is_empty() && text.contains("method_not_allowed"), "{text}");
    // HTTP/1.1 has no such request.
    let (got, text) = asked(TWO, &["curl.test"], "GET / HTTP/1.1\r\n\r\n").await;
    assert!(got.is_empty() && text.starts_with("HTTP/1.1 400 "), "{text}");
}
