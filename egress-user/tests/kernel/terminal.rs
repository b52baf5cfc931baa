//! A command at a terminal: whoever started it has the terminal back, and programs that make terminals start.
use super::support::{Client, EGRESS, Finished, PYTHON, World, skip};

/// Has a command at a terminal of its own, in the client's namespaces.
#[track_caller]
fn at_terminal<'w>(client: Client<'w>, steps: &[&str], command: &[&str]) -> Finished<'w> {
    let words = [PYTHON, "terminal.py"].iter().chain(steps).chain(&["--"]).chain(command);
    client.run(words.copied())
}

fn has(world: &World, program: &str) -> bool {
    world.direct().shell(&format!("command -v {program}")).status.code() == Some(0)
}

#[test]
#[ignore = "kernel: needs root"]
fn tmux_starts_inside() {
    let world = World::new().build();
    if !has(&world, "tmux") {
        return skip("tmux is not installed (Debian: tmux)");
    }
    let written = world.path("written");
    std::fs::create_dir(&written).expect("make a directory");
    std::fs::set_permissions(&written, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("open the directory to all");
    // Where a user's tmux outside has its sockets: tmux takes no directory that others may enter.
    for (user, uid) in [("root", 0), ("nobody", 65_534)] {
        let made = std::path::Path::new("/tmp").join(format!("tmux-{uid}"));
        for run in 0..2 {
            let mark = written.join(format!("{uid}-{run}"));
            let line = format!("id -u >{}", mark.display());
            let egress = [EGRESS, "run", "--user", user, "--", "env", "SHELL=/bin/sh"];
            let words: Vec<_> =
                egress.into_iter().chain(["tmux", "-f/dev/null", "new", &line]).collect();
            let out = at_terminal(world.direct(), &[], &words);
            out.succeeded().said("[exited]");
            assert_eq!(std::fs::read_to_string(&mark).ok(), Some(format!("{uid}\n")), "{out}");
            // From now on there is one outside.
            assert!(made.is_dir(), "{}", made.display());
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_tmux_that_starts_outside_later_stays_hidden() {
    let world = World::new().build();
    let made = std::path::Path::new("/tmp/tmux-65534");
    let running = world.egress(&["--user", "nobody"]).idle_stdin();
    let line =
        "echo ready; read x; ls -A /tmp/tmux-65534; touch /tmp/tmux-65534/inside && echo own";
    let running = running.start(["sh", "-c", line]);
    running.says("ready");
    let outside = tempfile::Builder::new().prefix("egress-").tempfile_in(made);
    let _outside = outside.expect("make a file where a server outside has its socket");
    running.tell("go");
    running.finish().succeeded().printed("ready\nown\n");
    assert!(!made.join("inside").exists());
}
