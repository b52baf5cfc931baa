//! `egress doctor` as root: able here, and not where something was taken away.
use super::support::{EGRESS, World};

const DOCTOR: [&str; 2] = [EGRESS, "doctor"];

#[test]
#[ignore = "kernel: needs root"]
fn this_machine_is_able() {
    let world = World::new().build();
    let out = world.direct().run(DOCTOR);
    out.succeeded().said("programs load").said("\nable: ");
    assert!(!out.text().contains("missing"), "{out}");
    let out = world.direct().run(DOCTOR.into_iter().chain(["--json"]));
    out.succeeded().said("\"able\":true");
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_loopback_that_is_down_is_named_with_what_to_do() {
    let world = World::new().build();
    let out = world.direct().run(["unshare", "-n"].into_iter().chain(DOCTOR));
    out.exited(1).said("missing  loopback").said("to do: ip link set lo up");
    out.said("not able; missing: loopback\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_machine_without_cgroup2_is_told_how_to_mount_it() {
    let world = World::new().build();
    // The program has a mount namespace of its own: the host keeps its mounts.
    let line = format!("umount -R /sys/fs/cgroup && exec {}", DOCTOR.join(" "));
    let out = world.direct().shell(&line);
    out.exited(1).said("missing  cgroup v2").said("to do: no cgroup v2 is mounted; mount one with");
    out.said("not able; missing: cgroup v2\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_root_without_rights_is_told_which_are_missing() {
    let world = World::new().build();
    let less = "-sys_admin,-net_admin,-bpf";
    let setpriv = format!("setpriv --bounding-set={less} --inh-caps={less}");
    let out = world.direct().shell(&format!("{setpriv} {}", DOCTOR.join(" ")));
    out.exited(1).said("without CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN\n");
    out.said("missing  kernel object").said("not permitted");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_program_without_its_broker_is_told_where_to_put_it() {
    let world = World::new().build();
    let folder = tempfile::tempdir().expect("a folder");
    let alone = folder.path().join("egress");
    std::fs::copy(EGRESS, &alone).expect("a copy of the program alone");
    let words = |rest: &[&str]| {
        let own = alone.to_str().expect("a path").to_owned();
        std::iter::once(own).chain(rest.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>()
    };
    let out = world.direct().run(words(&["doctor"]));
    let place = folder.path().join("egress-broker");
    out.exited(1).said("missing  egress-broker").said(place.to_str().expect("a path"));
    out.said("not able; missing: egress-broker\n");
    // A start says the same, and starts nothing.
    let out = world.direct().run(words(&["run", "--allow", "allowed.test", "--", "echo", "ran"]));
    out.exited(125).complained(place.to_str().expect("a path"));
    assert!(!out.text().contains("ran"), "{out}");
    // With both in one folder it runs.
    let broker = std::path::Path::new(EGRESS).with_file_name("egress-broker");
    std::fs::copy(broker, &place).expect("a copy of the other one");
    world.direct().run(words(&["doctor"])).succeeded().said("ok       egress-broker");
}
