//! A client that dies while the server answers: the server hears it at once, without having to write.

use super::{CURL, Ended, OTHER, Peer, WEB, World, connected};

const GET: &[u8] = b"GET /long HTTP/1.1\r\nHost: curl.test\r\n\r\n";
const OFFER: &[u8] = b"GET /chat HTTP/1.1\r\nHost: curl.test\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
/// HTTP/2's preface and SETTINGS, which the server has to answer.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Each kind of connection, in the middle of an answer.
async fn answering() -> Vec<(&'static str, World, Peer, Peer)> {
    let mut all = Vec::new();
    let begin = |port, first: &'static [u8]| async move {
        let (world, mut client, mut server) = connected(port).await;
        client.write(first).await;
        server.expect(first).await;
        (world, client, server)
    };
    let known: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nhalf";
    let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nhalf";
    let endless: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhalf";
    let kinds: [(_, _, &'static [u8], &[u8]); 6] = [
        ("a length", WEB, GET, known),
        ("chunks", WEB, GET, chunked),
        ("no length", WEB, GET, endless),
        ("TLS", WEB, CURL, b"\x16\x03\x03\0\x10half"),
        ("HTTP/2", WEB, HTTP2, b"half"),
        ("another protocol", OTHER, b"\0hello", b"half"),
    ];
    for (kind, port, first, answer) in kinds {
        let (world, mut client, mut server) = begin(port, first).await;
        server.write(answer).await;
        client.expect(answer).await;
        all.push((kind, world, client, server));
    }
    let (world, mut client, mut server) = begin(WEB, OFFER).await;
    server.write(SWITCHED).await;
    client.expect(SWITCHED).await;
    all.push(("a tunnel", world, client, server));
    all
}

#[tokio::test]
async fn a_reset_in_an_answer_is_the_servers_at_once() {
    for (kind, _world, client, mut server) in answering().await {
        client.reset();
        assert_eq!(server.rest().await, (vec![], Ended::Reset), "{kind}");
    }
}

#[tokio::test]
async fn so_it_is_where_the_client_has_read_nothing_of_what_has_come() {
    for (kind, _world, client, mut server) in answering().await {
        // The server's own socket is full: only a reset frees it.
        assert!(server.write_until_full().await > 0);
        drop(client);
        assert_eq!(server.rest().await, (vec![], Ended::Reset), "{kind}");
    }
}

#[tokio::test]
async fn a_client_that_closes_in_order_ends_the_server_with_its_next_byte() {
    for (kind, _world, client, mut server) in answering().await {
        drop(client);
        assert_eq!(server.rest().await, (vec![], Ended::Fin), "{kind}");
        // As a socket without a proxy would: the first byte is answered by a reset.
        server.write_until_broken().await;
    }
}
