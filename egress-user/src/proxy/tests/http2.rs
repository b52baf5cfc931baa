//! HTTP/2 without TLS: every request is judged before it is forwarded.

use super::{Ended, WEB, connected};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// HEADERS of a GET that ends its stream: `:method GET`, `:scheme http` and `:path /` of the static table, and
/// the authority as a literal without indexing (RFC 7541 section 6.2.2, name index 1).
fn request(stream: u8, authority: &str) -> Vec<u8> {
    let length = u8::try_from(authority.len()).unwrap();
    let mut fields = vec![0x82, 0x86, 0x84, 0x01, length];
    fields.extend(authority.as_bytes());
    let length = u8::try_from(fields.len()).unwrap();
    let mut frame = vec![0, 0, length, 1, 0x5, 0, 0, 0, stream];
    frame.extend(fields);
    frame
}

#[tokio::test]
async fn requests_to_the_right_host_pass_as_they_are() {
    let (world, mut client, mut server) = connected(WEB).await;
    let first = [PREFACE, SETTINGS, &request(1, "curl.test")].concat();
    client.write(&first).await;
    server.expect(&first).await;
    server.write(SETTINGS).await;
    client.expect(SETTINGS).await;
    client.write(&request(3, "curl.test")).await;
    server.expect(&request(3, "curl.test")).await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_request_to_another_host_ends_the_connection() {
    let (world, mut client, mut server) = connected(WEB).await;
    let first = [PREFACE, SETTINGS, &request(1, "curl.test")].concat();
    client.write(&first).await;
    server.expect(&first).await;
    client.write(&request(3, "python.test")).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["host_mismatch"]);
}

#[tokio::test]
async fn a_first_request_to_a_denied_host_never_arrives() {
    let (world, mut client, mut server) = connected(WEB).await;
    let request = request(1, "denied.test");
    client.write(&[PREFACE, SETTINGS, &request].concat()).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    let (got, ended) = server.rest().await;
    assert_eq!(ended, Ended::Reset);
    assert!(got.len() <= PREFACE.len() + SETTINGS.len(), "{got:?}");
    assert_eq!(world.reasons(), ["denied"]);
}

#[tokio::test]
async fn a_request_split_anywhere_is_the_same_request() {
    let whole = [PREFACE, SETTINGS, &request(1, "curl.test")].concat();
    for at in 1..whole.len() {
        let (world, mut client, mut server) = connected(WEB).await;
        client.write_pieces(&[&whole[..at], &whole[at..]]).await;
        server.expect(&whole).await;
        assert!(world.sandbox.journal.is_empty(), "split at {at}");
    }
}

#[tokio::test]
async fn what_is_no_frame_is_refused() {
    let (world, mut client, mut server) = connected(WEB).await;
    // A length beyond any that was agreed.
    client.write(&[PREFACE, &[0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1]].concat()).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.1, Ended::Reset);
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn the_end_of_the_clients_stream_is_passed_on() {
    let (world, mut client, mut server) = connected(WEB).await;
    let first = [PREFACE, SETTINGS, &request(1, "curl.test")].concat();
    client.write(&first).await;
    client.finish().await;
    assert_eq!(server.rest().await, (first, Ended::Fin));
    assert!(world.sandbox.journal.is_empty());
}
