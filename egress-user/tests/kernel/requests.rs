//! Rules that read requests: limited mode, methods and paths. What the site saw is what counts.
use super::support::{PYTHON, World};
use super::{SITE, two_sites};

/// Sends requests over one connection, one after the other's answer, and prints each status.
/// `TARGET METHOD PATH...`: the host is `TARGET`'s.
const KEEP_ALIVE: &str = "import http.client, sys\n\
    host, port = sys.argv[1].split(':')\n\
    c = http.client.HTTPConnection(host, int(port), timeout=60)\n\
    c.connect(); s = c.sock\n\
    for method, path in zip(sys.argv[2::2], sys.argv[3::2]):\n  \
      if c.sock is not s: print('closed'); break\n  \
      try:\n    \
        c.putrequest(method, path, skip_accept_encoding=True); c.endheaders()\n    \
        r = c.getresponse(); r.read(); print(r.status, r.getheader('x-proxy-error') or '-')\n  \
      except (ConnectionError, http.client.HTTPException): print('closed'); break";

fn run<'w>(world: &'w World, policy: &str, command: &[&str]) -> super::support::Finished<'w> {
    world.egress(&world.policy(policy).options()).run(command.iter().copied())
}

/// Method and path of every request that reached a server.
fn seen(world: &World) -> Vec<String> {
    world.requests().iter().map(|r| format!("{} {}", r.method, r.path)).collect()
}

const LIMITED: &str =
    "[network]\nmode = \"limited\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n";

#[test]
#[ignore = "kernel: needs root"]
fn limited_mode_lets_requests_through_that_change_nothing() {
    let world = two_sites();
    let target = ["allowed.test:80", "GET", "/a", "HEAD", "/b", "OPTIONS", "/c", "POST", "/d"];
    let out = run(&world, LIMITED, &[&[PYTHON, "-c", KEEP_ALIVE], &target[..]].concat());
    out.printed("200 -\n200 -\n200 -\n403 blocked-by-method-policy\n")
        .complained("http POST allowed.test/d at")
        .complained("mode = \"full\"");
    assert_eq!(seen(&world), ["GET /a", "HEAD /b", "OPTIONS /c"], "{world}");
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "get", "PROPFIND"] {
        let command = [PYTHON, "-c", KEEP_ALIVE, "allowed.test:80", method, "/x"];
        run(&world, LIMITED, &command).printed("403 blocked-by-method-policy\n");
    }
    assert_eq!(world.requests().len(), 3, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn limited_mode_passes_nothing_that_it_cannot_read() {
    let world = two_sites();
    run(&world, LIMITED, &["curl", "-sSk", "https://allowed.test/"])
        .failed()
        .complained("inspection_required");
    world.arrived_at(SITE).on_port(443).no_payload();
    let upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket"];
    let command = [&["curl", "-sS", "-m", "60", "http://allowed.test/ws"], &upgrade[..]].concat();
    run(&world, LIMITED, &command).complained("protocol_not_allowed");
    let command = ["curl", "-sS", "--http2-prior-knowledge", "http://allowed.test/h2"];
    run(&world, LIMITED, &command).failed();
    // A port of no web protocol, with a payload of none.
    let opaque = "import socket; s = socket.create_connection(('allowed.test', 7000), 60)\n\
        s.sendall(b'SSH-2.0-x\\r\\n'); \n\
        try: print(s.recv(10) and 'answered')\n\
        except ConnectionError: print('reset')";
    run(&world, LIMITED, &[PYTHON, "-c", opaque]).complained("protocol_not_allowed");
    world.arrived_at(SITE).no_payload();
    assert!(world.requests().is_empty(), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn methods_and_paths_are_those_of_the_host_that_is_named() {
    let world = two_sites();
    let policy = "[network.domains]\n\
        \"allowed.test\" = { action = \"allow\", methods = [\"GET\"], paths = [\"/open/\", \"/exact\"] }\n\
        \"shared.test\" = \"allow\"\n\"*\" = \"allow\"\n";
    let asks = |target: &str, method: &str, path: &str| {
        run(&world, policy, &[PYTHON, "-c", KEEP_ALIVE, target, method, path])
    };
    asks("allowed.test:80", "GET", "/open/x?y=../z").printed("200 -\n");
    asks("allowed.test:80", "GET", "/exact").printed("200 -\n");
    asks("allowed.test:80", "POST", "/open/x").printed("403 blocked-by-method-policy\n");
    for path in [
        "/",
        "/open",
        "/exactly",
        "/open/../secret",
        "/open/%2e%2e/secret",
        "/open/.%2E/secret",
        "/open/..;/secret",
        "/open%2f..%2fsecret",
        "/open/%5c..%5csecret",
        "/open/%252e%252e/secret",
        "/open/%zz",
    ] {
        asks("allowed.test:80", "GET", path)
            .printed("403 blocked-by-policy\n")
            .complained("path_not_allowed");
    }
    // The other name of the address has its own rule, and the address has none: `*`.
    asks("shared.test:80", "POST", "/anything").printed("200 -\n");
    let host = "Host: allowed.test";
    let command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", host];
    run(&world, policy, &[&command[..], &["http://shared.test/secret"]].concat()).printed("403");
    run(&world, policy, &[&command[..], &["http://93.184.216.34/secret"]].concat()).printed("403");
    assert_eq!(seen(&world), ["GET /open/x?y=../z", "GET /exact", "POST /anything"], "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn heads_pass_as_servers_take_them() {
    let world = two_sites();
    let cookie = format!("Cookie: {}", "c".repeat(24 << 10));
    let fields: Vec<String> = (0..150).map(|i| format!("x-{i}: y")).collect();
    let fields: Vec<&str> = fields.iter().flat_map(|field| ["-H", field]).collect();
    let requests: [(&[&str], &str); 5] = [
        (&["-H", &cookie, "http://allowed.test/cookies"], "GET /cookies"),
        (&[&fields[..], &["http://allowed.test/fields"]].concat(), "GET /fields"),
        (
            &["--request-target", "/caf\u{e9}/\u{e0}\u{c5}", "http://allowed.test/"],
            "GET /caf\u{e9}/\u{e0}\u{c5}",
        ),
        (&["-0", "-H", "Host:", "http://allowed.test/old"], "GET /old"),
        (&["-0", "http://allowed.test/old-with-host"], "GET /old-with-host"),
    ];
    for (arguments, arrived) in requests {
        for attempt in [world.direct(), world.egress(&["--allow", "allowed.test"])] {
            let before = world.requests().len();
            let command = [&["curl", "-sSf", "-o", "/dev/null"], arguments].concat();
            let out = attempt.run(command);
            assert!(!out.succeeded().complaints().contains("refused"), "{out}");
            assert_eq!(seen(&world)[before..], [arrived], "{world}");
        }
    }
    // Of two names of the address, one is meant by HTTP/1.0 without a host, and nobody says which.
    let before = world.requests().len();
    let script =
        "getent ahosts shared.test >/dev/null; curl -sS -0 -H Host: http://allowed.test/old";
    let out = world.egress(&["--allow", "allowed.test", "--allow", "shared.test"]);
    out.run(["sh", "-c", script]).said("host_mismatch").complained("without a host");
    assert_eq!(world.requests().len(), before, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn several_lines_of_one_host_open_what_each_opens() {
    let world = two_sites();
    let rule = "{ action = \"allow\", ports = [80], methods = [\"GET\"] }";
    let policy = world.domains(&[("allowed.test", rule)]);
    let options = ["--policy", policy.path(), "--allow", "allowed.test:7000"];
    let asks = |port: &str, method: &str| {
        let target = format!("allowed.test:{port}");
        // One port has nobody who answers.
        let program =
            if port == "7000" { KEEP_ALIVE.replace("=60", "=5") } else { KEEP_ALIVE.to_owned() };
        world.egress(&options).run([PYTHON, "-c", &program, &target, method, "/p"])
    };
    asks("80", "GET").printed("200 -\n");
    asks("80", "POST").printed("403 blocked-by-method-policy\n");
    assert_eq!(seen(&world), ["GET /p"], "{world}");
    // Port 7000 serves no HTTP: whatever comes there passes as it is.
    asks("7000", "POST");
    assert!(world.arrived_at(SITE).on_port(7000).payload() > 0, "{world}");
}
