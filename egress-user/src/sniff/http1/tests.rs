use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

mod responses;
mod targets;
mod upgrades;

/// What a connection's bytes came to; neighbouring body steps are one.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    Head(RequestHead, usize),
    Body(usize),
    Await,
    NotHttp,
    Http2,
    Bad(&'static str),
}

/// A caller that gets bytes in reads that end at `cuts`, and resumes after every awaited response.
struct Caller {
    stream: RequestStream,
    held: Vec<u8>,
    forwarded: Vec<u8>,
    events: Vec<Event>,
}

impl Caller {
    fn run(bytes: &[u8], cuts: &[usize]) -> Self {
        let stream = RequestStream::new();
        let mut caller = Self { stream, held: vec![], forwarded: vec![], events: vec![] };
        let mut from = 0;
        for &to in cuts.iter().chain([&bytes.len()]) {
            caller.held.extend_from_slice(&bytes[from..to]);
            from = to;
            caller.drain();
        }
        caller
    }

    fn drain(&mut self) {
        loop {
            let step = self.stream.step(&self.held);
            let (event, len) = match step {
                Step::Need => return,
                Step::Head(head, len) => (Event::Head(*head, len), len),
                Step::Body(len) => {
                    assert!(len > 0);
                    match self.events.last_mut() {
                        Some(Event::Body(total)) => {
                            *total += len;
                            self.forward(len);
                            continue;
                        }
                        _ => (Event::Body(len), len),
                    }
                }
                Step::AwaitResponse => {
                    self.stream.resume();
                    (Event::Await, 0)
                }
                Step::NotHttp => (Event::NotHttp, 0),
                Step::Http2Preface => (Event::Http2, 0),
                Step::Bad(why) => (Event::Bad(why), 0),
            };
            let is_final = matches!(event, Event::NotHttp | Event::Http2 | Event::Bad(_));
            if is_final && self.events.last() == Some(&event) {
                return;
            }
            self.events.push(event);
            self.forward(len);
            if is_final {
                return;
            }
        }
    }

    fn forward(&mut self, len: usize) {
        self.forwarded.extend(self.held.drain(..len));
    }
}

fn events(bytes: &[u8]) -> Vec<Event> {
    Caller::run(bytes, &[]).events
}

fn heads(bytes: &[u8]) -> Vec<RequestHead> {
    let head = |event| if let Event::Head(head, _) = event { Some(head) } else { None };
    events(bytes).into_iter().filter_map(head).collect()
}

fn bad(bytes: &[u8]) -> &'static str {
    match events(bytes).last() {
        Some(Event::Bad(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn fixtures(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/http");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| name.starts_with(prefix) && name.ends_with(".txt"))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn fixture(name: &str) -> Vec<u8> {
    fixtures(name).remove(0).1
}

#[test]
fn every_split_of_every_fixture_gives_the_same_sequence() {
    for (name, bytes) in fixtures("") {
        let whole = Caller::run(&bytes, &[]);
        let bytewise: Vec<usize> = (0..bytes.len()).collect();
        let cuts = (0..=bytes.len()).map(|cut| vec![cut]).chain([bytewise]);
        for cuts in cuts {
            let split = Caller::run(&bytes, &cuts);
            assert_eq!(split.events, whole.events, "{name} cut at {cuts:?}");
            assert_eq!(split.forwarded, whole.forwarded, "{name} cut at {cuts:?}");
        }
    }
}

#[test]
fn good_streams_are_forwarded_whole() {
    for (name, bytes) in fixtures("good-") {
        let caller = Caller::run(&bytes, &[]);
        assert_eq!(caller.forwarded, bytes, "{name}: {:?}", caller.events);
        assert!(matches!(caller.events[0], Event::Head(..)), "{name}");
    }
}

#[test]
fn bad_streams_are_refused_before_the_fault() {
    for (name, bytes) in fixtures("bad-") {
        let caller = Caller::run(&bytes, &[]);
        assert!(matches!(caller.events.last(), Some(Event::Bad(_))), "{name}: {:?}", caller.events);
        let good_heads = caller.events.iter().filter(|e| matches!(e, Event::Head(..))).count();
        let behind_a_good_one =
            ["bad-chunk-", "bad-second-", "bad-request-after-"].iter().any(|p| name.starts_with(p));
        assert_eq!(good_heads, usize::from(behind_a_good_one), "{name}");
        assert_eq!(caller.forwarded.is_empty(), !behind_a_good_one, "{name}");
        assert!(!caller.held.is_empty(), "{name}: the fault itself was forwarded");
    }
}

/// `reasons.tsv` says why each bad stream is refused, lest one be refused for another fault.
#[test]
fn each_bad_stream_is_refused_for_its_own_fault() {
    let reasons: String = fixtures("bad-")
        .iter()
        .map(|(name, bytes)| format!("{}\t{}\n", name.trim_end_matches(".txt"), bad(bytes)))
        .collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/http/reasons.tsv");
    let golden = fs::read_to_string(golden).unwrap();
    assert!(reasons == golden, "reasons.tsv should be:\n{reasons}");
}

#[test]
fn other_protocols_are_told_apart() {
    for (name, bytes) in fixtures("not-http-") {
        assert_eq!(events(&bytes), [Event::NotHttp], "{name}");
    }
    assert_eq!(events(&fixture("http2-preface")), [Event::Http2]);
}

#[test]
fn every_pipelined_request_shows_its_host() {
    let heads = heads(&fixture("good-pipelined"));
    let facts: Vec<_> = heads
        .iter()
        .map(|h| (h.method.as_str(), h.host.as_deref().unwrap(), h.path.as_str()))
        .collect();
    assert_eq!(
        facts,
        [
            ("GET", "a.test", "/"),
            ("HEAD", "b.test:8080", "/b?c"),
            ("POST", "a.test", "/"),
            ("DELETE", "[2001:db8::1]:80", "/d"),
        ]
    );
}

#[test]
fn body_is_never_taken_for_a_request() {
    let heads = heads(&fixture("good-body-looks-like-request"));
    assert_eq!(heads.len(), 2);
    assert!(heads.iter().all(|head| head.host.as_deref() == Some("a.test")));
    assert!(heads[1].is_last);
}

#[test]
fn head_limits_are_exact() {
    let start = b"GET / HTTP/1.1\r\nHost: a.test\r\nX: ".to_vec();
    let padded = |total: usize| {
        let mut head = start.clone();
        head.resize(total - 4, b'y');
        [&head[..], b"\r\n\r\n"].concat()
    };
    assert_eq!(heads(&padded(HEAD_LIMIT_BYTES)).len(), 1);
    assert_eq!(bad(&padded(HEAD_LIMIT_BYTES + 1)), "head is too long");
    let fields = |count: usize| {
        let more: String = (1..count).map(|i| format!("x{i}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a.test\r\n{more}\r\n").into_bytes()
    };
    assert_eq!(heads(&fields(HEADER_LIMIT)).len(), 1);
    assert_eq!(bad(&fields(HEADER_LIMIT + 1)), "too many header fields");
}

#[test]
fn largest_numbers_are_followed() {
    let head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n";
    let bytes = [&head[..], &[b'x'; 100]].concat();
    assert_eq!(events(&bytes)[1..], [Event::Body(100)]);
    let head =
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
    let bytes = [&head[..], &[b'x'; 100]].concat();
    assert_eq!(events(&bytes)[1..], [Event::Body(118)]);
}

/// A valid request whose bytes are hard to follow, and how many heads it is (one).
fn request() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop::collection::vec(any::<u8>(), 1..40);
    let body = prop_oneof![
        Just(vec![]),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|body| {
            [format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
        }),
        (
            prop::collection::vec((chunk, "(;[a-z=\"]{0,9})?"), 0..4),
            "(x[a-z]{0,5}: [a-z]{0,5}\r\n)?"
        )
            .prop_map(|(chunks, trailer)| {
                let mut all = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
                for (chunk, extension) in chunks {
                    all.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
                    all.extend(chunk);
                    all.extend(b"\r\n");
                }
                all.extend(format!("0\r\n{trailer}\r\n").bytes());
                all
            }),
    ];
    ("[A-Z]{1,7}", "[ -\"$-~]{0,20}", "[a-z]{1,9}", body).prop_map(|(method, path, host, body)| {
        let method = if method == "CONNECT" { "GET".to_owned() } else { method };
        let path = path.replace(' ', "+");
        let head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n");
        let end: &[u8] = if body.is_empty() { b"\r\n" } else { &body };
        [head.as_bytes(), end].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_forwarded_is_what_was_fed(
        requests in prop::collection::vec(request(), 1..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = requests.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let caller = Caller::run(&bytes, &cuts);
        prop_assert_eq!(&caller.forwarded, &bytes, "{:?}", caller.events);
        let heads = caller.events.iter().filter(|event| matches!(event, Event::Head(..))).count();
        prop_assert_eq!(heads, requests.len());
    }

    #[test]
    fn damaged_streams_get_one_verdict_and_lose_no_byte(
        requests in prop::collection::vec(request(), 1..3),
        at in any::<prop::sample::Index>(),
        value in prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b':'), any::<u8>()],
    ) {
        let mut bytes = requests.concat();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let whole = Caller::run(&bytes, &[]);
        let bytewise: Vec<usize> = (0..bytes.len()).collect();
        let split = Caller::run(&bytes, &bytewise);
        prop_assert_eq!(&split.events, &whole.events);
        prop_assert_eq!([&whole.forwarded[..], &whole.held].concat(), bytes);
        prop_assert_eq!(split.forwarded, whole.forwarded);
    }

    #[test]
    fn arbitrary_bytes_get_one_verdict(
        bytes in prop::collection::vec(any::<u8>(), 0..200), get in any::<bool>(),
    ) {
        let bytes = if get { [&b"GET / HTTP/1.1\r\nHost: a\r\n"[..], &bytes].concat() } else { bytes };
        let bytewise: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(Caller::run(&bytes, &bytewise).events, events(&bytes));
    }
}
