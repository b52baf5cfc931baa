//! TLS before the server has answered: what may stand around hellos, and how many there may be.

use super::{CURL, Ended, PYTHON, Peer, Site, WEB, World, connected, peer::turns};

/// The beginning of a ServerHello that asks for no second hello, as far as its random (RFC 8446 section 4.1.3).
const ANSWER: &[u8] = &{
    let mut answer = [7; 5 + 4 + 2 + 32];
    let head = [22, 3, 3, 0, 38, 2, 0, 0, 34, 3, 3];
    let mut at = 0;
    while at < head.len() {
        answer[at] = head[at];
        at += 1;
    }
    answer
};

/// A client whose first hello has arrived.
async fn greeted() -> (World, Peer, Peer) {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(CURL).await;
    server.expect(CURL).await;
    (world, client, server)
}

/// What came behind the first hello is refused, and neither side takes what it has for a whole.
async fn is_refused(world: &World, mut client: Peer, mut server: Peer) {
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn a_third_hello_is_one_too_many() {
    let (world, mut client, mut server) = greeted().await;
    client.write(CURL).await;
    server.expect(CURL).await;
    client.write(CURL).await;
    is_refused(&world, client, server).await;
}

#[tokio::test]
async fn behind_a_hello_only_records_pass() {
    let (world, mut client, server) = greeted().await;
    client.write(b"hello").await;
    is_refused(&world, client, server).await;
}

#[tokio::test]
async fn an_unfinished_record_is_no_end() {
    let (world, mut client, server) = greeted().await;
    client.write_pieces(&[&[0x16, 3]]).await;
    client.finish().await;
    is_refused(&world, client, server).await;
}

#[tokio::test]
async fn a_record_may_take_half_a_minute() {
    let (world, mut client, server) = greeted().await;
    client.write_pieces(&[&[0x16, 3]]).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    is_refused(&world, client, server).await;
    let waited = begun.elapsed().as_secs();
    assert!((29..=31).contains(&waited), "{waited}");
}

#[tokio::test]
async fn a_record_of_another_kind_passes_to_its_end_and_a_hello_behind_it_is_judged() {
    let (world, mut client, mut server) = greeted().await;
    // A change of cipher spec that looks like the beginning of a hello within.
    let record = [&[20, 3, 3, 0, 8][..], &[0x16, 3, 1, 0, 5, 1, 0, 0]].concat();
    client.write(&record).await;
    server.expect(&record).await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn behind_the_servers_answer_anything_passes() {
    let (world, mut client, mut server) = greeted().await;
    server.write(ANSWER).await;
    client.expect(ANSWER).await;
    client.write(b"hello").await;
    server.expect(b"hello").await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_hello_in_whose_middle_the_answer_comes_is_none() {
    let (world, mut client, mut server) = greeted().await;
    client.write_pieces(&[&PYTHON[..40]]).await;
    server.write(ANSWER).await;
    client.expect(ANSWER).await;
    client.write(&PYTHON[40..]).await;
    server.expect(PYTHON).await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_first_hello_may_take_half_a_minute() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write_pieces(&[&CURL[..40]]).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    let waited = begun.elapsed().as_secs();
    assert!((29..=31).contains(&waited), "{waited}");
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn where_anything_passes_the_beginning_of_a_hello_does_not() {
    let world = World::new(
        "[network.domains]\n\
        \"curl.test\" = { action = \"allow\", ports = [8443], protocol = \"any\" }\n",
    )
    .await;
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(site.at).await;
    let mut server = site.accept().await;
    client.write(&[0x16]).await;
    turns().await;
    client.finish().await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}
