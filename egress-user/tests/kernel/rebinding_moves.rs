//! Names that move while a program works: what is dialled is what was judged, in every window between the two.
use super::support::{Answer, PYTHON, World, slowness};
use super::{OTHER, OTHER_V6, PRIVATE, REFUSED, SITE, SITE_V6};

const FLIP: &[&str] = &["--allow", "flip.test"];

/// Python that asks for `flip.test` until the answer is no longer `FIRST`, as landed lookups are shared for half a second.
const UNTIL_IT_MOVES: &str = "import http.client, socket, time\n\
    def moved(first):\n  \
      for _ in range(200):\n    \
        try: found = {i[4][0] for i in socket.getaddrinfo('flip.test', 80, type=socket.SOCK_STREAM)}\n    \
        except OSError: return 'nowhere'\n    \
        if first not in found: return sorted(found)[0]\n    \
        time.sleep(0.05)\n  \
      return 'not at all'\n\
    def fetch(connection, path):\n  \
      connection.request('GET', path); return connection.getresponse().read().decode().split()[-1]\n";

#[test]
#[ignore = "kernel: needs root"]
fn a_pool_keeps_to_the_address_that_was_judged() {
    for (next, moved) in [(PRIVATE, "nowhere"), ("fd00:9::7", "nowhere"), (OTHER, OTHER)] {
        let world = World::new().flips("flip.test", &[&[SITE], &[next]]).ttl(0).build();
        let program = format!(
            "{UNTIL_IT_MOVES}\
             kept = http.client.HTTPConnection('flip.test', timeout=60)\n\
             print(fetch(kept, '/1'))\n\
             print('moved', moved('{SITE}'))\n\
             print(fetch(kept, '/2'), fetch(kept, '/3'))"
        );
        let out = world.egress(FLIP).run([PYTHON, "-c", &program]);
        out.succeeded();
        out.printed(&format!("path=/1\nmoved {moved}\npath=/2 path=/3\n"));
        world.arrived_at(next).none();
        let at: Vec<_> = world.requests().iter().map(|request| request.at.ip()).collect();
        assert_eq!(at, [SITE.parse::<std::net::IpAddr>().unwrap(); 3], "{next}\n{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_moves_from_one_site_to_another_opens_what_was_looked_up() {
    // Before the sandbox looks again the second address is closed; afterwards it is a pin like the first.
    let world = World::new().flips("flip.test", &[&[SITE], &[OTHER]]).ttl(0).build();
    let program = format!(
        "{UNTIL_IT_MOVES}\
         import os\n\
         def open_at(address):\n  \
           try: return 'open' if socket.create_connection((address, 22), 60).recv(3) else 'closed'\n  \
           except OSError as e: return type(e).__name__\n\
         socket.getaddrinfo('flip.test', 80)\n\
         print('before:', open_at('{SITE}'), open_at('{OTHER}'), flush=True)\n\
         while not os.path.exists('go'): time.sleep(0.02)\n\
         print('moved to', moved('{SITE}'))\n\
         print('after:', open_at('{SITE}'), open_at('{OTHER}'))"
    );
    let running = world.egress(FLIP).start([PYTHON, "-c", &program]);
    running.says("before: open PermissionError\n");
    world.arrived_at(OTHER).none();
    world.file("go", "");
    let out = running.finish();
    out.succeeded().said(&format!("moved to {OTHER}\nafter: open open\n"));
    world.arrived_at(OTHER).some();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_name_that_moves_to_the_other_family_is_judged_anew() {
    for (next, stays_closed) in [("fd00:9::7", true), ("64:ff9b::10.9.8.7", true), (SITE_V6, false)]
    {
        let world = World::new().flips("flip.test", &[&[SITE], &[next]]).ttl(0).build();
        let connect = format!("connect {next} 443");
        let before = world.egress(FLIP).probes(&["resolve flip.test", &connect]);
        before.probe(&connect, REFUSED);
        world.arrived_at(next).none();
        // The name has moved for good by now.
        let after = world.egress(FLIP).probes(&["resolve flip.test", &connect]);
        if stays_closed {
            after.probe(&connect, REFUSED);
            world.arrived_at(next).none();
        } else {
            assert!(after.probed(&connect).starts_with("ok"), "{after}");
        }
    }
    let mixed = World::new().flips("flip.test", &[&[SITE, "fd00:9::7"]]).build();
    mixed.egress(FLIP).run(["curl", "-sS", "http://flip.test/"]).failed();
    mixed.arrived_at(SITE).none();
    mixed.arrived_at(OTHER_V6).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn nothing_is_looked_up_between_the_decision_and_the_dial() {
    for next in [PRIVATE, OTHER, "fd00:9::7"] {
        let world = World::new().flips("flip.test", &[&[SITE], &[next]]).ttl(0).build();
        let out = world.egress(FLIP).run(["curl", "-sS", "https://flip.test/once"]);
        out.succeeded().said("path=/once");
        let kinds: Vec<_> = world.queries().into_iter().map(|query| query.kind).collect();
        assert_eq!(kinds.len(), 2, "one lookup: {kinds:?}\n{out}");
        world.arrived_at(next).none();
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_flood_of_names_harms_no_other_sandbox() {
    let numbered = |number: usize| format!("{number:040}.flood.test");
    let mut builder = World::new().site("allowed.test", SITE);
    for number in 0..600 {
        builder = builder.record(&numbered(number), &[OTHER]);
    }
    let world = builder.answers("silent.test", Answer::Silence).build();
    let connect = format!("{PYTHON} probe.py 'connect {SITE} 443'");
    let line = format!("getent hosts allowed.test; echo looked up; read x; {connect}");
    let quiet = world.egress(&["--allow", "allowed.test"]).idle_stdin().start(["sh", "-c", &line]);
    quiet.says("looked up");
    // Each query is for another name, and the brake lets some 320 go at once and five a second after them: where all
    // is slow not half of what is asked, either.
    let count: usize = if slowness() == 1 { 6000 } else { 1200 };
    let flood = "import socket, struct, sys\n\
        def query(number, name):\n  \
          labels = b''.join(bytes([len(l)]) + l for l in name.encode().split(b'.')) + b'\\0'\n  \
          return struct.pack('!HHHHHH', number, 256, 1, 0, 0, 0) + labels + b'\\0\\1\\0\\1'\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3); s.connect(('93.184.216.53', 53))\n\
        codes = {}\n\
        for n in range(int(sys.argv[1])):\n  \
          s.send(query(n & 65535, f'{n:040}.flood.test'))\n  \
          if n % 50 == 49:\n    \
            try:\n      \
              for _ in range(50): c = s.recv(4096)[3] & 15; codes[c] = codes.get(c, 0) + 1\n    \
            except TimeoutError: pass\n\
        print('refused' if codes.get(5) else 'all answered', codes)";
    let out =
        world.egress(&["--allow", "**.flood.test"]).run([PYTHON, "-c", flood, &count.to_string()]);
    out.said("refused").complained("rate_limited").complained("new names below flood.test");
    let asked: std::collections::BTreeSet<_> = world
        .queries()
        .into_iter()
        .map(|q| q.name)
        .filter(|n| n.ends_with(".flood.test"))
        .collect();
    assert!(asked.len() < count / 2, "{} names went out", asked.len());
    let out = quiet.finish();
    assert!(out.probed(&format!("connect {SITE} 443")).starts_with("ok"), "{out}");
}
