//! Several sandboxes in one process, by the library: each is held by its own policy, and none sees another's
//! refusals.
//!
//! The process is this test's own executable, started anew in the world's namespaces with [`driver`] as its one
//! test.
use std::path::Path;

use super::support::{Client, PYTHON, World};

mod driver;

/// How many there are at once.
const COUNT: usize = 10;

/// The name that sandbox `number` may reach.
fn name(number: usize) -> String {
    format!("s{number}.test")
}

/// Its address: each has one of its own.
fn address(number: usize) -> String {
    format!("93.184.216.{}", 100 + number)
}

fn world() -> World {
    let sites = (0..COUNT).map(|number| (name(number), address(number)));
    sites.fold(World::new(), |world, (name, at)| world.site(&name, &at)).build()
}

/// The driver, with this to do.
fn driving<'w>(world: &'w World, scenario: &str) -> Client<'w> {
    let test = std::env::current_exe().unwrap();
    let words = ["--exact", "many::driver", "--include-ignored", "--nocapture"];
    let words = [test.to_str().unwrap()].into_iter().chain(words);
    let client = world.under(words).env(driver::SCENARIO, scenario);
    client.env(driver::WORLD, world.path(".").to_str().unwrap())
}

#[test]
#[ignore = "kernel: needs root"]
fn driver() {
    if let Ok(scenario) = std::env::var(driver::SCENARIO) {
        let world = std::env::var(driver::WORLD).unwrap();
        driver::run(&scenario, Path::new(&world));
    }
}

/// Fetches the own name by both ways, looks up the next one's, and connects to its address, `rounds` times.
const LOAD: &str = r"
import http.client, socket, ssl, sys
me, own, other, at, rounds = sys.argv[1:6]
counts = dict(https=0, http=0, refused=0, let=0)
context = ssl.create_default_context()
for number in range(int(rounds)):
    for kind, make in (('https', lambda: http.client.HTTPSConnection(own, context=context, timeout=60)),
                       ('http', lambda: http.client.HTTPConnection(own, timeout=60))):
        connection = make()
        connection.request('GET', f'/from/{me}')
        counts[kind] += connection.getresponse().status == 200
        connection.close()
    for refused in (lambda: socket.getaddrinfo(other, 443), lambda: socket.create_connection((at, 443), 60)):
        try:
            refused()
            counts['let'] += 1
        except OSError:
            counts['refused'] += 1
print(me, *(f'{key}={value}' for key, value in counts.items()), flush=True)
";

#[test]
#[ignore = "kernel: needs root"]
fn each_of_ten_is_held_by_its_own_policy() {
    const ROUNDS: usize = 10;
    let world = world();
    world.file("load.py", LOAD);
    let out = driving(&world, "ten").run([""; 0]);
    out.succeeded();
    for number in 0..COUNT {
        let other = (number + 1) % COUNT;
        let refused = 2 * ROUNDS;
        out.said(&format!(
            "sandbox{number} https={ROUNDS} http={ROUNDS} refused={refused} let=0\n"
        ));
        // Its own refusals, and nobody else's.
        let (own, next) = (name(number), name(other));
        let at = address(other);
        out.said(&format!("summary {number}: {next} {at} and no other of {COUNT}\n"));
        out.said(&format!("ended {number}: 0\n"));
        // What arrived there came from it alone.
        let there = world.requests().into_iter().filter(|request| request.host == own);
        let paths: Vec<_> = there.map(|request| request.path).collect();
        assert_eq!(paths.len(), 2 * ROUNDS, "{own}: {paths:?}");
        assert!(paths.iter().all(|path| *path == format!("/from/sandbox{number}")), "{paths:?}");
    }
    out.said("left: 0 sandboxes\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn the_end_of_one_is_nobody_elses() {
    let world = world();
    let out = driving(&world, "one_ends").run([""; 0]);
    out.succeeded().said("stopped 0\n").said("connected after\n").said("ended 1: 0\n");
}

/// Connects without saying anything, and says hello once a line comes on a pipe.
const SILENT: &str = r"
import socket, ssl, sys
me, name, go = sys.argv[1:4]
held = socket.create_connection((name, 443), 60)
open(go).read()
try:
    tls = ssl.create_default_context().wrap_socket(held, server_hostname=name)
    tls.sendall(f'GET /alive HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n'.encode())
    print(me, tls.recv(12).decode(), flush=True)
except OSError:
    print(me, 'ended', flush=True)
";

#[test]
#[ignore = "kernel: needs root"]
fn what_one_loses_another_keeps() {
    let world = world();
    world.file("silent.py", SILENT);
    let out = driving(&world, "held").run([""; 0]);
    // Both had a silent connection to one address; the right to it was taken from one alone, which then ended.
    out.succeeded()
        .said("revoked ended\n")
        .said("other HTTP/1.1 200\n")
        .said("left: 0 sandboxes\n");
}

/// Holds connections to two names by both ways; says what becomes of them when a line comes on a pipe.
const HOLD: &str = r"
import http.client, ssl, sys
context = ssl.create_default_context()
def tls(name):
    connection = http.client.HTTPSConnection(name, context=context, timeout=60)
    connection.connect()
    return connection
def lives(connection):
    # No new connection in the place of one that has ended.
    connection.auto_open = 0
    try:
        connection.request('GET', '/alive')
        return connection.getresponse().read() != b''
    except (OSError, http.client.HTTPException):
        return False
held = [kind(name) for name in sys.argv[1:3] for kind in (tls, lambda name: http.client.HTTPConnection(name, timeout=60))]
for connection in held:
    if connection.sock is None:
        connection.connect()
print('before', *map(lives, held), flush=True)
open(sys.argv[3]).read()
print('after', *map(lives, held), flush=True)
try:
    print('again', tls(sys.argv[2]).sock.version(), flush=True)
except OSError:
    print('again refused', flush=True)
print('other', tls(sys.argv[1]).sock.version(), flush=True)
";

#[test]
#[ignore = "kernel: needs root"]
fn a_policy_that_changes_ends_what_it_refuses_and_nothing_else() {
    let world = world();
    world.file("hold.py", HOLD);
    let twin = driving(&world, "change_nothing").run([""; 0]);
    twin.succeeded().said("before True True True True\n").said("after True True True True\n");
    twin.said("again TLS");
    let out = driving(&world, "change").run([""; 0]);
    out.succeeded().said("before True True True True\n").said("after True True False False\n");
    out.said("again refused\n").said("other TLS").said("ended connections by the proxy: 1\n");
}

/// Connects to the SSH port, and once more each time that a pipe is closed; says by which way.
const WAYS: &str = r"
import socket, sys
import base
def way():
    with socket.create_connection((sys.argv[1], 22), 60) as s:
        s.recv(3)
        return base.way(s)
print('way', way(), flush=True)
for pipe in sys.argv[2:]:
    open(pipe).read()
    print('way', way(), flush=True)
";

#[test]
#[ignore = "kernel: needs root"]
fn a_policy_that_changes_the_way_holds_for_the_next_connection() {
    let world = world();
    world.file("ways.py", WAYS);
    let out = driving(&world, "route").run([""; 0]);
    out.succeeded().said("way direct\nway proxy\nway direct\n").said("ended 0: 0\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_revoked_ends_and_may_come_again() {
    let world = world();
    world.file("hold.py", HOLD);
    let out = driving(&world, "revoke").run([""; 0]);
    out.succeeded().said("before True True True True\n").said("after True True False False\n");
    out.said("again TLS").said("other TLS");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_sandbox_outlives_the_thread_that_started_it() {
    let world = world();
    let out = driving(&world, "thread_ends").run([""; 0]);
    out.succeeded().said("the thread has ended\n").said("fetched\n").said("ended 0: 0\n");
}

/// A program of the test that the driver starts.
fn python(code: &str) -> [String; 3] {
    [PYTHON.to_owned(), "-c".to_owned(), code.to_owned()]
}
