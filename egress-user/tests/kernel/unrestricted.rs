//! `--unrestricted`: the command as if `egress` were not there, when policy and caller both say so.
use super::support::Client;
use super::{OTHER, two_sites};

const OFF: &str = "[network]\nenabled = false\n";

#[test]
#[ignore = "kernel: needs root"]
fn both_have_to_say_so() {
    let world = two_sites();
    let off = world.policy(OFF);
    let off = off.options();
    let refused = |client: Client<'_>, word: &str| {
        client.run(["echo", "started"]).exited(2).printed("").complained(word);
    };
    refused(world.egress(&off), "insist on it with `--unrestricted`");
    refused(world.egress(&["--unrestricted"]), "`enabled = false`");
    refused(world.egress(&["--unrestricted", "--allow", "allowed.test"]), "`enabled = false`");
    let unrestricted = [&off[..], &["--unrestricted"]].concat();
    let and = |more: &[&'static str]| [&unrestricted[..], more].concat();
    refused(world.egress(&and(&["--capabilities", "container"])), "--capabilities");
    // No network at all goes before everything else (docs/policy.md): then there is nothing to leave off.
    let none = world.policy("[network]\nenabled = false\nnetwork_access = false\n");
    let none = none.options();
    refused(world.egress(&[&none[..], &["--unrestricted"]].concat()), "`enabled = false`");
    world.egress(&none).shell("curl -sS https://allowed.test/ || echo closed").said("closed");
    world.never_asked_for("allowed.test");
    world.arrived().none();

    let out = world.egress(&unrestricted).run(["curl", "-sS", "https://refused.test/"]);
    out.succeeded().said("host=refused.test").complained("unrestricted");
    world.arrived_at(OTHER).some();
    let set = ["--set", "network.enabled=false", "--unrestricted"];
    world.egress(&set).run(["curl", "-sS", "https://refused.test/"]).succeeded();
}

#[test]
#[ignore = "kernel: needs root"]
fn the_command_is_as_without_it() {
    let world = two_sites();
    let egress = |more: &[&str]| {
        world.egress(&[&["--set", "network.enabled=false", "--unrestricted"], more].concat())
    };
    // Pings, raw sockets, devices of its own, capabilities: whatever root may do.
    egress(&[]).run(["ping", "-c1", "-W5", "8.8.8.8"]).succeeded();
    let status = "grep -hE '^(Cap|NoNewPrivs|Seccomp:|SigBlk|SigIgn|Groups)' /proc/self/status; ls /proc/self/fd";
    let direct = world.direct().shell(status);
    let out = egress(&[]).shell(status);
    assert_eq!(out.succeeded().text(), direct.succeeded().text(), "{out}");
    // Still as the user that is asked for.
    egress(&["--user", "4242"]).shell("id -u; id -G; echo $HOME").printed("4242\n4242\n/\n");
    egress(&[]).env("SUDO_UID", "65534").shell("id -u").printed("65534\n");
    egress(&[]).shell("exit 7").exited(7);
    egress(&[]).run(["/no/such/program"]).exited(127).complained("/no/such/program");
    egress(&[]).run(["/dev/null"]).exited(126).complained("/dev/null");
}

#[test]
#[ignore = "kernel: needs root"]
fn requirements_are_not_left_behind() {
    let world = two_sites();
    let folder = world.path("etc");
    std::fs::create_dir(&folder).expect("make a directory");
    let require = |text: &str| {
        std::fs::write(folder.join("requirements.toml"), text).expect("write requirements");
    };
    let at = "mkdir -p /etc/egress";
    let run = || {
        let options = ["--set", "network.enabled=false", "--unrestricted"];
        let mount = format!(
            "mkdir -p {0}/all && cp -a /etc/. {0}/all && mount --bind {0}/all /etc && {at} && \
             cp {0}/requirements.toml /etc/egress",
            folder.display()
        );
        world.egress(&options).unmounted().after(&mount).run(["echo", "started"])
    };
    for bound in [
        "[network.domains]\n\"refused.test\" = \"deny\"\n",
        "[network]\nmode = \"limited\"\n",
        "[network]\nenabled = true\n",
    ] {
        require(bound);
        let out = run();
        out.exited(2).printed("").complained("requirements");
    }
    require("[network]\nenabled = false\n");
    run().succeeded().printed("started\n");
}
