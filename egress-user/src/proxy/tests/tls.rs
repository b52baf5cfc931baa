//! TLS: the name in the hello must be one that the address was pinned for.

use super::{CURL, Ended, NO_NAME, OTHER, PYTHON, Site, WEB, World, connected};

/// As browsers send it: the right name, and beside it Encrypted ClientHello, for show.
const GREASE: &[u8] = include_bytes!("../../../tests/data/hello/ech-grease.bin");

/// What becomes of [`GREASE`] at a server of `curl.test` under this policy: what the server got, and the advice.
async fn greased(text: &str) -> (Vec<u8>, Option<String>) {
    let world = World::new(text).await;
    let site = Site::listen(WEB).await;
    world.pin("curl.test", site.at.ip());
    let mut client = world.client(site.at).await;
    let mut server = site.accept().await;
    client.write(GREASE).await;
    let entries = if text.contains("passes") {
        server.expect(GREASE).await;
        return (GREASE.to_vec(), None);
    } else {
        assert_eq!(client.rest().await, (vec![], Ended::Reset));
        world.sandbox.journal.entries()
    };
    assert_eq!(world.reasons(), ["ech_refused"]);
    let advice = entries[0].0.advice().unwrap().to_string();
    (server.rest().await.0, Some(advice))
}

#[tokio::test]
async fn encrypted_hellos_pass_by_the_rule_of_the_name_that_is_read() {
    let refused = "[network.domains]\n\"curl.test\" = \"allow\"\n";
    let (got, advice) = greased(refused).await;
    assert_eq!(got, b"");
    let advice = advice.unwrap();
    for said in [
        "add ech = \"allow\" to curl.test (egress.toml:2)",
        "browsers",
        "as grease",
        "EncryptedClientHelloEnabled",
        "security.tls.ech.grease_probability",
        "network.dns.echconfig.enabled",
        "a CDN's",
    ] {
        assert!(advice.to_lowercase().contains(&said.to_lowercase()), "{said}: {advice}");
    }
    // What can be pasted stands before what is said about it.
    let line =
        "--set 'network.domains.\"curl.test\"={ action = \"allow\", ech = \"allow\" }' (then";
    assert!(advice.contains(line), "{advice}");
    greased(
        "[network.domains] # passes\n\"curl.test\" = { action = \"allow\", ech = \"allow\" }\n",
    )
    .await;
    greased("[network]\nech = \"allow\" # passes\n[network.domains]\n\"curl.test\" = \"allow\"\n")
        .await;
    let (got, _) = greased(
        "[network]\nech = \"allow\"\n[network.domains]\n\"curl.test\" = { action = \"allow\", ech = \"refuse\" }\n",
    )
    .await;
    assert_eq!(got, b"");
}

#[tokio::test]
async fn a_hello_with_the_right_name_passes_as_it_is() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(CURL).await;
    server.expect(CURL).await;
    server.write(b"an answer").await;
    client.expect(b"an answer").await;
    client.write(b"\x14\x03\x03\x00\x01\x01").await;
    server.expect(b"\x14\x03\x03\x00\x01\x01").await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_hello_with_another_name_never_arrives() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn a_hello_without_a_name_is_refused_where_tls_is_expected() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(NO_NAME).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn a_hello_without_a_name_passes_elsewhere() {
    let (world, mut client, mut server) = connected(OTHER).await;
    client.write(NO_NAME).await;
    server.expect(NO_NAME).await;
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn a_hello_with_another_name_is_refused_elsewhere_too() {
    let (world, mut client, mut server) = connected(OTHER).await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn a_hello_split_anywhere_is_the_same_hello() {
    for at in 1..CURL.len() {
        let (world, mut client, mut server) = connected(WEB).await;
        client.write_pieces(&[&CURL[..at]]).await;
        server.hears_nothing().await;
        client.write(&CURL[at..]).await;
        server.expect(CURL).await;
        assert!(world.sandbox.journal.is_empty(), "split at {at}");
    }
}

#[tokio::test]
async fn a_refused_hello_split_anywhere_is_refused() {
    for at in 1..PYTHON.len() {
        let (world, mut client, mut server) = connected(WEB).await;
        client.write_pieces(&[&PYTHON[..at], &PYTHON[at..]]).await;
        assert_eq!(client.rest().await, (vec![], Ended::Reset), "split at {at}");
        assert_eq!(server.rest().await.0, b"", "split at {at}");
        assert_eq!(world.reasons(), ["sni_mismatch"], "split at {at}");
    }
}

#[tokio::test]
async fn half_a_hello_is_none() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&CURL[..40]).await;
    client.finish().await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn a_hello_that_cannot_be_read_is_refused() {
    let (world, mut client, mut server) = connected(WEB).await;
    let mut bad = CURL.to_vec();
    // The length of the session id: longer than the hello.
    bad[43] = 0xff;
    client.write(&bad).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await.0, b"");
    assert_eq!(world.reasons(), ["protocol_not_allowed"]);
}

#[tokio::test]
async fn a_second_hello_before_the_answer_is_judged_as_the_first() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(CURL).await;
    server.expect(CURL).await;
    client.write(PYTHON).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}

#[tokio::test]
async fn two_hellos_at_once_are_two() {
    let (world, mut client, mut server) = connected(WEB).await;
    client.write(&[CURL, PYTHON].concat()).await;
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert!(server.rest().await.0.len() <= CURL.len());
    assert_eq!(world.reasons(), ["sni_mismatch"]);
}
