//! `egress status`: shows root what runs, and nobody else anything.
use std::path::{Path, PathBuf};

use egress_user::status::{PLACE, Ports, Report};
use nix::{sys::signal::Signal, unistd::Pid};

use super::support::{EGRESS, PYTHON, World};
use super::{ALLOWED, SITE, two_sites};

/// What `egress status` says of the run with this process id; others may run at the same time.
fn report_of(world: &World, pid: Pid) -> Option<Report> {
    let out = world.direct().run([EGRESS, "status", "--json"]);
    out.succeeded();
    let reports: Vec<Report> = serde_json::from_slice(&out.stdout).unwrap();
    reports.into_iter().find(|report| report.pid == pid.as_raw().unsigned_abs())
}

fn socket_of(report: &Report) -> PathBuf {
    Path::new(PLACE).join(format!("{}.sock", report.id))
}

#[test]
#[ignore = "kernel: needs root"]
fn pins_and_refusals_of_a_running_sandbox_are_shown() {
    let world = two_sites();
    let rule = "{ action = \"allow\", ports = [22, 443], via = \"proxy\" }";
    let policy = world.domains(&[("allowed.test", rule)]);
    let program = "import socket\n\
         try: socket.getaddrinfo('refused.test', 80)\n\
         except OSError: pass\n\
         kept = [socket.create_connection(('allowed.test', 22)) for _ in range(2)]\n\
         [s.recv(3) for s in kept]\n\
         print('connected', flush=True)\n\
         input()";
    let running = world.egress(&policy.options()).idle_stdin().start([PYTHON, "-c", program]);
    running.says("connected");
    let report = report_of(&world, running.pid()).expect("a report");
    let [pin] = report.pins.as_slice() else { panic!("{report:?}") };
    assert_eq!((pin.name.as_str(), pin.address.to_string().as_str()), ("allowed.test", SITE));
    assert_eq!(
        (pin.connections, pin.ports.as_deref()),
        (2, Some(&[Ports::One(22), Ports::One(443)][..]))
    );
    assert!(pin.left_seconds.is_some_and(|left| (200..=300).contains(&left)), "{pin:?}");
    assert_eq!(report.program, PYTHON);
    assert_eq!(report.dns.refused.get("not_allowed"), Some(&2));
    assert!(report.refused.iter().any(|refusal| refusal.what == "refused.test"), "{report:?}");
    let table = world.direct().run([EGRESS, "status", &report.id]);
    table.succeeded().said("allowed.test").said("22,443").said(SITE);
    running.finish();
    assert!(!socket_of(&report).exists());
    world.direct().run([EGRESS, "status", &report.id]).exited(1).said("no sandbox run-");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn the_socket_is_out_of_the_sandboxs_reach() {
    let world = two_sites();
    let other = world.egress(ALLOWED).idle_stdin().start(["sh", "-c", "echo up; read x"]);
    other.says("up");
    let report = report_of(&world, other.pid()).expect("a report");
    let socket = socket_of(&report).display().to_string();
    assert!(Path::new(&socket).exists());
    let program = "import os, socket, sys\n\
        def tried(path):\n  \
          try: socket.socket(socket.AF_UNIX).connect(path); return 'connected'\n  \
          except OSError as e: return type(e).__name__\n\
        print(tried(sys.argv[1]), tried('/var' + sys.argv[1]), tried('/proc/1/root' + sys.argv[1]))\n\
        print(os.path.exists('/run/egress'), os.path.exists('/var/run/egress'))";
    let out = world.egress(ALLOWED).run([PYTHON, "-c", program, &socket]);
    out.succeeded().said("False False");
    assert!(!out.text().contains("connected"), "{out}");
    world.egress(ALLOWED).run([EGRESS, "status"]).said("no sandbox is running");
    // Not root, and outside.
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", PYTHON, "-c", program, &socket];
    let out = world.direct().run(nobody);
    out.said("PermissionError PermissionError");
    other.finish();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_killed_run_is_not_shown_and_its_socket_goes_with_the_next() {
    let world = two_sites();
    let running = world.egress(ALLOWED).idle_stdin().start(["sh", "-c", "echo up; read x"]);
    running.says("up");
    let (pid, report) = (running.pid(), report_of(&world, running.pid()).expect("a report"));
    running.signal(Signal::SIGKILL);
    running.finish();
    assert_eq!(report_of(&world, pid), None);
    world.egress(ALLOWED).run(["true"]).succeeded();
    assert!(!socket_of(&report).exists());
}
