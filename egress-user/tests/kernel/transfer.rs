//! Bytes of an allowed connection: all of them, both ways, as without a filter.
use super::support::http::{pattern, sha256};
use super::support::receiver::{Manner, Receiver};
use super::support::{BANNER, PYTHON};
use super::{ALLOWED, OTHER, REFUSED_REQUEST, SITE, two_sites};

#[test]
#[ignore = "kernel: needs root"]
fn a_download_is_whole() {
    let world = two_sites();
    for url in ["https://allowed.test/bytes/8388608", "http://allowed.test/bytes/8388608"] {
        let out = world.egress(ALLOWED).run(["curl", "-sS", url]);
        assert_eq!(
            sha256(&out.succeeded().stdout),
            sha256(&pattern(8 << 20)),
            "the download of {url} differs"
        );
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn an_upload_is_whole() {
    let world = two_sites();
    let body = pattern(5 << 20);
    world.file("upload", &body);
    let received = format!("{} {}\n", body.len(), sha256(&body));
    for url in ["https://allowed.test/sink", "http://allowed.test/sink"] {
        world
            .egress(ALLOWED)
            .run(["curl", "-sS", "-T", "upload", url])
            .succeeded()
            .printed(&received);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn each_side_may_close_its_half_first() {
    let world = two_sites();
    let (half_close, farewell) =
        ("half-close allowed.test 7000 3000000", "farewell allowed.test 7001 3000000");
    let out = world.egress(ALLOWED).probes(&[half_close, farewell]);
    out.probe(half_close, &["ok 3000000"]).probe(farewell, &["ok"]);
    super::support::processes::eventually(
        "the server has all that came after its farewell",
        || {
            world
                .contacts()
                .iter()
                .any(|contact| contact.at.port() == 7001 && contact.received == 3_000_000)
        },
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn a_server_may_speak_first() {
    let world = two_sites();
    let line = format!("ok {BANNER}hello\\n").replace("\r\n", "\\r\\n");
    let out = world.egress(ALLOWED).probes(&["banner allowed.test 22", "banner allowed.test 25"]);
    out.probe("banner allowed.test 22", &[&line]).probe("banner allowed.test 25", &[&line]);
}

#[test]
#[ignore = "kernel: needs root"]
fn getpeername_gives_the_address_that_was_asked() {
    let world = two_sites();
    let out =
        world.egress(ALLOWED).probes(&["peername allowed.test 443", "peername allowed.test 22"]);
    out.probe("peername allowed.test 443", &[&format!("ok {SITE} 443")]);
    out.probe("peername allowed.test 22", &[&format!("ok {SITE} 22")]);
    let (mapped, six) =
        (format!("peername ::ffff:{SITE} 22"), format!("peername {} 22", super::SITE_V6));
    let options = &["--allow", "allowed.test", "--allow", "six.test"];
    let out =
        world.egress(options).probes(&["resolve allowed.test", "resolve six.test", &mapped, &six]);
    out.probe(&mapped, &[&format!("ok ::ffff:{SITE} 22")])
        .probe(&six, &[&format!("ok {} 22", super::SITE_V6)]);
}

#[test]
#[ignore = "kernel: needs root"]
fn fast_open_data_reaches_an_allowed_server() {
    let world = two_sites();
    let probe = format!("fastopen {SITE} 22");
    let out = world.egress(ALLOWED).probes(&["resolve allowed.test", &probe]);
    assert!(out.probed(&probe).starts_with("ok"), "{out}");
    super::support::processes::eventually("the server has the data of the first packet", || {
        world
            .contacts()
            .iter()
            .any(|contact| contact.at.port() == 22 && contact.received == super::SECRET.len() + 4)
    });
}

#[test]
#[ignore = "kernel: needs root"]
fn every_request_of_a_connection_is_judged() {
    let world = two_sites();
    let second = format!("http {SITE} 80 allowed.test shared.test");
    let first = format!("http {SITE} 80 shared.test");
    let crlf = format!("crlf {SITE} 80 shared.test");
    let pipelined = format!("pipelined {SITE} 80 allowed.test shared.test");
    let out =
        world.egress(ALLOWED).probes(&["resolve allowed.test", &second, &first, &crlf, &pipelined]);
    out.probe(&first, REFUSED_REQUEST).probe(&second, &["200 403", "200 reset"]);
    assert!(!out.probed(&pipelined).contains("200 200"), "{out}");
    assert_ne!(out.probed(&crlf), "200", "{out}");
    world.arrived().without("shared.test");
    assert!(world.requests().iter().all(|request| request.host == "allowed.test"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn many_connections_at_once_keep_apart() {
    let world = two_sites();
    let fetch = "import concurrent.futures as c, urllib.request as u\n\
        def one(i):\n  \
          scheme = ('http', 'https')[i % 2]\n  \
          return u.urlopen(f'{scheme}://allowed.test/{i}', timeout=60).read().decode().strip().endswith(f'path=/{i}')\n\
        with c.ThreadPoolExecutor(20) as pool: print(sum(pool.map(one, range(100))))";
    world.egress(ALLOWED).run([PYTHON, "-c", fetch]).succeeded().printed("100\n");
    assert_eq!(world.requests().len(), 100, "{world}");
    world.arrived_at(OTHER).none();
}

/// Writes and reads at the same time, over so many connections that the server breaks off, and tells how often neither
/// of the two said so.
const BROKEN_OFF: &str = "import socket, sys, threading\n\
    untold = 0\n\
    for _ in range(60):\n  \
      s = socket.create_connection(('allowed.test', int(sys.argv[1])), 60); said = []\n  \
      def write():\n    \
        try:\n      \
          while True: s.sendall(bytes(1000))\n    \
        except OSError as e: said.append(type(e).__name__)\n  \
      thread = threading.Thread(target=write); thread.start()\n  \
      try: s.recv(1)\n  \
      except OSError as e: said.append(type(e).__name__)\n  \
      thread.join(); untold += 'ConnectionResetError' not in said\n\
    print(untold)";

#[test]
#[ignore = "kernel: needs root"]
fn a_reset_of_the_servers_is_never_an_end() {
    let world = two_sites();
    let manner = Manner { resets_after: Some(1500), ..Manner::default() };
    let server = Receiver::at(&world, SITE, manner);
    let port = server.port.to_string();
    for client in [world.direct(), world.egress(ALLOWED)] {
        client.run([PYTHON, "-c", BROKEN_OFF, &port]).printed("0\n");
    }
}
