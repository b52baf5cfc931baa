//! As whom the command runs.
use std::os::unix::fs::MetadataExt;

use super::support::World;
use super::two_sites;

/// A number that has no entry in the user database, nor in that of groups.
const NAMELESS: &str = "4242";

#[test]
#[ignore = "kernel: needs root"]
fn a_number_without_an_entry_is_a_user() {
    let world = two_sites();
    let who = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; grep -h ^CapEff /proc/self/status";
    let out = world.egress(&["--user", NAMELESS]).shell(who);
    out.succeeded().printed("4242\n4242\n4242\n/ 4242 4242\nCapEff:\t0000000000000000\n");
    assert_eq!(out.complaints(), "", "{out}");
    let out = world.egress(&["--user", "4242:4343"]).shell(who);
    out.succeeded().printed("4242\n4343\n4343\n/ 4242 4242\nCapEff:\t0000000000000000\n");
    // What it makes is its own; what is root's it may not write.
    let shared = world.path("shared");
    std::fs::create_dir(&shared).expect("make a directory");
    let everyone = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    std::fs::set_permissions(&shared, everyone).expect("open it to all");
    world.egress(&["--user", NAMELESS]).shell("touch shared/made && touch made").failed();
    let made = std::fs::metadata(shared.join("made")).expect("it was made");
    assert_eq!((made.uid(), made.gid()), (4242, 4242));
    assert!(!world.path("made").exists());
    // It is held to the policy like anybody.
    let options = &["--user", NAMELESS, "--allow", "allowed.test"];
    world.egress(options).run(["curl", "-sS", "https://allowed.test/"]).succeeded();
    world.egress(options).run(["curl", "-sS", "https://refused.test/"]).failed();
    world.never_asked_for("refused.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn an_account_has_its_groups_and_nobody_elses() {
    let world = World::new().build();
    // Of the caller's own groups none is kept.
    let caller = "set -- setpriv --groups 7,8,9 \"$@\"";
    let out =
        world.egress(&["--user", "nobody"]).after(caller).shell("id -un; id -G; echo $HOME $USER");
    let id = std::process::Command::new("id").args(["-G", "nobody"]).output().expect("start id");
    let groups = String::from_utf8_lossy(&id.stdout).into_owned();
    out.succeeded().said(&format!("nobody\n{groups}")).said(" nobody\n");
    world.egress(&["--user", "nobody:4343"]).after(caller).shell("id -G").printed("4343\n");
    // And as root all are, as without the filter.
    world.egress(&[]).after(caller).shell("id -G").printed("0 7 8 9\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_no_user_starts_nothing() {
    let world = World::new().build();
    for (user, words) in [
        ("no-such-user", "login name, a number, or UID:GID"),
        ("4242:no-such-group", "UID:GID"),
        ("4294967295", "4294967294"),
        ("", "login name"),
        // A group without a user, on every Linux machine: with a number that a user could have.
        ("5", "--user 5:GID"),
    ] {
        let is_taken = std::process::Command::new("getent").args(["passwd", user]).output();
        if user == "5" && is_taken.is_ok_and(|out| out.status.success()) {
            continue;
        }
        let out = world.egress(&["--user", user]).run(["echo", "started"]);
        out.exited(2).printed("").complained(words);
    }
}
