//! The same bytes have one verdict on both ways, whatever shape they come in: what passes arrives whole, what is refused has
//! one reason, and no connection that may pass is ended for its shape.
mod held;

use std::time::Duration;

use super::support::receiver::{Manner, Receiver};
use super::support::{PYTHON, World, slowness};

/// Where the receivers are, and nobody else.
const AT: &str = "93.184.216.40";
/// A port of no protocol that is known.
const OTHER_PORT: u16 = 7100;

/// Hellos of real clients; the names in them have their address in the test's zone.
const CAPTURED: &[(&str, &[u8])] = &[
    ("curl-openssl3.bin", include_bytes!("../data/hello/curl-openssl3.bin")),
    ("ech-grease.bin", include_bytes!("../data/hello/ech-grease.bin")),
    ("ip-sni.bin", include_bytes!("../data/hello/ip-sni.bin")),
    ("no-sni.bin", include_bytes!("../data/hello/no-sni.bin")),
    ("node20.bin", include_bytes!("../data/hello/node20.bin")),
    ("openssl-s-client.bin", include_bytes!("../data/hello/openssl-s-client.bin")),
    ("openssl-tls12-only.bin", include_bytes!("../data/hello/openssl-tls12-only.bin")),
    ("post-quantum-large.bin", include_bytes!("../data/hello/post-quantum-large.bin")),
    ("python-ssl.bin", include_bytes!("../data/hello/python-ssl.bin")),
    ("trailing-dot.bin", include_bytes!("../data/hello/trailing-dot.bin")),
    ("two-records.bin", include_bytes!("../data/hello/two-records.bin")),
];
const NAMES: &[&str] =
    &["curl.test", "openssl.test", "old.test", "dot.test", "python.test", "node.test"];

/// A world with a receiver at each port.
struct Both {
    world: World,
    receivers: Vec<Receiver>,
}

/// What came of some shapes by one way.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// `SHAPE => RESULT` each.
    results: Vec<String>,
    /// The summary of the run.
    complaints: String,
    /// What arrived, of connections of which anything did, in any order.
    arrived: Vec<Vec<u8>>,
}

impl Both {
    fn new(manner: &Manner) -> Self {
        let names = NAMES.iter().chain(&["denied.test"]);
        let world = names.fold(World::new().closed(AT), |world, name| world.record(name, &[AT]));
        let world = world.build();
        for (name, bytes) in CAPTURED {
            world.file(name, bytes);
        }
        let manner = Manner { answers: true, ..manner.clone() };
        let on = |port| Receiver::on(&world, AT, port, manner.clone());
        let receivers = vec![on(443), on(OTHER_PORT)];
        Self { world, receivers }
    }

    /// Sends them all by the way that the policy says.
    fn told(&self, policy: &str, port: u16, name: &str, shapes: &[&str]) -> (Told, String) {
        let policy = self.world.policy(policy);
        let lookups: String = NAMES
            .iter()
            .chain(&["denied.test"])
            .map(|name| format!("getent ahosts {name} > found; "))
            .collect();
        let quoted: String = shapes.iter().map(|shape| format!(" '{shape}'")).collect();
        let line = format!("{lookups} exec {PYTHON} shapes.py {AT} {port} {name} .{quoted}");
        let client = self.world.egress(&policy.options());
        let out = client.patience(Duration::from_secs(300) * slowness()).shell(&line);
        let text = out.succeeded().text();
        let mut ways = String::new();
        let mut results = Vec::new();
        for line in text.lines() {
            let (shape, rest) = line.split_once(" => ").unwrap_or_else(|| panic!("{out}"));
            let (way, result) = rest.split_once(' ').unwrap_or_else(|| panic!("{out}"));
            // The way is told by the size of segments.
            if !shape.contains("/mss=") {
                ways.push_str(&format!("{way}\n"));
            }
            results.push(format!("{shape} => {result}"));
        }
        let mut arrived = Vec::new();
        for receiver in &self.receivers {
            while receiver.is_visited() {
                arrived.push(receiver.got().bytes);
            }
        }
        arrived.retain(|bytes| !bytes.is_empty());
        arrived.sort_unstable();
        // Which lookups are refused is beside the point, and the same.
        // Every policy has a file of its own.
        let complaints = out.complaints().replace(policy.path(), "policy.toml");
        (Told { results, complaints, arrived }, ways)
    }

    /// Compares both ways; `PATH` in a policy stands for the way. Gives what came.
    #[track_caller]
    fn alike(&self, policy: &str, port: u16, name: &str, shapes: &[&str]) -> Vec<String> {
        let told = shapes.iter().filter(|shape| !shape.contains("/mss=")).count();
        let (kernel, ways) =
            self.told(&policy.replace("PATH", "via = \"kernel\""), port, name, shapes);
        assert_eq!(ways, "direct\n".repeat(told), "{:#?}", kernel.results);
        let (proxy, ways) =
            self.told(&policy.replace("PATH", "via = \"proxy\""), port, name, shapes);
        assert_eq!(ways, "proxy\n".repeat(told), "{:#?}", proxy.results);
        assert_eq!(kernel.results, proxy.results, "{policy} at {port}");
        let advice = |told: &Told| told.complaints.replace("via = \"proxy\"", "via = \"kernel\"");
        assert_eq!(advice(&kernel), advice(&proxy), "{policy} at {port}");
        let passed = kernel.results.iter().filter(|line| line.ends_with("passed")).count();
        assert_eq!(kernel.arrived.len(), passed, "{:#?}", kernel.results);
        assert!(kernel.arrived == proxy.arrived, "other bytes: {policy} at {port}");
        kernel.results
    }
}

/// A rule for each of these names, with these options besides the way.
fn rules(names: &[&str], options: &str) -> String {
    let rule = |name: &&str| {
        format!("{name:?} = {{ action = \"allow\", ports = [443, {OTHER_PORT}], PATH{options} }}\n")
    };
    names.iter().map(rule).collect()
}

fn policy(names: &[&str], options: &str) -> String {
    format!("[network.domains]\n{}", rules(names, options))
}

#[track_caller]
fn all(results: &[String], result: &str) {
    assert!(results.iter().all(|line| line.ends_with(result)), "{results:#?}");
}

/// Every captured hello, as it was and in forms that no packet hook reads alone.
fn captured() -> Vec<String> {
    let hows = ["", "/records=30", "/early", "/records=200/pause=0.01/write=100", "/end"];
    let of = |(name, _): &(&str, &[u8])| hows.map(|how| format!("{name}{how}"));
    CAPTURED.iter().flat_map(of).collect()
}

fn borrowed(shapes: &[String]) -> Vec<&str> {
    shapes.iter().map(String::as_str).collect()
}

#[test]
#[ignore = "kernel: needs root"]
fn every_captured_hello_is_judged_alike() {
    let both = Both::new(&Manner::default());
    let shapes = captured();
    let shapes = borrowed(&shapes);
    for port in [443, OTHER_PORT] {
        let passed = both.alike(&policy(NAMES, ""), port, "curl.test", &shapes);
        let count = passed.iter().filter(|line| line.ends_with("passed")).count();
        // All but ECH, an address for a name, and without a name where one is asked for.
        let unnamed = if port == 443 { 0 } else { 5 };
        assert_eq!(count, 8 * 5 + unnamed, "{passed:#?}");
        // Most of them name somebody else.
        let some = both.alike(&policy(&["python.test"], ""), port, "curl.test", &shapes);
        assert!(some.iter().filter(|line| line.ends_with("passed")).count() >= 5, "{some:#?}");
    }
    let denied = format!("{}\"curl.test\" = \"deny\"\n", policy(&["python.test"], ""));
    both.alike(&denied, 443, "curl.test", &shapes);
    both.alike(&policy(NAMES, ", protocol = \"any\""), 443, "curl.test", &shapes);
    let ech = format!("[network]\nech = \"allow\"\n{}", policy(NAMES, ""));
    both.alike(&ech, 443, "curl.test", &shapes);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hello_is_judged_alike_however_it_is_cut() {
    let both = Both::new(&Manner::default());
    let mut shapes: Vec<String> = [1, 2, 3, 4, 5, 7, 30, 100, 511]
        .iter()
        .flat_map(|size| {
            [format!("curl-openssl3.bin/records={size}"), format!("hello+2000/records={size}")]
        })
        .collect();
    shapes.extend((1..560).step_by(9).map(|at| format!("two-records.bin/cut={at}")));
    shapes.extend((1..540).step_by(9).map(|at| format!("curl-openssl3.bin/records=90/cut={at}")));
    for more in [
        "two-records.bin/write=1",
        "curl-openssl3.bin/records=3/write=7",
        "curl-openssl3.bin/records=3/write=1",
        "two-records.bin/write=60/pause=0.3",
        "hello+600/pause=0.3/write=150",
        "two-records.bin/corked",
        "two-records.bin/corked/write=20",
        "two-records.bin/threads/write=50/pause=0.01",
        "two-records.bin/grow",
        "two-records.bin/early/write=40",
        "curl-openssl3.bin/early/early",
        // No server asks for so many.
        "curl-openssl3.bin/twice",
        "two-records.bin/twice",
        "two-records.bin/twice/twice",
    ] {
        shapes.push(more.to_owned());
    }
    let shapes = borrowed(&shapes);
    let good = both.alike(&policy(&["curl.test"], ""), 443, "curl.test", &shapes);
    let refused: Vec<_> = good.iter().filter(|line| !line.ends_with("passed")).collect();
    assert_eq!(refused, [""; 0], "a shape that may pass");
    all(&both.alike(&policy(&["python.test"], ""), 443, "curl.test", &shapes), "refused");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hello_is_judged_alike_however_long_it_is() {
    let both = Both::new(&Manner::default());
    let shapes = [
        "hello+2000",
        "hello+2000/mss=536",
        "first+2000/mss=536",
        "hello+2000/mss=536/write=100",
        "hello+4000",
        "hello+4000/mss=536",
        "hello+8000",
        "hello+8000/records=1000",
        "hello+16000",
        "hello+16000/mss=536",
        "hello+16384",
        "hello+16384/records=500/mss=536",
        "hello+16384/records=4096/write=1000/pause=0.01",
        "hello+16384/write=3000/threads",
        "first+16384",
        "hello+16384/end",
        "hello+12000/corked",
        "none+2000/mss=536",
        // Longer than any.
        "hello+16500",
        "first+20000",
    ];
    let (good, long) = shapes.split_at(17);
    all(&both.alike(&policy(&["curl.test"], ""), 443, "curl.test", good), "passed");
    all(&both.alike(&policy(&["curl.test"], ""), 443, "curl.test", long), "refused");
    all(&both.alike(&policy(&["python.test"], ""), 443, "curl.test", &shapes), "refused");
    let any = policy(&["curl.test"], ", protocol = \"any\"");
    all(
        &both.alike(&any, 443, "curl.test", &["none+2000/mss=536", "none+16000", "none+300"]),
        "passed",
    );
}

#[test]
#[ignore = "kernel: needs root"]
fn a_hello_is_judged_alike_behind_a_small_window() {
    for buffer in [1, 2500] {
        // What does not fit waits for the reader.
        let pause = Some((256, Duration::from_millis(2)));
        let manner = Manner { buffer: Some(buffer), pause, ..Manner::default() };
        let both = Both::new(&manner);
        let shapes = [
            "curl-openssl3.bin",
            "two-records.bin",
            "hello+2000",
            "hello+2000/records=100",
            "hello+4000/mss=536",
            "hello+16384",
            "hello+16384/records=700/write=900",
        ];
        all(&both.alike(&policy(&["curl.test"], ""), 443, "curl.test", &shapes), "passed");
        all(&both.alike(&policy(&["python.test"], ""), 443, "curl.test", &shapes), "refused");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_no_tls_is_judged_alike() {
    let both = Both::new(&Manner::default());
    let shapes = [
        r"text=SSH-2.0-client\r\n",
        r"text=SSH-2.0-client\r\n/write=1",
        r"text=EHLO client.test\r\n",
        r"text=\0\0\0\x08\x04\xd2\x16\x2f",
        r"text=\0\0\0\x08\x04\xd2\x16\x2f/write=1/pause=0.01",
        "text=ruok",
        "text=ruok/end",
        "text=*1\\r\\n$4\\r\\nPING\\r\\n",
        "x*100",
        "x*9000",
        "x*200000",
        "x*200000/mss=536",
        r"text=\x16\x02\x01\0\x05hello",
        "text=PING/write=1/pause=0.02",
    ];
    let plain = policy(&["curl.test"], "");
    all(&both.alike(&plain, OTHER_PORT, "curl.test", &shapes), "passed");
    // On a port of the web a few letters may still become a request.
    let certain: Vec<_> = shapes
        .into_iter()
        .filter(|shape| !["text=ruok", "text=PING/write=1/pause=0.02"].contains(shape))
        .collect();
    all(&both.alike(&plain, 443, "curl.test", &certain), "refused");
    let any = policy(&["curl.test"], ", protocol = \"any\"");
    for port in [443, OTHER_PORT] {
        all(&both.alike(&any, port, "curl.test", &shapes), "passed");
    }
    // Names nobody that may be asked for. A slash is the end of what is sent, in the words of the program.
    let host = [
        r"text=GET \x2f HTTP\x2f1.1\r\nHost: denied.test\r\n\r\n",
        r"text=GET http:\x2f\x2fdenied.test\x2f\r\n",
        r"text=PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET \x2f HTTP\x2f1.1\r\n\r\n",
    ];
    for policy in [&plain, &any] {
        all(&both.alike(policy, OTHER_PORT, "curl.test", &host), "refused");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn what_does_not_come_is_refused_alike_and_in_the_same_time() {
    let both = Both::new(&Manner::default());
    // At once, since each waits for half a minute; that long, and no longer, programs may take over a hello.
    let late = [
        "at-once",
        "curl-openssl3.bin/half",
        "two-records.bin/half",
        "hello+16000/half",
        "text=\\x16",
        "text=G",
        "text=ruok",
        "curl-openssl3.bin/write=270/pause=6",
        "hello+600/records=50/write=300/pause=5",
    ];
    let told = |way: &str| {
        let policy = both.world.policy(policy(&["curl.test"], "").replace("PATH", way));
        let quoted: String = late.iter().map(|shape| format!(" '{shape}'")).collect();
        let line = format!(
            "getent ahosts curl.test > found; exec {PYTHON} shapes.py {AT} 443 curl.test .{quoted}"
        );
        let client = both.world.egress(&policy.options()).env("PROBE_DEADLINE", "60");
        let out = client.patience(Duration::from_secs(300) * slowness()).shell(&line);
        out.succeeded().text()
    };
    let kernel = told("via = \"kernel\"");
    assert_eq!(kernel.replace("direct", "proxy"), told("via = \"proxy\""));
    assert_eq!(kernel.matches("direct passed").count(), 2, "{kernel}");
    assert_eq!(kernel.matches("direct refused").count(), 6, "{kernel}");
}
