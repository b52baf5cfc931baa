//! A policy that changes under connections that live.

use super::{Ended, OTHER, connected, world::policy};

const WITHOUT: &str =
    "[network.domains]\n\"python.test\" = { action = \"allow\", ports = [8443] }\n";

#[tokio::test]
async fn what_the_new_policy_refuses_is_reset_on_both_sides() {
    let (world, mut client, mut server) = connected(OTHER).await;
    client.write(b"\0first").await;
    server.expect(b"\0first").await;
    world.sandbox.set_policy(policy(WITHOUT));
    assert_eq!(client.rest().await, (vec![], Ended::Reset));
    assert_eq!(server.rest().await, (vec![], Ended::Reset));
}
