use std::collections::BTreeMap;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// What a client's bytes came to.
#[derive(Debug, Default, PartialEq)]
struct Run {
    requests: Vec<RequestHead>,
    passed: usize,
    bad: Option<&'static str>,
}

/// Follows bytes that come in reads that end at `cuts`.
fn run(bytes: &[u8], cuts: &[usize]) -> Run {
    let (mut frames, mut run) = (Http2Stream::new(), Run::default());
    let mut held = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&bytes.len()]) {
        held.extend_from_slice(&bytes[from..to]);
        from = to;
        loop {
            let length = match frames.step(&held) {
                Http2Step::Need => break,
                Http2Step::Pass(length) => length,
                Http2Step::Request(head, length) => {
                    run.requests.push(*head);
                    length
                }
                Http2Step::Bad(why) => {
                    run.bad = Some(why);
                    return run;
                }
            };
            assert!((1..=held.len()).contains(&length));
            assert!(held.len() < SECTION_LIMIT_BYTES + bytes.len());
            run.passed += length;
            held.drain(..length);
        }
    }
    run
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal that is not indexed (RFC 7541 section 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    assert!(name.len() < 127 && value.len() < 127);
    [vec![0], text(name), text(value)].concat()
}

/// GET, http, /, and this authority.
fn request(authority: &str) -> Vec<u8> {
    [vec![0x82, 0x86, 0x84], literal(":authority", authority)].concat()
}

fn start() -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()
}

/// Behind the client's beginning.
fn behind(frames: &[Vec<u8>]) -> Run {
    run(&[start(), frames.concat()].concat(), &[])
}

fn hosts(run: &Run) -> Vec<&str> {
    run.requests.iter().map(|head| head.host.as_deref().unwrap_or("-")).collect()
}

#[test]
fn every_stream_is_judged_and_nothing_of_a_section_passes_before_its_end() {
    let one = frame(kind::HEADERS, 4, 1, &request("a.test"));
    let block = request("b.test");
    let other = [
        frame(kind::HEADERS, 0x29, 3, &[&[2, 0, 0, 0, 0, 16], &block[..4], &[0, 0]].concat()),
        frame(kind::CONTINUATION, 0, 3, &[]),
        frame(kind::CONTINUATION, 4, 3, &block[4..]),
    ];
    let data = frame(kind::DATA, 1, 1, b"body");
    let whole = behind(&[one.clone(), data.clone(), other.concat()]);
    assert_eq!((hosts(&whole), whole.bad), (vec!["a.test", "b.test"], None));
    let cut = behind(&[one.clone(), data.clone(), other[..2].concat()]);
    assert_eq!(cut.passed, [start(), one, data].concat().len());
    assert_eq!(hosts(&cut), ["a.test"]);
}

#[test]
fn a_field_of_the_table_is_the_one_that_the_client_put_there() {
    let indexed = [&[0x41, 6][..], b"a.test"].concat();
    let first = [&[0x82, 0x86, 0x84][..], &indexed].concat();
    let frames = |third: &[u8]| {
        behind(&[
            frame(kind::HEADERS, 5, 1, &first),
            frame(kind::HEADERS, 5, 3, &[0x82, 0x86, 0x84, 0xbe]),
            frame(kind::HEADERS, 5, 5, third),
        ])
    };
    assert_eq!(hosts(&frames(&[0x82, 0x86, 0x84, 0xbe])), ["a.test"; 3]);
    // Emptied, then asked for.
    let emptied = frames(&[0x20, 0x3f, 0xe1, 0x1f, 0x82, 0x86, 0x84, 0xbe]);
    assert!(emptied.bad.is_some() && emptied.requests.len() == 2);
    // A table larger than ours.
    let large = frames(&[0x3f, 0xe2, 0xff, 0x03, 0x82, 0x86, 0x84, 0xbe]);
    assert!(large.bad.is_some());
}

#[test]
fn what_no_client_should_send_is_refused() {
    let good = frame(kind::HEADERS, 5, 1, &request("a.test"));
    let with = |more: &[u8]| frame(kind::HEADERS, 5, 1, &[&request("a.test")[..], more].concat());
    for (what, frames) in [
        ("push", vec![frame(kind::PUSH_PROMISE, 4, 1, &request("b.test"))]),
        ("unknown type", vec![frame(0x4d, 0, 0, b"")]),
        ("data first", vec![frame(kind::DATA, 0, 1, b"x")]),
        ("continuation first", vec![frame(kind::CONTINUATION, 4, 1, b"")]),
        ("even stream", vec![frame(kind::HEADERS, 5, 2, &request("a.test"))]),
        ("stream 0", vec![frame(kind::HEADERS, 5, 0, &request("a.test"))]),
        (
            "broken off",
            vec![frame(kind::HEADERS, 1, 1, &request("a.test")), frame(kind::PING, 0, 0, &[0; 8])],
        ),
        (
            "another's continuation",
            vec![frame(kind::HEADERS, 1, 1, &[]), frame(kind::CONTINUATION, 4, 3, &request("b"))],
        ),
        ("padding", vec![frame(kind::HEADERS, 0xd, 1, &[200, 0x82])]),
        ("second request", vec![good.clone(), good.clone()]),
        ("earlier stream", vec![frame(kind::HEADERS, 5, 3, &request("a.test")), good.clone()]),
        ("host in trailers", vec![good.clone(), frame(kind::HEADERS, 5, 1, &literal("host", "b"))]),
        ("open trailers", vec![good.clone(), frame(kind::HEADERS, 4, 1, &literal("x", "y"))]),
        ("two authorities", vec![with(&literal(":authority", "a.test"))]),
        ("another host", vec![with(&literal("host", "b.test"))]),
        ("two hosts", vec![with(&[literal("host", "a.test"), literal("host", "a.test")].concat())]),
        ("extended CONNECT", vec![with(&literal(":protocol", "websocket"))]),
        ("unknown pseudo-field", vec![with(&literal(":host", "b.test"))]),
        ("upper case", vec![with(&literal("Host", "b.test"))]),
        ("late pseudo-field", vec![with(&[literal("x", "y"), vec![0x82]].concat())]),
        ("line end", vec![with(&literal("x", "y\r\nHost: b.test"))]),
        ("upgrade", vec![with(&literal("upgrade", "websocket"))]),
        ("cut field", vec![with(&[0x40, 0x7f])]),
        (
            "address as path",
            vec![frame(
                kind::HEADERS,
                5,
                1,
                &[vec![0x82, 0x86], literal(":path", "http://b.test/"), literal(":authority", "a")]
                    .concat(),
            )],
        ),
        ("short ping", vec![frame(kind::PING, 0, 0, &[0; 7])]),
        ("too long", vec![frame(kind::HEADERS, 0, 1, &vec![0; HEAD_LIMIT_BYTES + 1])]),
        (
            "endless",
            vec![
                frame(kind::HEADERS, 0, 1, &[]),
                frame(kind::CONTINUATION, 0, 1, &[]).repeat(SECTION_LIMIT_BYTES / HEAD_BYTES),
            ],
        ),
        ("many fields", vec![with(&literal("x", "y").repeat(HEAD_LIMIT_BYTES / 8))]),
    ] {
        let ran = behind(&frames);
        assert!(ran.bad.is_some(), "{what}: {ran:?}");
        assert!(ran.requests.len() <= frames.len() - usize::from(frames.len() > 1), "{what}");
    }
    for bad in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"[..], &[PREFACE, &good].concat()] {
        assert!(run(bad, &[]).bad.is_some());
    }
}

#[test]
fn what_clients_send_besides_passes() {
    let ran = behind(&[
        frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
        frame(kind::PRIORITY, 0, 3, &[0; 5]),
        frame(kind::HEADERS, 4, 1, &[request("A.test:80"), literal("host", "a.test")].concat()),
        frame(kind::DATA, 0, 1, &vec![0; 100_000]),
        frame(kind::HEADERS, 5, 1, &literal("grpc-status", "0")),
        frame(kind::HEADERS, 5, 3, &[0x82, 0x86, 0x84]),
        frame(kind::RST_STREAM, 0, 3, &[0; 4]),
        frame(kind::PRIORITY_UPDATE, 0, 0, &[0; 6]),
        frame(kind::SETTINGS, 1, 0, &[]),
        frame(kind::PING, 1, 0, &[0; 8]),
        frame(kind::GOAWAY, 0, 0, &[0; 8]),
    ]);
    assert_eq!((hosts(&ran), ran.bad), (vec!["a.test:80", "-"], None));
    // As servers take it: bytes over 0x7f, and 25 KiB of 250 fields.
    let get = |path: &str| {
        [vec![0x82, 0x86], literal(":path", path), literal(":authority", "a.test")].concat()
    };
    let many = (0..250).flat_map(|i| literal(&format!("x{i}"), &"y".repeat(100)));
    let section: Vec<u8> = get("/caf\u{e9}/\u{c5}").into_iter().chain(many).collect();
    let ran = behind(&[frame(kind::HEADERS, 5, 1, &section)]);
    assert_eq!((hosts(&ran), ran.bad), (vec!["a.test"], None));
    assert_eq!(ran.requests[0].path, "/caf\u{e9}/\u{c5}");
    let hides = get("/\u{a0}HTTP/1.1\u{85}Host:b.test");
    assert!(behind(&[frame(kind::HEADERS, 5, 1, &hides)]).bad.is_some());
    let connect = [literal(":method", "CONNECT"), literal(":authority", "b.test:443")].concat();
    assert!(behind(&[frame(kind::HEADERS, 4, 1, &connect)]).requests[0].is_connect());
}

/// What h2's client sends for these requests, and its server reads.
async fn conversation(requests: Vec<http::Request<()>>) -> (Vec<u8>, Vec<http::Request<()>>) {
    let (near, mut middle_near) = duplex(1 << 20);
    let (mut middle_far, far) = duplex(1 << 20);
    let server = tokio::spawn(async move {
        let mut read = Vec::new();
        let mut connection = h2::server::handshake(far).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            read.push(request.map(drop));
            respond.send_response(http::Response::new(()), true).unwrap();
        }
        read
    });
    let wire = tokio::spawn(async move {
        let (mut sent, mut up, mut down) = (Vec::new(), [0; 4096], [0; 4096]);
        loop {
            tokio::select! {
                read = middle_near.read(&mut up) => match read {
                    Ok(0) | Err(_) => return sent,
                    Ok(length) => {
                        sent.extend_from_slice(&up[..length]);
                        if middle_far.write_all(&up[..length]).await.is_err() { return sent; }
                    }
                },
                read = middle_far.read(&mut down) => match read {
                    Ok(0) | Err(_) => return sent,
                    Ok(length) => middle_near.write_all(&down[..length]).await.unwrap(),
                },
            }
        }
    });
    let (client, connection) = h2::client::handshake(near).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    for request in requests {
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data("body".into(), false).unwrap();
        body.send_trailers(http::HeaderMap::from_iter([(
            http::HeaderName::from_static("x-end"),
            http::HeaderValue::from_static("1"),
        )]))
        .unwrap();
        response.await.unwrap();
        client = client.ready().await.unwrap();
    }
    drop(client);
    driver.await.unwrap().unwrap();
    (wire.await.unwrap(), server.await.unwrap())
}

fn requests() -> impl Strategy<Value = Vec<BTreeMap<String, String>>> {
    let fields = proptest::collection::btree_map("x-[a-z]{1,8}", "[ -~]{0,40}", 0..6);
    proptest::collection::vec(fields, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_another_implementation_writes_and_reads_is_read_alike(
        all in requests(),
        hosts in proptest::collection::vec("[a-z]{1,3}\\.test(:[1-9][0-9]{1,3})?", 12),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        broken in any::<(proptest::sample::Index, u8)>(),
    ) {
        let built = all.iter().zip(&hosts).enumerate().map(|(at, (fields, host))| {
            let uri = format!("http://{host}/{at}?{}", "q".repeat(at * 40));
            let mut request = http::Request::post(uri).body(()).unwrap();
            for (name, value) in fields {
                let name = http::HeaderName::try_from(name.as_str()).unwrap();
                request.headers_mut().insert(name, value.trim().parse().unwrap());
            }
            request
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sent, read) = runtime.block_on(conversation(built.collect()));
        let ours = run(&sent, &[]);
        let theirs: Vec<_> = read.iter().map(|request| {
            let path = request.uri().path_and_query().unwrap().to_string();
            (request.uri().authority().unwrap().to_string(), path)
        }).collect();
        let heads: Vec<_> = ours.requests.iter().map(|head| {
            (head.host.clone().unwrap(), head.path.clone())
        }).collect();
        prop_assert_eq!((heads, ours.bad, ours.passed), (theirs, None, sent.len()));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&run(&sent, &cuts), &ours);
        // One byte otherwise: the same verdict however it is split.
        let mut other = sent;
        let place = broken.0.index(other.len());
        other[place] = broken.1;
        let (whole, split) = (run(&other, &[]), run(&other, &cuts));
        prop_assert_eq!((whole.requests, whole.bad), (split.requests, split.bad));
    }
}
