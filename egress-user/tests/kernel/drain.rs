//! The end of an upload: what a program wrote, and the kernel took, arrives as without a filter, also
//! when the program ends at once. Every test is judged by what the far side received, and by how its
//! kernel saw the stream end.
use std::time::Duration;

use nix::sys::signal::Signal;

use super::support::http::pattern;
use super::support::processes::eventually;
use super::support::receiver::{End, Got, Manner, Receiver};
use super::support::{Client, EGRESS, PYTHON, SILENT, World};
use super::{ALLOWED, SITE, SITE_V6, two_sites};

const MANY: usize = 3_000_000;

/// A receiver that has little room, so that most of an upload is still on its way.
fn slow() -> Manner {
    let pause = Some((64 << 10, Duration::from_millis(10)));
    Manner { buffer: Some(32 << 10), pause, ..Manner::default() }
}

fn stalling() -> Manner {
    Manner { buffer: Some(32 << 10), stalls: true, ..Manner::default() }
}

fn world() -> World {
    let world = two_sites();
    world.file("upload", pattern(16 << 20));
    world
}

/// Without a filter, and with it.
fn both<'w>(world: &'w World) -> [Client<'w>; 2] {
    [world.direct(), world.egress(ALLOWED)]
}

fn upload(how: &str, name: &str, receiver: &Receiver, length: usize) -> [String; 6] {
    let [port, length] = [receiver.port.to_string(), length.to_string()];
    [PYTHON.into(), "uploads.py".into(), how.into(), name.into(), port, length]
}

#[track_caller]
fn is_whole(got: &Got, length: usize, what: &str) {
    assert!(
        got.bytes == pattern(length) && got.end == End::Fin,
        "{what}: {} of {length} bytes arrived, then {:?}",
        got.bytes.len(),
        got.end
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn an_upload_outlives_its_program() {
    let world = world();
    let receiver = Receiver::at(&world, SITE, slow());
    for how in ["exit", "closed", "shut", "lingering", "killed", "child", "sendfile", "pieces"] {
        for client in both(&world) {
            client.run(upload(how, "allowed.test", &receiver, MANY));
            is_whole(&receiver.got(), MANY, how);
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn an_upload_outlives_programs_of_other_kinds() {
    let world = world();
    let receiver = Receiver::at(&world, SITE, slow());
    let port = receiver.port;
    let mut lines = vec![
        format!("exec bash -c 'head -c {MANY} upload > /dev/tcp/{SITE}/{port}'"),
        format!("exec bash -c 'exec 3<>/dev/tcp/{SITE}/{port}; head -c {MANY} upload >&3'"),
    ];
    if std::path::Path::new("/usr/bin/ncat").exists() {
        lines.push(format!("head -c {MANY} upload | ncat --send-only allowed.test {port}"));
    }
    for line in lines {
        for client in both(&world) {
            client.shell(&format!("getent hosts allowed.test > found; {line}"));
            is_whole(&receiver.got(), MANY, &line);
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn an_upload_over_ipv6_outlives_its_program() {
    let world = world();
    let receiver = Receiver::at(&world, SITE_V6, slow());
    for client in [world.direct(), world.egress(&["--allow", "six.test"])] {
        client.run(upload("exit", "six.test", &receiver, MANY)).succeeded();
        is_whole(&receiver.got(), MANY, "over IPv6");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn the_exit_code_is_the_programs_and_nothing_is_said() {
    let world = world();
    let receiver = Receiver::at(&world, SITE, slow());
    let egress = world.egress(&["--user", "nobody", "--allow", "allowed.test"]);
    let out = egress.run(upload("code", "allowed.test", &receiver, MANY));
    out.exited(7);
    assert_eq!(out.complaints(), "", "{out}");
    is_whole(&receiver.got(), MANY, "code");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_line_outlives_its_program_where_the_server_answers_late() {
    let world = World::new().record("late.test", &[SILENT]).build();
    world.file("upload", pattern(1 << 10));
    for (client, port) in [(world.direct(), 7100), (world.egress(&["--allow", "late.test"]), 7101)]
    {
        let words = ["exit", "late.test", &port.to_string(), "40"].map(String::from);
        let running = client.start([PYTHON.into(), "uploads.py".into()].into_iter().chain(words));
        // The first SYN is lost, and only a later one finds the server.
        eventually("a first SYN", || world.arrived_at(SILENT).on_port(port).count() > 0);
        world.far_netns().ip(&format!("addr add {SILENT}/32 dev far0\n"));
        let receiver = Receiver::on(&world, SILENT, port, Manner::default());
        running.finish().succeeded();
        is_whole(&receiver.got(), 40, "late");
        world.far_netns().ip(&format!("addr del {SILENT}/32 dev far0\n"));
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn what_the_proxy_has_not_accepted_yet_outlives_its_program() {
    let world = world();
    let receiver = Receiver::at(&world, SITE, Manner::default());
    // Few enough for the kernel to take them all before anybody reads.
    for (how, end) in [("exit", End::Fin), ("killed", End::Fin), ("reset", End::Reset)] {
        let direct = upload(how, "allowed.test", &receiver, 50_000);
        world.direct().run(direct.clone());
        let got = receiver.got();
        assert_eq!((got.bytes.len(), got.end), (50_000, end), "{how} without the filter");

        let line = "getent hosts allowed.test > found; echo ready; read go; exec \"$@\"";
        let words = ["sh", "-c", line, "sh"].map(String::from);
        let mut words: Vec<String> = words.to_vec();
        words.extend(upload(how, SITE, &receiver, 50_000));
        // Where connects are held, a connection is accepted as soon as there is one.
        let running = world.unheld(ALLOWED).idle_stdin().start(words);
        running.says("ready");
        running.stop();
        running.tell("go");
        running.says("took");
        // The program has ended, and nothing of it is left but what lies in the listener's queue.
        eventually("the program has ended", || processes_with(&receiver.port.to_string()) == 1);
        running.go_on();
        running.finish();
        let got = receiver.got();
        assert_eq!((got.bytes.len(), got.end), (50_000, end), "{how} in the queue");
        assert!(got.bytes == pattern(50_000), "{how}: other bytes");
    }
}

/// Living Pythons with this word.
fn processes_with(word: &str) -> usize {
    super::support::processes::with_argument(word).len()
}

#[test]
#[ignore = "kernel: needs root"]
fn a_slow_receiver_gets_everything_as_long_as_it_takes() {
    let world = world();
    // Some five seconds, with a patience of one.
    let pause = Some((64 << 10, Duration::from_millis(40)));
    let receiver =
        Receiver::at(&world, SITE, Manner { buffer: Some(32 << 10), pause, ..Manner::default() });
    let long = 8 << 20;
    let egress = world.egress(&["--set", "network.drain=1s", "--allow", "allowed.test"]);
    for client in [world.direct(), egress] {
        let out = client.run(upload("exit", "allowed.test", &receiver, long));
        out.succeeded();
        assert!(!out.complaints().contains("given up"), "{out}");
        is_whole(&receiver.got(), long, "slowly");
    }
}

/// What a program's kernel took of an upload that nobody reads.
fn taken(output: &str) -> usize {
    let line = output.lines().find_map(|line| line.strip_prefix("took "));
    line.and_then(|number| number.parse().ok()).expect("how much the kernel took")
}

#[test]
#[ignore = "kernel: needs root"]
fn a_receiver_that_stalls_is_given_up_with_a_reset() {
    let world = world();
    let receiver = Receiver::at(&world, SITE, stalling());
    // Without the filter the kernel keeps it for as long as it takes.
    let out = world.direct().run(upload("full", "allowed.test", &receiver, 16 << 20));
    receiver.accepted();
    receiver.read_on();
    is_whole(&receiver.got(), taken(&out.succeeded().text()), "read late");

    let receiver = Receiver::at(&world, SITE, stalling());
    let egress = world.egress(&["--set", "network.drain=1s", "--allow", "allowed.test"]);
    let out = egress.run(upload("full", "allowed.test", &receiver, 16 << 20));
    out.succeeded().complained("given up").complained(&format!("{SITE}:{}", receiver.port));
    // And not after the thirty seconds that are usual.
    out.within(Duration::from_secs(20));
    receiver.read_on();
    let got = receiver.got();
    assert_eq!(got.end, End::Reset, "of a stream without its end\n{out}");
    assert!(got.bytes.len() < taken(&out.text()), "{out}");

    // One that reads in time gets everything.
    let receiver = Receiver::at(&world, SITE, stalling());
    let running = world.egress(ALLOWED).start(upload("full", "allowed.test", &receiver, 16 << 20));
    let took = taken(&running.says("took"));
    receiver.accepted();
    receiver.read_on();
    running.finish().succeeded();
    is_whole(&receiver.got(), took, "read after a while");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_signal_ends_the_wait_at_once() {
    let world = world();
    // Longer than anything here is waited for.
    let options = ["--set", "network.drain=1h", "--allow", "allowed.test"];
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let receiver = Receiver::at(&world, SITE, stalling());
        let upload = upload("full-killed", "allowed.test", &receiver, 16 << 20);
        let running = world.egress(&options).start(upload);
        running.says("took");
        running.says_no_more();
        running.signal(signal);
        let out = running.finish();
        out.exited(128 + 9).complained("given up");
        receiver.read_on();
        assert_eq!(receiver.got().end, End::Reset, "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn the_reader_of_the_output_does_not_wait_for_deliveries() {
    let world = world();
    let receiver = Receiver::at(&world, SITE, stalling());
    let binary = EGRESS;
    let upload = upload("full", "allowed.test", &receiver, 16 << 20).join(" ");
    let line = format!("{binary} run --allow allowed.test -- {upload} | {{ cat; echo end; }}");
    let running = world.direct().start(["sh", "-c", &line]);
    running.says("end");
    receiver.read_on();
    let out = running.finish();
    is_whole(&receiver.got(), taken(&out.text()), "behind the output's end");
}

#[test]
#[ignore = "kernel: needs root"]
fn several_uploads_outlive_their_programs_and_a_refused_one_does_not() {
    let world = world();
    let receivers: Vec<Receiver> = (0..5).map(|_| Receiver::at(&world, SITE, slow())).collect();
    let refused = "GET /late HTTP/1.1\\r\\nHost: shared.test\\r\\n\\r\\n";
    let send = format!(
        "import socket; s = socket.create_connection(('{SITE}', 80)); s.sendall(b'{refused}')"
    );
    let half = format!(
        "import socket; s = socket.create_connection(('{SITE}', 80)); \
         s.sendall(b'GET /half HTTP/1.1\\r\\nHost: allo')"
    );
    let mut line = "getent hosts allowed.test > found; ".to_owned();
    for receiver in &receivers {
        line += &(upload("exit", "allowed.test", receiver, MANY).join(" ") + " & ");
    }
    line += &format!("{PYTHON} -c \"{half}\"; wait; exec {PYTHON} -c \"{send}\"");
    for client in both(&world) {
        let out = client.shell(&line);
        for receiver in &receivers {
            is_whole(&receiver.got(), MANY, "one of several");
        }
        if out.words[0] != "sh" {
            out.complained("shared.test").complained("HTTP request");
        } else {
            eventually("without the filter it arrives", || {
                world.requests().iter().any(|request| request.host == "shared.test")
            });
        }
    }
    let late = world.requests().into_iter().filter(|request| request.path == "/late").count();
    assert_eq!(late, 1, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn an_upload_by_tls_through_the_proxy_outlives_its_program() {
    const LONG: usize = 16 << 20;
    let world = world();
    // Without the tickets that come behind a handshake of TLS 1.3: with something unread its end is a reset.
    let put = format!(
        "import socket, ssl, os\n\
         c = ssl.create_default_context(cafile='ca.pem')\n\
         c.maximum_version = ssl.TLSVersion.TLSv1_2\n\
         s = c.wrap_socket(socket.create_connection(('allowed.test', 443)), server_hostname='allowed.test')\n\
         s.sendall(b'PUT /sink HTTP/1.1\\r\\nHost: allowed.test\\r\\nContent-Length: {LONG}\\r\\n\\r\\n' + open('upload', 'rb').read({LONG}))\n\
         os._exit(0)"
    );
    let rule = "{ action = \"allow\", via = \"proxy\" }";
    let policy = world.domains(&[("allowed.test", rule)]);
    for (number, client) in
        [world.direct(), world.egress(&policy.options())].into_iter().enumerate()
    {
        client.run([PYTHON, "-c", &put]).succeeded();
        eventually("the request and its body", || {
            let whole = |contact: &&_| received(contact) > LONG;
            world.contacts().iter().filter(whole).count() == number + 1
                && world.requests().len() == number + 1
        });
    }
}

fn received(contact: &super::support::Contact) -> usize {
    contact.received
}

#[test]
#[ignore = "kernel: needs root"]
fn a_line_outlives_its_program_where_the_server_speaks_first() {
    let world = World::new().record("late.test", &[SILENT]).build();
    world.file("upload", pattern(1 << 10));
    // The greeting comes when nobody is left to hear it.
    let manner = Manner { greeting: b"220 hello\r\n".to_vec(), ..Manner::default() };
    let running = world.egress(&["--allow", "late.test"]).start([
        PYTHON,
        "uploads.py",
        "exit",
        "late.test",
        "7102",
        "40",
    ]);
    eventually("a first SYN", || world.arrived_at(SILENT).on_port(7102).count() > 0);
    world.far_netns().ip(&format!("addr add {SILENT}/32 dev far0\n"));
    let receiver = Receiver::on(&world, SILENT, 7102, manner);
    running.finish().succeeded();
    assert!(receiver.got().bytes == pattern(40));
}

/// A client of HTTP that reads a part of a long answer and then ends in this way; the last line ends it.
fn reader(name: &str, port: u16, ending: &str) -> String {
    format!(
        "import os, signal, socket, struct, sys, time\n\
         s = socket.create_connection(('{name}', {port}))\n\
         s.sendall(b'GET /long HTTP/1.1\\r\\nHost: {name}\\r\\n\\r\\n')\n\
         got = b''\n\
         while len(got) < 100000: got += s.recv(10000)\n\
         print('half', flush=True)\n\
         sys.stdin.readline()\n\
         {ending}"
    )
}

#[test]
#[ignore = "kernel: needs root"]
fn a_client_that_dies_in_an_answer_ends_it_at_the_server() {
    let world = world();
    let endings = [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os._exit(0)",
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close(); sys.stdin.readline()",
        "s.close(); sys.stdin.readline()",
        "s.shutdown(socket.SHUT_RDWR); s.close(); sys.stdin.readline()",
        "s.shutdown(socket.SHUT_WR); os._exit(0)",
    ];
    // Bits of an answer, far apart: only a reset that is passed on ends it before the next.
    let slack = Duration::from_secs(5) * super::support::slowness();
    for talks in [(1 << 20, 4 * slack), (64 << 10, Duration::from_millis(50))] {
        for ending in endings {
            let mut took = Vec::new();
            for client in both(&world) {
                let manner = Manner { talks: Some(talks), ..Manner::default() };
                let receiver = Receiver::at(&world, SITE, manner);
                // In the background: its sandbox lives on.
                let script = reader("allowed.test", receiver.port, ending);
                let script = world.file("reader.py", script).display().to_string();
                let line = format!("{PYTHON} {script}; echo over; read end");
                let running = client.idle_stdin().start(["sh", "-c", &line]);
                running.says("half");
                let began = std::time::Instant::now();
                running.tell("end");
                let got = receiver.got();
                took.push(began.elapsed());
                assert!(got.bytes.starts_with(b"GET /long"), "{ending}");
                drop(running);
            }
            let (direct, filtered) = (took[0], took[1]);
            assert!(
                filtered < direct + slack,
                "{ending}: the server is held for {filtered:?}, without the filter for {direct:?}"
            );
        }
    }
}
