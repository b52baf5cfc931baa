//! A network that is away for some seconds: connections go on afterwards, as without the filter.
use std::time::Duration;

use super::support::processes::eventually;
use super::support::{Client, PYTHON, World};
use super::{SITE, SITE_V6};

/// Longer than any limit that `egress` sets for what it holds back.
const AWAY: Duration = Duration::from_secs(6);

/// Runs the client, and takes the network away while it is at this stage: what it sends then is lost, and so is what the
/// far side sends.
fn away<'w>(client: Client<'w>, world: &World, to: (&str, &str), stage: &str) -> String {
    let (name, address) = to;
    let line = format!(
        "getent ahosts {name} > found && exec {PYTHON} outage.py {address} 443 {name} {stage}"
    );
    let before = world.contacts().iter().filter(|contact| contact.at.port() == 443).count();
    let client = client.patience(Duration::from_secs(150)).idle_stdin();
    let running = client.start(["sh", "-c", &line]);
    running.says("ready");
    // The proxy's own connection is there, too.
    let connected = || {
        let now = world.contacts().iter().filter(|contact| contact.at.port() == 443).count();
        now > before
    };
    eventually("the connection", connected);
    let far = world.far_netns();
    far.nft(
        "table inet away {\n\
         chain in { type filter hook input priority 0; tcp dport 443 drop; }\n\
         chain out { type filter hook output priority 0; tcp sport 443 drop; }\n}\n",
    );
    running.tell("go");
    running.says("goes on");
    std::thread::sleep(AWAY);
    far.nft("delete table inet away\n");
    running.finish().probed(stage)
}

#[test]
#[ignore = "kernel: needs root"]
fn a_connection_goes_on_after_an_outage() {
    let (v4, v6) = (("allowed.test", SITE), ("six.test", SITE_V6));
    let build = || World::new().site("allowed.test", SITE).site("six.test", SITE_V6).build();
    // Three at once: each is away for some seconds.
    for (stage, place) in [("connected", v4), ("spoken", v4), ("half", v4), ("connected", v6)] {
        std::thread::scope(|scope| {
            for path in ["kernel", "proxy"] {
                scope.spawn(move || {
                    let world = build();
                    let rule = format!("{{ action = \"allow\", via = \"{path}\" }}");
                    let policy = world.domains(&[(place.0, &rule)]);
                    let got = away(world.egress(&policy.options()), &world, place, stage);
                    let way = if path == "kernel" { "direct" } else { "proxy" };
                    assert_eq!(got, format!("{way} page"), "{stage} {place:?}");
                });
            }
            scope.spawn(move || {
                let world = build();
                assert_eq!(away(world.direct(), &world, place, stage), "direct page");
            });
        });
    }
}
