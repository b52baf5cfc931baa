//! What the threads of `egress` itself may do: those that read what sandboxes, servers and name servers send have no right
//! and make no system call that leads out.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::thread;

use caps::Capability;
use egress_user::confine::{Offered, Role, enter};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::support::processes::{Task, eventually, tasks_of, with_argument, worker_of};
use super::support::{PYTHON, attempts, landlock_version, skip};
use super::{ALLOWED, two_sites};

/// Who of ours keeps which capabilities, and why; all others read what comes from outside, and keep none. A thread that
/// is in neither list fails the test.
const KEEP: &[(&str, Rights)] = &[
    // Ends sockets by their cookies (SOCK_DESTROY). The second is made by the first while there is something to end.
    ("egress-enders", Rights::Only(&[Capability::CAP_NET_ADMIN])),
    ("egress-ender", Rights::Only(&[Capability::CAP_NET_ADMIN])),
    // Take descriptors of the programs' sockets, to push and to read what is held; as above.
    ("egress-sockets", Rights::Only(SOCKETS)),
    ("egress-socket", Rights::Only(SOCKETS)),
    // Asks whether the command could have written the resolver's configuration, and reads it again.
    (
        "egress-files",
        Rights::Only(&[
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
            Capability::CAP_DAC_READ_SEARCH,
        ]),
    ),
    // Starts and ends sandboxes: programs, cgroups, namespaces. What it reads comes from the kernel and from the init.
    ("egress-broker", Rights::All),
    // Starts inits, and has to live as long as they do.
    ("egress-launcher", Rights::All),
    // Process 1 of the sandbox: reads orders of its parent, and signals.
    ("egress-init", Rights::All),
];

const SOCKETS: &[Capability] =
    &[Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH, Capability::CAP_NET_ADMIN];

/// Who reads foreign bytes.
const READERS: [&str; 6] =
    ["egress", "egress-worker", "egress-runtime", "egress-teller", "egress-link", "egress-held"];

enum Rights {
    All,
    Only(&'static [Capability]),
}

/// Python that has looked up, connected by both paths, and been refused, and then stays.
const VISITOR: &str = "import http.client, socket, ssl, sys\n\
    for make in (http.client.HTTPConnection, http.client.HTTPSConnection):\n  \
      c = make('allowed.test', timeout=60); c.request('GET', '/'); assert c.getresponse().status == 200\n\
    try: socket.getaddrinfo('refused.test', 443)\n\
    except OSError: pass\n\
    try: ssl.create_default_context().wrap_socket(socket.create_connection(('allowed.test', 443)), \
           server_hostname='refused.test')\n\
    except OSError: pass\n\
    print('visited', flush=True)\n\
    sys.stdin.read()";

fn mask(capabilities: &[Capability]) -> u64 {
    capabilities.iter().fold(0, |mask, one| mask | 1 << one.index())
}

#[test]
#[ignore = "kernel: needs root"]
fn no_thread_that_reads_foreign_bytes_has_a_right() {
    let world = two_sites();
    let options = [ALLOWED, &["--live"]].concat();
    let running = world.egress(&options).idle_stdin().start([PYTHON, "-c", VISITOR]);
    running.says("visited");
    let parent = running.pid().as_raw();
    let is_its =
        |id: &i32| tasks_of(*id).iter().any(|task| task.field("PPid") == parent.to_string());
    let init = with_argument("egress-init").into_iter().find(is_its).expect("an init of its own");
    let worker = worker_of(running.pid()).expect("a worker");
    let tasks: Vec<Task> = [parent, worker, init].into_iter().flat_map(tasks_of).collect();
    // Where the kernel gives elements of maps to nobody without, that one stays (docs/security-model.md).
    let of_maps = match Offered::ask().unwrap().maps_without_rights {
        true => 0,
        false => mask(&[Capability::CAP_BPF]),
    };
    for reader in READERS {
        assert!(tasks.iter().any(|task| task.name == reader), "no {reader} among {tasks:?}");
    }
    for task in &tasks {
        let kept = KEEP.iter().find(|(name, _)| *name == task.name).map(|(_, rights)| rights);
        let most = match kept {
            Some(Rights::All) => continue,
            Some(Rights::Only(some)) => mask(some) | of_maps,
            None => {
                assert!(READERS.contains(&task.name.as_str()), "unknown: {task:?}");
                of_maps
            }
        };
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(task.capabilities(set) & !most, 0, "{set}: {task:?}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(task.capabilities(set), 0, "{set}: {task:?}");
        }
        assert_eq!(task.field("NoNewPrivs"), "1", "{task:?}");
        // A filter, and the one in front of it.
        assert_eq!(task.field("Seccomp"), "2", "{task:?}");
        let filters: u32 = task.field("Seccomp_filters").parse().unwrap();
        assert!(filters >= 2, "{task:?}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn what_leads_out_is_refused_to_who_reads() {
    // The same calls in a thread that is not confined: nothing of them is refused for want of a right.
    let bare = thread::spawn(|| errnos(|_| true)).join().unwrap();
    let is_told_apart = |errno: i32| errno != libc::EPERM;
    let not: Vec<_> = bare.iter().filter(|(_, errno)| !is_told_apart(*errno)).collect();
    assert!(not.len() <= 3, "this machine refuses its root: {not:?}");

    let confined = thread::spawn(|| {
        enter(Role::Reader).unwrap();
        errnos(|_| true)
    });
    for (what, errno) in confined.join().unwrap() {
        assert_eq!(Errno::from_raw(errno), Errno::EPERM, "{what}");
    }
    // clone3(2) is absent: C libraries go on with clone(2).
    let absent = thread::spawn(|| {
        enter(Role::Reader).unwrap();
        attempts::clone3()
    });
    assert_eq!(Errno::from_raw(absent.join().unwrap()), Errno::ENOSYS);
}

#[test]
#[ignore = "kernel: needs root"]
fn who_ends_sockets_or_reads_files_has_that_alone() {
    for (role, own) in [
        (Role::Ender, &["the sockets of others"][..]),
        (Role::Files, &["open a file", "look for a file"][..]),
        (Role::Sockets, &["open a file", "look for a file", "take another's descriptor"][..]),
    ] {
        let confined = thread::spawn(move || {
            enter(role).unwrap();
            (errnos(|what| !own.contains(&what)), errnos(|what| own.contains(&what)))
        });
        let (others, owns) = confined.join().unwrap();
        for (what, errno) in others {
            assert_eq!(Errno::from_raw(errno), Errno::EPERM, "{role:?}: {what}");
        }
        for (what, errno) in owns {
            assert_ne!(Errno::from_raw(errno), Errno::EPERM, "{role:?}: {what}");
        }
    }
}

fn errnos(which: impl Fn(&str) -> bool) -> Vec<(&'static str, i32)> {
    let all = attempts::all().into_iter().filter(|attempt| which(attempt.what));
    all.map(|attempt| (attempt.what, attempt.errno())).collect()
}

#[test]
#[ignore = "kernel: needs root"]
fn who_reads_can_do_what_connections_need() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = [0; 4];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
    });
    let confined = thread::spawn(move || {
        enter(Role::Reader).unwrap();
        // Whoever is started by it inherits what it may not.
        thread::spawn(move || {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(b"text").unwrap();
            let mut text = Vec::new();
            stream.read_to_end(&mut text).unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", at).unwrap();
            // More than the allocator has at hand.
            let large = vec![1_u8; 64 << 20];
            let opened = std::fs::File::open("/etc/passwd").unwrap_err();
            (text, large.len(), opened.raw_os_error())
        })
        .join()
        .unwrap()
    });
    assert_eq!(confined.join().unwrap(), (b"text".to_vec(), 64 << 20, Some(libc::EPERM)));
    server.join().unwrap();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_crash_writes_no_core() {
    let world = two_sites();
    let sleep = || [PYTHON, "-c", "import sys; print('here', flush=True); sys.stdin.read()"];
    let unlimited = "ulimit -c unlimited";
    let egress = world.egress(ALLOWED).after(unlimited).idle_stdin().start(sleep());
    egress.says("here");
    let id = egress.pid().as_raw();
    eventually("egress stands for the shell", || {
        std::fs::read_to_string(format!("/proc/{id}/comm"))
            .is_ok_and(|name| name == "egress-broker\n")
    });
    egress.signal(Signal::SIGABRT);
    let out = egress.finish();
    assert_eq!(out.status.signal(), Some(libc::SIGABRT), "{out}");
    assert!(!out.status.core_dumped(), "{out}");
    let bare = world.direct().after(unlimited).idle_stdin().start(sleep());
    bare.says("here");
    bare.signal(Signal::SIGABRT);
    if !bare.finish().status.core_dumped() {
        skip("this kernel writes no core of any program");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn the_doctor_says_how_the_readers_are_held() {
    let world = two_sites();
    let out = world.direct().run([super::support::EGRESS, "doctor"]);
    out.succeeded().said("confinement");
    if landlock_version() > 0 {
        out.said("no files (Landlock)");
    }
}
