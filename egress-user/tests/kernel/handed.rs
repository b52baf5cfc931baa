//! What the command is handed besides its standard streams: files that are data, and pipes; and no variable that
//! names what it is not handed.
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::support::{EGRESS, PYTHON, World, skip};

/// To run as a user, without a word about root.
const QUIETLY: &[&str] = &["--user", "nobody"];

fn read_write(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).expect("open a file")
}

#[test]
#[ignore = "kernel: needs root"]
fn a_file_stays_open() {
    let world = World::new().build();
    let log = world.file("log", "from outside\n");
    // Of root alone: the descriptor is what opens it.
    std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("close the file to others");
    let mut unnamed = tempfile::tempfile().expect("make a file");
    let in_memory = tempfile::tempfile_in("/dev/shm").expect("make a file");
    let line = "cat <&3; echo inside >&3; echo unnamed >&4; echo memory >&9";
    let out = world
        .egress(QUIETLY)
        .pass(read_write(&log), 3)
        .pass(&unnamed, 4)
        .pass(&in_memory, 9)
        .shell(line);
    out.succeeded().printed("from outside\n");
    assert_eq!(out.complaints(), "", "{out}");
    assert_eq!(std::fs::read_to_string(&log).expect("read the log"), "from outside\ninside\n");
    for (file, text) in [(&mut unnamed, "unnamed\n"), (&mut { in_memory }, "memory\n")] {
        let mut found = String::new();
        file.seek(SeekFrom::Start(0)).expect("go to the start");
        file.read_to_string(&mut found).expect("read the file");
        assert_eq!(found, text);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_more_than_data_is_closed() {
    let world = World::new().build();
    let path = |path: &str| -> OwnedFd {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        OpenOptions::new().read(true).custom_flags(flags).open(path).expect("open a path").into()
    };
    let open = |path: &str| -> OwnedFd { File::open(path).expect("open a file").into() };
    let (socket, _other) = UnixStream::pair().expect("make a socket pair");
    let events = nix::sys::eventfd::EventFd::new().expect("make an event counter");
    let memory = memfd_create(c"memory", MFdFlags::MFD_CLOEXEC).expect("make a memfd");
    let cases: [(OwnedFd, Option<&str>); 11] = [
        (open("/proc/1/status"), Some("type 0x9fa0")),
        (open("/proc/self/ns/net"), Some("type 0x6e736673")),
        (open("/sys/kernel/mm/ksm/run"), Some("type 0x62656572")),
        (memory, Some("memfd")),
        (socket.into(), None),
        (events.into(), None),
        (open("/run"), None),
        (open("/dev/null"), None),
        (open("/dev/zero"), None),
        (path("/etc/passwd"), None),
        (path("/run"), None),
    ];
    for (number, (descriptor, told)) in (20..).zip(cases) {
        let probe = format!("descriptor {number}");
        let direct = world.direct().pass(&descriptor, number).probes(&[&probe]);
        assert_ne!(direct.probed(&probe), "ENOENT", "{direct}");
        let out = world.egress(QUIETLY).pass(&descriptor, number).probes(&[&probe]);
        out.probe(&probe, &["ENOENT"]);
        match told {
            Some(why) => {
                out.complained(&format!("descriptor {number}")).complained(why);
                assert_eq!(out.complaints().lines().count(), 1, "{out}");
            }
            None => assert_eq!(out.complaints(), "", "{out}"),
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn variables_of_what_is_closed_are_unset() {
    let world = World::new().build();
    let (socket, _other) = UnixStream::pair().expect("make a socket pair");
    let file = File::open(world.file("data", "data")).expect("open a file");
    let variables = [
        ("NODE_CHANNEL_FD", "3"),
        ("NODE_CHANNEL_SERIALIZATION_MODE", "json"),
        ("LISTEN_FDS", "1"),
        ("LISTEN_PID", "1"),
        ("LISTEN_FDNAMES", "web"),
        ("BASH_XTRACEFD", "4"),
        ("MAKEFLAGS", "-k --jobserver-auth=3,4 -- X=1"),
        ("KEPT", "3"),
    ];
    let names = variables.map(|(name, _)| format!("${{{name}-none}}")).join("|");
    let line = format!("echo \"{names}\"");
    let set = |client: super::support::Client<'_>| -> String {
        let client = client.pass(&socket, 3).pass(&file, 4);
        let client = variables.iter().fold(client, |client, (name, value)| client.env(name, value));
        let out = client.shell(&line);
        let (text, told) = (out.succeeded().text(), out.complaints());
        assert_eq!(
            told.contains("changed for the command: NODE_CHANNEL_FD, "),
            text.contains("none"),
            "{out}"
        );
        text
    };
    let all = "3|json|1|1|web|4|-k --jobserver-auth=3,4 -- X=1|3\n";
    assert_eq!(set(world.direct()), all);
    assert_eq!(set(world.egress(QUIETLY)), "none|none|none|none|none|4|-k -- X=1|3\n");
    // A service that was given nothing but a file keeps it.
    let out = world.egress(QUIETLY).pass(&file, 3).env("LISTEN_FDS", "1");
    let out = out.shell("echo $LISTEN_FDS; cat <&3");
    out.succeeded().printed("1\ndata");
    assert_eq!(out.complaints(), "", "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_child_of_node_behind_the_filter_does_not_die_of_its_channel() {
    let world = World::new().build();
    if world.direct().shell("command -v node").status.code() != Some(0) {
        return skip("node is not installed (Debian: nodejs)");
    }
    let wrapper = world.file("wrapped", format!("#!/bin/sh\nexec {EGRESS} run -- node \"$@\"\n"));
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("make it executable");
    let child = world.file("child.js", "console.log('child', process.connected, process.send);");
    let parent = format!(
        "const {{ fork }} = require('child_process');\
         fork({:?}, {{ execPath: {:?} }}).on('exit', code => console.log('ended', code))",
        child.display().to_string(),
        wrapper.display().to_string()
    );
    let out = world.direct().run(["node", "-e", &parent]);
    out.succeeded().said("child undefined undefined").said("ended 0");
}

#[test]
#[ignore = "kernel: needs root"]
fn makes_job_server_goes_on_working() {
    let world = World::new().build();
    if world.direct().shell("command -v make").status.code() != Some(0) {
        return skip("make is not installed (Debian: make)");
    }
    world.file("inner.mk", "all: a b c\na b c:\n\t@echo $@ $(MAKEFLAGS)\n");
    world.file("outer.mk", format!("all:\n\t+{EGRESS} run --user nobody -- $(MAKE) -f inner.mk\n"));
    // Make 4.4 has a job server by name, which is a file like others.
    let words = [
        "sh",
        "-c",
        "make --jobserver-style=pipe -v >/dev/null 2>&1 && S=--jobserver-style=pipe; make -j2 $S -f outer.mk",
    ];
    let out = world.direct().run(words);
    out.succeeded().said("--jobserver-auth=");
    assert!(!out.complaints().contains("jobserver"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hidden_agent_is_told_and_a_hidden_tmux_is_not_named() {
    let world = World::new().build();
    let directories = ["tmux", "ssh"].map(|of| {
        tempfile::Builder::new().prefix(&format!("{of}-egress-")).tempdir_in("/tmp").expect(of)
    });
    let [tmux, agent] = directories.each_ref().map(|directory| directory.path().join("socket"));
    let _listening = [&tmux, &agent].map(|path| UnixListener::bind(path).expect("listen"));
    let named = format!("{},123,0", tmux.display());
    let with = |client: super::support::Client<'_>| -> (String, String) {
        let client = client.env("SSH_AUTH_SOCK", &agent.display().to_string());
        let client = client.env("TMUX", &named).env("TMUX_PANE", "%0");
        let out = client.run([
            PYTHON,
            "-c",
            "import os; print([os.environ.get(n) for n in ('TMUX', 'TMUX_PANE')])",
        ]);
        (out.succeeded().text(), out.complaints())
    };
    assert_eq!(with(world.direct()).0, format!("['{named}', '%0']\n"));
    let (variables, told) = with(world.egress(QUIETLY));
    assert_eq!(variables, "[None, None]\n");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("SSH_AUTH_SOCK") && told.contains("network.unix_sockets"), "{told}");
    // One that is not hidden is nobody's business.
    let seen = world.path("agent");
    let _listening = UnixListener::bind(&seen).expect("listen");
    let out = world.egress(QUIETLY).env("SSH_AUTH_SOCK", &seen.display().to_string());
    let out = out.env("TMUX", &format!("{},1,0", seen.display())).shell("echo $TMUX");
    out.succeeded().printed(&format!("{},1,0\n", seen.display()));
    assert_eq!(out.complaints(), "", "{out}");
}
