//! What a server might read as an HTTP request, on any port and however it begins: judged by what arrived.
//! Each attempt names `denied.test`, and its twin without the filter arrives.
use super::support::processes::eventually;
use super::support::receiver::{End, Manner, Receiver};
use super::support::{Finished, PYTHON, World, slowness};
use super::{SITE, two_sites};

/// `beginnings.py PORT SPLIT NAME...`: sends the requests of these names, each over its own connection, whole or
/// byte by byte, and prints how each ended.
const SCRIPT: &str = r#"
import socket, sys
HOST = b'Host: denied.test\r\n\r\n'
ATTEMPTS = {
    'plain': b'GET /plain HTTP/1.1\r\n' + HOST,
    'crlf': b'\r\nGET /crlf HTTP/1.1\r\n' + HOST,
    'lf': b'\n\nGET /lf HTTP/1.1\r\n' + HOST,
    'cr': b'\rGET /cr HTTP/1.1\r\n' + HOST,
    'blank': b' GET /blank HTTP/1.1\r\n' + HOST,
    'tab': b'\tGET /tab HTTP/1.1\r\n' + HOST,
    'nul': b'\0GET /nul HTTP/1.1\r\n' + HOST,
    'many-blank-lines': b'\r\n' * 20000 + b'GET /many HTTP/1.1\r\n' + HOST,
    'long-method': b'X' * 33 + b' /long HTTP/1.1\r\n' + HOST,
    'very-long-method': b'X' * 100000 + b' /very HTTP/1.1\r\n' + HOST,
    'odd-method': b'G@T(){} /odd HTTP/1.1\r\n' + HOST,
    'bytes-method': b'\x01\xff\x80 /bytes HTTP/1.1\r\n' + HOST,
    'lower-case': b'get /lower http/1.1\r\n' + HOST,
    'tabs-between': b'GET\t/tabs\tHTTP/1.1\r\n' + HOST,
    'vertical-tabs': b'G@T\x0b/vt\x0cHTTP/1.1\r\n' + HOST,
    'separators': b'\x1cGET\x1d/fs\x1eHTTP/1.1\n' + HOST,
    'latin1-blanks': b'\xa0GET\xa0/nbsp\x85HTTP/1.1\r\n' + HOST,
    'many-blanks': b'GET     /blanks      HTTP/1.1\r\n' + HOST,
    'bare-cr': b'GOT /cr HTTP/1.1\rHost: denied.test\r\r',
    'bare-lf': b'G@T /lf HTTP/1.1\nHost: denied.test\n\n',
    'blanks-in-target': b'G@T /a b c d HTTP/1.1\r\n' + HOST,
    'no-blank': b'G@T /xHTTP/1.1\r\n' + HOST,
    'long-target': b'{"a" /' + b'a' * 200000 + b' HTTP/1.1\r\n' + HOST,
    'absolute': b'G@T http://denied.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n',
    'no-version': b'GET http://denied.test/\r\n',
    'no-version-heads': b'GET /none\r\n' + HOST,
    'no-version-end': b'get http://denied.test/',
    'bad-version': b'PROPFIND /bad HTTX\r\n' + HOST,
    'proxy-header': b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /proxy HTTP/1.1\r\n' + HOST,
    'proxy-unknown': b'PROXY UNKNOWN\r\nGET /unknown HTTP/1.1\r\n' + HOST,
    'proxy-v2': b'\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET /v2 HTTP/1.1\r\n' + HOST,
    'other-scheme': b'GET x+y://denied.test/a b\r\n',
    'controls-in-method': b'a\x01b\x01c\x01d /controls HTTP/1.1x\r\n' + HOST,
    'two-preface': b'\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\ndenied.test',
}
port, split = int(sys.argv[1]), sys.argv[2] == 'split'
for name in sys.argv[3:] or ATTEMPTS:
    data = ATTEMPTS[name]
    # Byte by byte around the first line's end; what stands far before it at once.
    at = max(0, len(data) - 100) if split else len(data)
    with socket.create_connection(('allowed.test', port), 20) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            s.sendall(data[:at])
            for byte in data[at:]:
                s.send(bytes([byte]))
            s.shutdown(socket.SHUT_WR)
            got = s.recv(100)
            print(name, got.split(b'\r\n')[0].decode('latin1') or 'closed')
        except OSError as e:
            print(name, 'reset')
"#;

fn attempts<'w>(world: &'w World, policy: Option<&str>, port: u16, how: &str) -> Finished<'w> {
    let script = world.file("beginnings.py", SCRIPT).display().to_string();
    let command = [PYTHON, &script, &port.to_string(), how];
    match policy {
        None => world.direct().run(command),
        Some(policy) => {
            let policy = world.policy(policy);
            world.egress(&policy.options()).run(command)
        }
    }
}

fn holds(policy: &str, port: u16) {
    let world = two_sites();
    for how in ["whole", "split"] {
        let out = attempts(&world, Some(policy), port, how);
        out.exited(0);
        for line in out.text().lines() {
            let ended = line.split_once(' ').map(|(_, ended)| ended);
            let refused = ended.is_some_and(|ended| {
                ended == "reset" || ended == "closed" || ended.starts_with("HTTP/1.1 4")
            });
            assert!(refused, "{how}: {line}\n{out}");
        }
        world.arrived_at(SITE).on_port(port).without("denied.test");
        world.arrived_at(SITE).on_port(port).without("HTTP/");
    }
    assert!(world.requests().is_empty(), "{world}");
    // The same without a filter arrives, each of them.
    attempts(&world, None, port, "whole").exited(0);
    let names = SCRIPT.matches("\n    '").count();
    assert_eq!(names, 34);
    let contacts = world.contacts().len();
    assert!(contacts >= names, "{contacts} connections\n{world}");
    let named = world.arrived_at(SITE).on_port(port).holding("denied.test");
    assert!(named >= names - 1, "{named} of {names} without a filter\n{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn under_a_name_rule_no_port_passes_a_request_for_another_host() {
    holds("[network.domains]\n\"allowed.test\" = \"allow\"\n", 7000);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_deny_is_not_passed_by_odd_requests() {
    let deny = "\"denied.test\" = \"deny\"\n";
    holds(&format!("[network.domains]\n\"*\" = \"allow\"\n{deny}"), 7000);
    let address = format!("[network.addresses]\n\"{SITE}\" = \"allow\"\n");
    holds(&format!("[network.domains]\n\"allowed.test\" = \"allow\"\n{deny}{address}"), 7000);
}

#[test]
#[ignore = "kernel: needs root"]
fn any_protocol_on_a_port_of_the_web_is_not_any_request() {
    let rule = "{ action = \"allow\", protocol = \"any\" }";
    holds(&format!("[network.domains]\n\"allowed.test\" = {rule}\n"), 80);
}

#[test]
#[ignore = "kernel: needs root"]
fn what_the_kernel_lets_pass_unread_is_no_request() {
    let world = two_sites();
    let rule = "{ action = \"allow\", ports = [7000], protocol = \"any\", via = \"kernel\" }";
    let policy = world.domains(&[("allowed.test", rule)]);
    let script = world.file("beginnings.py", SCRIPT).display().to_string();
    let names = SCRIPT.lines().filter_map(|line| line.strip_prefix("    '")?.split('\'').next());
    // The first connection of a run is direct, the next one would take the proxy.
    for name in names {
        for how in ["whole", "split"] {
            let out = world.egress(&policy.options()).run([PYTHON, &script, "7000", how, name]);
            out.printed(&format!("{name} reset\n"));
        }
    }
    world.arrived_at(SITE).on_port(7000).without("denied.test");
    world.arrived_at(SITE).on_port(7000).without("HTTP/");
    assert!(world.requests().is_empty(), "{world}");
    let send = |text: &str| {
        let line = format!(
            "import socket; s = socket.create_connection(('allowed.test', 7000), 20)\n\
             print(s.getpeername()[0] == '{SITE}' and s.getsockopt(6, socket.TCP_MAXSEG) < 16000)\n\
             try: s.sendall({text}); s.shutdown(socket.SHUT_WR); print(s.recv(9).split(b'\\n')[0].decode())\n\
             except OSError: print('aborted')"
        );
        world.egress(&policy.options()).run([PYTHON, "-c", &line]).text()
    };
    assert_eq!(send("b'SSH-2.0-x\\r\\n'").trim(), "True\n11");
    // What the hook alone cannot tell user space follows.
    for (other, count) in
        [("b'ruok'", 4), ("b'\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f'", 8), ("b'x' * 100", 100)]
    {
        assert_eq!(send(other).trim(), format!("True\n{count}"), "{other}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_request_in_pieces_reaches_its_host_unchanged() {
    let world = two_sites();
    let pieces = "import socket, time\n\
        s = socket.create_connection(('allowed.test', 7000), 20)\n\
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n\
        for o in b'GET /in-pieces HTTP/1.1\\r\\nHost: allowed.test\\r\\nUpgrade: h2c\\r\\nConnection: close\\r\\n\\r\\n': s.send(bytes([o]))\n\
        s.shutdown(socket.SHUT_WR); print(s.recv(100).decode())";
    let out = world.egress(super::ALLOWED).run([PYTHON, "-c", pieces]);
    // The line alone is taken out that offers what nobody would judge.
    assert_eq!(out.text().trim(), "66", "{out}");
}

/// Sends what could still become a request, and nothing more before the answer; many times, so that a wait would add up.
const HANDSHAKES: &str = "import socket, sys, time\n\
    began = time.monotonic()\n\
    for _ in range(int(sys.argv[1])):\n  \
      for said in (b'ruok', b'JDWP-Handshake', b'GET', b'\\0\\0\\0\\x08\\x04\\xd2\\x16\\x2f'):\n    \
        s = socket.create_connection(('allowed.test', 25), 20)\n    \
        s.recv(100); s.sendall(said)\n    \
        got = b''\n    \
        while len(got) < len(said): got += s.recv(100)\n    \
        assert got == said, got\n\
    print(time.monotonic() - began < int(sys.argv[1]))";

#[test]
#[ignore = "kernel: needs root"]
fn what_may_still_become_a_request_does_not_wait() {
    let world = two_sites();
    let rounds = (4 * slowness()).to_string();
    // Two seconds each would be eight a round, for one of them.
    // On a port where HTTP is not expected a word waits in the kernel for what follows: that is by the other way.
    let policy = world.domains(&[("allowed.test", "{ action = \"allow\", via = \"proxy\" }")]);
    world.egress(&policy.options()).run([PYTHON, "-c", HANDSHAKES, &rounds]).printed("True\n");
    world.direct().run([PYTHON, "-c", HANDSHAKES, &rounds]).printed("True\n");
}

/// Half of a version behind more than a head's bytes, in the segment that makes them more, then the rest of it, by
/// itself: it is held, so that only the proxy's turn of reading parts it from what follows. Many times for that.
const HALVES: &str = "import socket\n\
    def exchange(s, said, answer):\n  \
      s.sendall(said)\n  \
      got = b''\n  \
      while len(got) < len(answer): got += s.recv(65536) or exit('ended')\n  \
      assert got == answer\n\
    for _ in range(20):\n  \
      s = socket.create_connection(('allowed.test', 25), 20); s.recv(100)\n  \
      s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n  \
      for said in (b'a b c d ' + b'x' * 16000, b'x' * 400 + b' HTTP'): exchange(s, said, said)\n  \
      s.sendall(b'/1.1'); exchange(s, b'x y\\n', b'/1.1x y\\n')\n\
    print('whole')";

#[test]
#[ignore = "kernel: needs root"]
fn a_version_whose_beginning_has_left_breaks_nothing() {
    let world = two_sites();
    world.egress(super::ALLOWED).run([PYTHON, "-c", HALVES]).printed("whole\n");
    world.direct().run([PYTHON, "-c", HALVES]).printed("whole\n");
}

#[test]
#[ignore = "kernel: needs root"]
fn other_protocols_that_carry_requests_pass() {
    let world = two_sites();
    let mail = "import socket\n\
        said = [b'EHLO client.test\\r\\nMAIL FROM:<a@a.test>\\r\\nDATA\\r\\nGET / HTTP/1.1\\r\\nHost: b.test\\r\\n.\\r\\n',\n\
                b'*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$8\\r\\nHTTP/1.1\\r\\n',\n\
                b'<134>Nov 28 12:00:00 host web: 192.0.2.1 \"GET / HTTP/1.1\" 200 5\\n',\n\
                b'SSH-2.0-x\\r\\nGET / HTTP/1.1\\r\\n']\n\
        for data in said:\n  \
          s = socket.create_connection(('allowed.test', 7000), 20); s.sendall(data)\n  \
          s.shutdown(socket.SHUT_WR); print(int(s.recv(20)) == len(data))";
    world.egress(super::ALLOWED).run([PYTHON, "-c", mail]).printed(&"True\n".repeat(4));
}

/// Offers an upgrade that nobody answers, with 64 KiB behind it, over so many connections; holds them until told. What is
/// behind it, and how it is sent, is the second word.
const EARLY: &str = "import socket, sys, time\n\
    conns = []\n\
    for _ in range(int(sys.argv[1])):\n  \
      s = socket.create_connection(('allowed.test', 7000), 20); s.settimeout(0.0)\n  \
      head = b'GET /ws HTTP/1.1\\r\\nHost: allowed.test\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n'\n  \
      behind = {'requests': b'GET / HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n' * 1600, 'offers': head * 800,\n    \
                'hellos': b'\\x16\\x03\\x01\\x40\\x00' * 13000}.get(sys.argv[2], bytes(65536))\n  \
      data = memoryview(head + behind)\n  \
      step = 700 if sys.argv[2] == 'pieces' else len(data)\n  \
      while data:\n    \
        try: data = data[s.send(data[:step]):]\n    \
        except (BlockingIOError, ConnectionError): break\n  \
      if sys.argv[2] == 'half-close': s.shutdown(socket.SHUT_WR)\n  \
      conns.append(s)\n\
    print('held', flush=True)\n\
    sys.stdin.readline()\n";

fn resident_kib(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
#[ignore = "kernel: needs root"]
fn early_data_behind_an_upgrade_is_bounded_in_total() {
    let world = two_sites();
    let offered = || world.contacts().iter().filter(|contact| contact.received > 0).count();
    let growth = |connections: u32, how: &str| {
        let (many, before) = (connections.to_string(), offered());
        // What the server never takes is not to be waited for at the end.
        let egress = world.egress(&["--allow", "allowed.test", "--set", "network.drain=\"1s\""]);
        let egress = egress.idle_stdin();
        let running = egress.start([PYTHON, "-c", EARLY, &many, how]);
        running.says("held");
        let offers = || offered() >= before + connections as usize;
        eventually("every offer", offers);
        let resident = resident_kib(running.reader().as_raw());
        running.tell("end");
        running.finish().exited(0);
        resident
    };
    let (few, many) = (growth(1, "zeros"), growth(1000, "zeros"));
    let more = many.saturating_sub(few);
    // Of 64 MiB that were offered: 4 MiB, and what a connection costs by itself.
    assert!(more < 24 << 10, "{more} KiB for a thousand connections");
    for how in ["pieces", "requests", "offers", "hellos", "half-close"] {
        let more = growth(150, how).saturating_sub(few);
        assert!(more < 12 << 10, "{more} KiB for 150 connections, {how}");
    }
    world.arrived_at(SITE).on_port(7000).some();
}

/// Offers an upgrade with data behind it, ends its stream, and tells what comes of it.
const LEAVING: &str = "import socket\n\
    s = socket.create_connection(('allowed.test', int(__import__('sys').argv[1])), 20); s.settimeout(60)\n\
    s.sendall(b'GET /ws HTTP/1.1\\r\\nHost: allowed.test\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n' + b'early')\n\
    s.shutdown(socket.SHUT_WR)\n\
    print(s.recv(12))";

#[test]
#[ignore = "kernel: needs root"]
fn an_upgrade_that_nobody_answers_is_given_up_behind_the_clients_end() {
    let world = two_sites();
    let silent = Receiver::at(&world, SITE, Manner::default());
    let port = silent.port.to_string();
    let out = world.egress(super::ALLOWED).run([PYTHON, "-c", LEAVING, &port]);
    out.printed("b'HTTP/1.1 403'\n").complained("data before the answer to an upgrade");
    // The offer came, and nothing of what is dropped; its end is no end.
    let got = silent.got();
    assert!(got.end == End::Reset && !got.bytes.ends_with(b"early"), "{world}");
    // Without the filter the server has all of it.
    world.direct().run([PYTHON, "-c", LEAVING, &port]).printed("b''\n");
    let got = silent.got();
    assert!(got.bytes.ends_with(b"early"), "{world}");
}
