//! HTTP/2 without TLS, as plaintext gRPC speaks it: every request of every stream is judged, by what arrived.
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::support::{Finished, PYTHON, World};
use super::{ALLOWED, SITE, two_sites};

/// The port of gRPC that most examples use.
const GRPC: u16 = 50_051;

/// A server of HTTP/2 on [`GRPC`], by h2: it answers as gRPC does, with the authority, and keeps what it was asked for.
fn server(world: &World) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let listener = world.far_netns().enter(|| TcpListener::bind((SITE, GRPC)).expect("listen"));
    listener.set_nonblocking(true).expect("make it non-blocking");
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
    });
    asked
}

async fn serve(stream: tokio::net::TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let said = request.uri().to_string();
        asked.lock().expect("the list").push(said.clone());
        let response = http::Response::builder().header("content-type", "application/grpc");
        let Ok(mut body) = respond.send_response(response.body(()).expect("a response"), false)
        else {
            continue;
        };
        let _ = body.send_data(format!("{said}\n").into(), false);
        let end = http::HeaderName::from_static("grpc-status");
        let _ =
            body.send_trailers([(end, http::HeaderValue::from_static("0"))].into_iter().collect());
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn plaintext_grpc_works_under_a_name_rule() {
    let world = two_sites();
    let asked = server(&world);
    let call = |host: &str| {
        let url = format!("http://allowed.test:{GRPC}/pkg.Service/Call");
        let host = format!("Host: {host}:{GRPC}");
        let options = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", "ab"];
        let command = ["curl", "-sS", "-m", "60", "--http2-prior-knowledge", "-H", &host, &url];
        let command = command.into_iter().chain(options).map(str::to_owned).collect::<Vec<_>>();
        world.egress(ALLOWED).run(command)
    };
    let said = format!("http://allowed.test:{GRPC}/pkg.Service/Call");
    call("allowed.test").succeeded().printed(&format!("{said}\n"));
    call("shared.test")
        .failed()
        .complained("http shared.test:50051 at")
        .complained("host_mismatch");
    assert_eq!(*asked.lock().expect("the list"), [said.as_str()], "{world}");
    let host = format!("Host: shared.test:{GRPC}");
    let url = format!("http://allowed.test:{GRPC}/twin");
    let twin = ["curl", "-sS", "--http2-prior-knowledge", "-H", &host, &url];
    world.direct().run(twin).printed(&format!("http://shared.test:{GRPC}/twin\n"));
}

#[test]
#[ignore = "kernel: needs root"]
fn methods_paths_and_limited_mode_hold_for_it() {
    let world = two_sites();
    let asked = server(&world);
    let call = |policy: &str, path: &str, method: &str| {
        let policy = world.policy(policy);
        let url = format!("http://allowed.test:{GRPC}{path}");
        let command = ["curl", "-sS", "-m", "60", "--http2-prior-knowledge", "-X", method, &url];
        world.egress(&policy.options()).run(command)
    };
    let rule = "[network.domains]\n\
        \"allowed.test\" = { action = \"allow\", methods = [\"GET\"], paths = [\"/open/\"] }\n";
    call(rule, "/open/a", "GET").succeeded();
    call(rule, "/open/a", "POST").failed().complained("method_not_allowed");
    call(rule, "/other", "GET").failed().complained("path_not_allowed");
    let limited =
        "[network]\nmode = \"limited\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n";
    call(limited, "/open/a", "GET").failed().complained("protocol_not_allowed");
    let all = asked.lock().expect("the list");
    assert_eq!(*all, [format!("http://allowed.test:{GRPC}/open/a")], "{world}");
}

/// `frames.py PORT SPLIT`: over a connection each, a good request and then one for `denied.test` in some disguise.
const FRAMES: &str = r#"
import socket, struct, sys
def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload
def lit(name, value, form=b'\0'):
    return form + bytes([len(name)]) + name + bytes([len(value)]) + value
def get(host): return b'\x82\x86\x84' + lit(b':authority', host)
START = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0)
GOOD = frame(1, 5, 1, get(b'allowed.test'))
BAD = get(b'denied.test')
ATTEMPTS = {
    'first': frame(1, 5, 1, BAD),
    'later': GOOD + frame(1, 5, 3, BAD),
    'behind-data': frame(1, 4, 1, get(b'allowed.test')) + frame(0, 1, 1, bytes(70000)) + frame(1, 5, 3, BAD),
    'continuation': GOOD + frame(1, 1, 3, BAD[:9]) + frame(9, 0, 3) + frame(9, 4, 3, BAD[9:]),
    'padded': GOOD + frame(1, 0x2d, 3, bytes([4]) + bytes(5) + BAD + bytes(4)),
    'host-field': GOOD + frame(1, 5, 3, get(b'allowed.test') + lit(b'host', b'denied.test')),
    'only-host-field': GOOD + frame(1, 5, 3, b'\x82\x86\x84' + lit(b'host', b'denied.test')),
    'twice': GOOD + frame(1, 5, 3, get(b'allowed.test') + lit(b':authority', b'denied.test')),
    'table': GOOD + frame(1, 5, 3, b'\x82\x86\x84' + lit(b':authority', b'denied.test', b'\x40')),
    'resized-table': GOOD + frame(1, 5, 3, b'\x20\x3f\xe1\x1f' + BAD),
    'same-stream': GOOD + frame(1, 5, 1, BAD),
    'lower-stream': frame(1, 5, 3, get(b'allowed.test')) + frame(1, 5, 1, BAD),
    'trailers': frame(1, 4, 1, get(b'allowed.test')) + frame(1, 5, 1, lit(b'host', b'denied.test')),
    'push': GOOD + frame(5, 4, 1, b'\0\0\0\3' + BAD),
    'metadata': GOOD + frame(0x4d, 4, 1, BAD),
    'connect': GOOD + frame(1, 4, 3, lit(b':method', b'CONNECT') + lit(b':authority', b'denied.test:80')),
    'extended': GOOD + frame(1, 4, 3, lit(b':method', b'CONNECT') + lit(b':protocol', b'x') + b'\x86\x84' + lit(b':authority', b'denied.test')),
    'absolute-path': GOOD + frame(1, 5, 3, b'\x82\x86' + lit(b':path', b'http://denied.test/') + lit(b':authority', b'allowed.test')),
    'line-end': GOOD + frame(1, 5, 3, get(b'allowed.test') + lit(b'x', b'y\r\nhost: denied.test')),
    'after-goaway': GOOD + frame(7, 0, 0, bytes(8)) + frame(1, 5, 3, BAD),
}
port, split = int(sys.argv[1]), sys.argv[2] == 'split'
for name, more in ATTEMPTS.items():
    data = START + more
    at = max(0, len(data) - 300) if split else len(data)
    with socket.create_connection(('allowed.test', port), 20) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            s.sendall(data[:at])
            for byte in data[at:]: s.send(bytes([byte]))
            s.shutdown(socket.SHUT_WR)
            print(name, s.recv(100) or 'closed')
        except OSError:
            print(name, 'reset')
"#;

#[test]
#[ignore = "kernel: needs root"]
fn no_stream_reaches_another_host() {
    let world = two_sites();
    let script = world.file("frames.py", FRAMES).display().to_string();
    let names = FRAMES.matches("\n    '").count();
    let rules = [
        (7000, "\"allowed.test\" = \"allow\"\n".to_owned()),
        (7000, "\"*\" = \"allow\"\n\"denied.test\" = \"deny\"\n".to_owned()),
        (80, "\"allowed.test\" = { action = \"allow\", protocol = \"any\" }\n".to_owned()),
        (
            7000,
            format!(
                "\"denied.test\" = \"deny\"\n\"allowed.test\" = \"allow\"\n[network.addresses]\n\"{SITE}\" = \"allow\"\n"
            ),
        ),
    ];
    for (port, rules) in rules {
        let policy = world.policy(format!("[network.domains]\n{rules}"));
        for how in ["whole", "split"] {
            let out: Finished<'_> =
                world.egress(&policy.options()).run([PYTHON, &script, &port.to_string(), how]);
            out.exited(0);
            let ends = out.text();
            let reset = ends
                .lines()
                .filter(|line| line.ends_with(" reset") || line.ends_with(" closed"))
                .count();
            assert_eq!(reset, names, "{rules}{ends}");
        }
    }
    world.arrived_at(SITE).without("denied.test");
    assert!(
        world.arrived_at(SITE).on_port(7000).payload() > 0,
        "the good request in pieces\n{world}"
    );
    world.direct().run([PYTHON, &script, "7000", "whole"]).exited(0);
    let named = world.arrived_at(SITE).on_port(7000).holding("denied.test");
    assert!(named >= names - 2, "{named} of {names} without a filter");
}
