//! Networks of the program's own: none has a cable into the machine's.
use super::capabilities::CONTAINER;
use super::support::{EGRESS, World, skip};
use super::{ALLOWED, two_sites};

const NOBODY: &[&str] = &["--allow", "allowed.test", "--user", "nobody"];

/// Whether a program may make a network at all: where the kernel would let it have a device in another one, it may
/// not. Hosts may forbid user namespaces besides.
pub(super) fn can_be_made(world: &World) -> bool {
    let made = "unshare -Urn true && echo made; true";
    world.egress(NOBODY).shell(made).text().contains("made")
}

/// The devices of the client's network.
fn devices(world: &World) -> Vec<String> {
    let table = world.client_netns().enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"));
    let table = table.expect("read the devices");
    table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

#[test]
#[ignore = "kernel: needs root"]
fn no_device_of_a_network_of_its_own_is_in_the_machines() {
    let world = two_sites();
    let before = devices(&world);
    // To the network of the sandbox's first process, whose descriptor is its own, too.
    let pair = |peer: &str| format!("ip link add v0 type veth peer name made0 {peer} && echo made");
    let by_process = pair("netns 1");
    let attempts = [
        format!(
            "unshare -Urn sh -c '{by_process}; echo tried; read x' || {{ echo tried; read x; }}"
        ),
        format!(
            "unshare -Ur unshare -n sh -c '{by_process}; echo tried; read x' || {{ echo tried; read x; }}"
        ),
        "echo tried; unshare -Ur ip link add v0 type dummy && echo made; read x".to_owned(),
    ];
    for options in [ALLOWED, NOBODY, CONTAINER] {
        for attempt in &attempts {
            let running = world.egress(options).idle_stdin().start(["sh", "-c", attempt]);
            running.says("tried");
            assert_eq!(devices(&world), before, "{options:?} {attempt}");
            let out = running.finish();
            assert!(!out.text().contains("made"), "{options:?}\n{out}");
        }
    }
    // Where the kernel lets it, the program may not.
    let is_open = world.direct().run([EGRESS, "doctor"]).text().contains("CVE-2026-31692");
    let may = can_be_made(&world);
    assert!(!(is_open && may), "this kernel lets devices through, and programs may make networks");
    if !is_open && !may {
        skip("this machine allows no user namespaces");
    }
}
