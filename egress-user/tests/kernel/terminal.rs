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

/// Without anybody's files, and with a prompt to wait for.
const OUTSIDE: &[&str] = &["env", "PS1=outside> ", "bash", "--norc", "--noprofile", "-i"];

/// A script that starts `command`, and then reads from its terminal.
fn script(command: &str) -> Vec<String> {
    ["sh", "-c", &format!("{command}; echo ended $?; read x; echo got $x")]
        .map(str::to_owned)
        .to_vec()
}

/// Runs it, with steps before the script goes on.
#[track_caller]
fn reads_behind<'w>(world: &'w World, steps: &[&str], command: &str, ended: &str) -> Finished<'w> {
    let steps: Vec<_> =
        steps.iter().copied().chain([ended, "type hello\\n", "wait got hello"]).collect();
    let script = script(command);
    let words: Vec<_> = script.iter().map(String::as_str).collect();
    at_terminal(world.direct(), &steps, &words)
}

const SHELL: &str = "env PS1='inside> ' bash --norc --noprofile -i";

#[test]
#[ignore = "kernel: needs root"]
fn a_script_reads_on_behind_an_interactive_shell() {
    let world = World::new().build();
    let steps = ["wait inside> ", "type echo it is $((40+2)); exit\\n", "wait it is 42"];
    reads_behind(&world, &steps, SHELL, "wait ended 0").succeeded();
    let filtered = format!("{EGRESS} run -- {SHELL}");
    reads_behind(&world, &steps, &filtered, "wait ended 0").succeeded();
}

/// Python that makes its process a group of its own in the foreground, and goes on.
const FOREGROUND: &str = "import os, signal, sys, time\n\
    signal.signal(signal.SIGTTOU, signal.SIG_IGN); os.setpgid(0, 0); os.tcsetpgrp(0, os.getpgrp())\n\
    print('in front', flush=True)\n";

/// Python that ends with a number once its child is in front, and stands where it is to.
const PARENT: &str = "import os, subprocess, sys\n\
    child = subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE)\n\
    print(child.stdout.readline().decode(), flush=True)\n\
    if sys.argv[1] == 'stopped.py': os.waitpid(child.pid, os.WUNTRACED)\n\
    os._exit(int(sys.argv[2]))";

#[test]
#[ignore = "kernel: needs root"]
fn the_terminal_comes_back_however_the_command_ends() {
    let world = World::new().build();
    world.file("killed.py", format!("{FOREGROUND}os.kill(os.getpid(), 9)"));
    world.file("stopped.py", format!("{FOREGROUND}os.kill(os.getpid(), signal.SIGSTOP)"));
    world.file("stays.py", format!("{FOREGROUND}time.sleep(1000)"));
    world.file("parent.py", PARENT);
    // The command itself; one of its children that stands, or runs on, when the command ends.
    for (command, ended) in [
        (format!("{PYTHON} killed.py"), "wait ended 137"),
        (format!("{PYTHON} parent.py stopped.py 3"), "wait ended 3"),
        (format!("{PYTHON} parent.py stays.py 4"), "wait ended 4"),
    ] {
        let command = format!("{EGRESS} run -- {command}");
        reads_behind(&world, &["wait in front"], &command, ended).succeeded();
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_command_that_stops_itself_gives_the_callers_shell_the_terminal() {
    let world = World::new().build();
    let stop = "import os, signal\n\
        print('standing', flush=True); os.kill(os.getpid(), signal.SIGTSTP); print('going on', input(), flush=True)";
    let stops = world.file("stops.py", stop).display().to_string();
    let own = world.file("own.py", format!("{FOREGROUND}os.kill(os.getpid(), signal.SIGTSTP); print('going on', input(), flush=True)"));
    let own = own.display().to_string();
    for (filter, script, shows) in [
        ("", &stops, "standing"),
        (&*format!("{EGRESS} run -- "), &stops, "standing"),
        (&*format!("{EGRESS} run --user nobody -- "), &stops, "standing"),
        (&*format!("{EGRESS} run -- "), &own, "in front"),
    ] {
        let start = format!("type {filter}{PYTHON} {script}\\n");
        let shows = format!("wait {shows}");
        let steps = [
            "wait outside> ",
            &start,
            &shows,
            "wait Stopped",
            "wait outside> ",
            // The shell has the terminal: it reads, and is not stopped for it.
            "type echo $((40+2)) here\\n",
            "wait 42 here",
            "wait outside> ",
            "type fg\\n",
            "type line\\n",
            "wait going on line",
            "wait outside> ",
            "type exit\\n",
        ];
        let out = at_terminal(world.direct(), &steps, OUTSIDE);
        assert_eq!(out.text().matches("Stopped").count(), 1, "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_shell_inside_is_suspended_as_one_outside() {
    let world = World::new().build();
    for filter in [String::new(), format!("{EGRESS} run -- ")] {
        let start = format!("type {filter}{SHELL}\\n");
        let steps = [
            "wait outside> ",
            &start,
            "wait inside> ",
            "type suspend\\n",
            "wait Stopped",
            "wait outside> ",
            "type fg\\n",
            "type echo $((40+2)) again\\n",
            "wait 42 again",
            "wait inside> ",
            "type exit\\n",
            "wait outside> ",
            "type exit\\n",
        ];
        at_terminal(world.direct(), &steps, OUTSIDE);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn the_keys_stop_and_end_the_command_once() {
    let world = World::new().build();
    // It says itself that it goes on: a key that is typed before is the shell's.
    world.file(
        "waits.py",
        "import signal, time\n\
         signal.signal(signal.SIGCONT, lambda *_: print('going on', flush=True))\n\
         print('waiting', flush=True)\n\
         while True: time.sleep(1)",
    );
    let start = format!("type {EGRESS} run -- {PYTHON} waits.py\\n");
    let steps = [
        "wait outside> ",
        &start,
        "wait waiting",
        "type \\x1a",
        "wait Stopped",
        "wait outside> ",
        "type fg\\n",
        "wait going on",
        "type \\x1a",
        "wait Stopped",
        "wait outside> ",
        "type fg\\n",
        "wait going on",
        "type \\x03",
        "wait KeyboardInterrupt",
        "wait outside> ",
        "type exit\\n",
    ];
    let out = at_terminal(world.direct(), &steps, OUTSIDE);
    assert_eq!(out.text().matches("Stopped").count(), 2, "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_run_in_the_background_takes_no_terminal_from_the_shell() {
    let world = World::new().build();
    let start = format!("type {EGRESS} run --user nobody -- true & wait; echo $((40+2)) ended\\n");
    let steps = ["wait outside> ", &start, "wait 42 ended", "wait outside> ", "type exit\\n"];
    let out = at_terminal(world.direct(), &steps, OUTSIDE);
    out.succeeded();
    assert!(!out.text().contains("Stopped"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_command_that_stands_and_goes_on_without_a_terminal_is_left_alone() {
    let world = World::new().build();
    // Told each time or not, the sandbox's init goes on.
    let line = "(for n in $(seq 100); do kill -STOP $$; kill -CONT $$; done; kill -CONT $$; echo done) & wait; exit 7";
    world.egress(&[]).run(["sh", "-c", line]).exited(7).said("done");
}
