//! `--capabilities container`: what root needs for its work, and no way around.
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use super::ALLOWED;
use super::support::{Finished, PYTHON, World};

mod hostile;
mod out_of_reach;

/// As root, with what a container has.
pub(super) const CONTAINER: &[&str] = &["--capabilities", "container", "--allow", "allowed.test"];

/// chown 0, dac_override 1, fowner 3, fsetid 4, kill 5, setgid 6, setuid 7, setpcap 8, net_bind_service 10,
/// sys_chroot 18, audit_write 29, setfcap 31 (linux/capability.h).
const MASK: u64 = 0xa004_05fb;

/// Whoever is neither root nor anybody here.
const STRANGER: u32 = 4242;

/// The lines of a status file (proc_pid_status(5)) that say what a process may do.
fn rights(out: &Finished<'_>) -> Vec<(String, u64)> {
    let text = out.succeeded().text();
    let of = |line: &str| {
        let (key, value) = line.split_once(":\t").expect("a status line");
        (key.to_owned(), u64::from_str_radix(value.trim(), 16).expect("a number"))
    };
    text.lines().filter(|line| line.contains(":\t")).map(of).collect()
}

const STATUS: &str = "grep -hE '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";

#[track_caller]
fn are(out: &Finished<'_>, permitted: u64) {
    let expected = [
        ("CapInh", 0),
        ("CapPrm", permitted),
        ("CapEff", permitted),
        ("CapBnd", MASK),
        ("CapAmb", 0),
        ("NoNewPrivs", 0),
        ("Seccomp", 2),
    ];
    let found = rights(out);
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(found, expected, "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn exactly_a_containers_capabilities_are_given() {
    let world = World::new().build();
    are(&world.egress(CONTAINER).shell(STATUS), MASK);
    are(&world.egress(&[CONTAINER, &["--user", "root"]].concat()).shell(STATUS), MASK);
    // Another user has none of them, and gets no more back by a set-user-ID program.
    let as_nobody = |line: &str| format!("su nobody -s /bin/sh -c \"{line}\"");
    are(&world.egress(CONTAINER).shell(&as_nobody(STATUS)), 0);
    let raised = "cp $(command -v grep) ./grep-as-root && chmod 4755 grep-as-root && ";
    let line = as_nobody(&STATUS.replace("grep", "./grep-as-root"));
    are(&world.egress(CONTAINER).shell(&format!("{raised}{line}")), MASK);
}

#[test]
#[ignore = "kernel: needs root"]
fn no_program_gains_what_is_not_in_the_set() {
    let world = World::new().build();
    // A program's file gives what it says as far as the bounding set goes; beyond, it is not executed.
    let with_file = |capability: u32| {
        // struct vfs_cap_data (linux/capability.h): revision 2, with the effective bit.
        let set = format!(
            "cp /bin/true t && {PYTHON} -c \"import os, struct; \
             os.setxattr('t', 'security.capability', struct.pack('<5I', 0x2000001, 1 << {capability}, 0, 0, 0))\" && \
             echo set && ./t && echo executed"
        );
        world.egress(CONTAINER).shell(&set)
    };
    let (net_raw, chown) = (13, 0);
    with_file(net_raw).printed("set\n");
    with_file(chown).printed("set\nexecuted\n");
    let raise = "import ctypes; c = ctypes.CDLL(None, use_errno=True); \
                 wanted = [12, 13, 19, 21, 38, 39, 16, 27, 2]; \
                 print([c.prctl(47, 2, n, 0, 0) for n in wanted], [c.prctl(23, n, 0, 0, 0) for n in wanted])";
    let none = format!("{:?} {:?}\n", [-1; 9], [0; 9]);
    world.egress(CONTAINER).run([PYTHON, "-c", raise]).succeeded().printed(&none);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_command_of_another_user_is_given_none() {
    let world = World::new().build();
    let refused = |out: Finished<'_>| {
        out.exited(2).printed("").complained("nobody").complained("--user root");
    };
    refused(world.egress(&[CONTAINER, &["--user", "nobody"]].concat()).shell("echo started"));
    let sudo = world.egress(CONTAINER).env("SUDO_UID", "65534");
    refused(sudo.shell("echo started"));
    // And `none` is what everybody has.
    let none = &["--capabilities", "none", "--user", "nobody"];
    world.egress(none).shell("echo started").succeeded().printed("started\n");
}

/// What an owner finds of a file, as somebody outside.
fn owner(path: &Path) -> (u32, u32, u32) {
    let data = std::fs::metadata(path).expect("the file is there");
    (data.uid(), data.gid(), data.mode() & 0o7777)
}

#[test]
#[ignore = "kernel: needs root"]
fn files_are_given_to_others() {
    let world = World::new().build();
    let chown = |world: &World, options| {
        world
            .egress(options)
            .shell("touch owned && chown 4242:4243 owned && chmod 6751 owned")
            .status
            .success()
    };
    assert!(!chown(&world, ALLOWED));
    assert!(chown(&world, CONTAINER));
    assert_eq!(owner(&world.path("owned")), (4242, 4243, 0o6751));

    let tar = "mkdir from to; touch from/a from/b; chown 4242:4243 from/a; chown 1:1 from/b; \
               tar -cf - -C from a b | tar -xpf - -C to --same-owner --numeric-owner";
    world.egress(CONTAINER).shell(tar).succeeded();
    assert_eq!(owner(&world.path("to/a")).0, 4242);
    assert_eq!(owner(&world.path("to/b")).1, 1);
    let again =
        "mkdir -p again; tar -cf - -C from a b | tar -xpf - -C again --same-owner --numeric-owner";
    world.egress(ALLOWED).shell(again).failed();
}

/// A directory of somebody else's, which nobody else may write, nor read.
fn foreign(world: &World, name: &str) -> std::path::PathBuf {
    let directory = world.path(name);
    std::fs::create_dir(&directory).expect("make a directory");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).expect("close it");
    chown(&directory, Some(STRANGER), Some(STRANGER)).expect("give it away");
    directory
}

#[test]
#[ignore = "kernel: needs root"]
fn other_users_directories_are_open_and_users_are_changed() {
    let world = World::new().build();
    let directory = foreign(&world, "theirs");
    let write = format!("echo text > {0}/file && cat {0}/file", directory.display());
    world.egress(ALLOWED).shell(&write).failed();
    world.egress(CONTAINER).shell(&write).succeeded().printed("text\n");

    let change = "su nobody -s /bin/sh -c 'id -un' && setpriv --reuid 4242 --regid 4243 --clear-groups id -u";
    world.egress(ALLOWED).shell(change).failed();
    world.egress(CONTAINER).shell(change).succeeded().printed("nobody\n4242\n");
    let signal = "setpriv --reuid 4242 --clear-groups sleep 1000 & p=$!; \
                  until grep -q '^Uid:.4242' /proc/$p/status; do :; done; kill $p; wait $p; echo $?";
    world.egress(CONTAINER).shell(signal).succeeded().printed("143\n");
    world.egress(CONTAINER).run(["chroot", "/", "echo", "inside"]).succeeded().printed("inside\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn root_without_them_is_told_what_to_use() {
    let world = World::new().build();
    let told = |options: &[&str]| {
        let out = world.egress(options).run(["true"]);
        out.succeeded();
        let first = out.complaints().lines().next().unwrap_or_default().to_owned();
        (first.contains("--capabilities container"), first.contains("--user NAME"))
    };
    assert_eq!(told(&[]), (true, true));
    assert_eq!(told(&["--user", "root"]), (true, false));
    // By sudo it runs as who called that, which some programs are no use to.
    let by_sudo = |words: &[&str], options: &[&str]| {
        let out = world.egress(options).env("SUDO_UID", "65534").run(words.iter().copied());
        out.complaints().contains(
            "runs as nobody, who called sudo; chown needs `--user root --capabilities container`",
        )
    };
    assert!(by_sudo(&["chown", "--version"], &[]));
    assert!(by_sudo(&["/usr/bin/chown", "--version"], &[]));
    assert!(!by_sudo(&["true"], &[]));
    assert!(!by_sudo(&["chown", "--version"], &["--user", "nobody"]));
    // Who has chosen has been told.
    for chosen in
        [&["--capabilities", "none"][..], &["--capabilities", "container"], &["--user", "nobody"]]
    {
        assert_eq!(told(chosen), (false, false), "{chosen:?}");
    }
}
