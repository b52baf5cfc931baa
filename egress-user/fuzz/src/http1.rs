//! HTTP/1 requests: the same heads and bodies however the bytes are split, none of them invented.
use egress_user::{
    policy::Host,
    sniff::{
        Protocol, RequestHead, RequestStream, ResponseStream, Sniffer, Step,
        http1::{Asked, Switch},
    },
};

/// Longer inputs are cut into pieces instead of bytes: each read costs time.
const BYTEWISE: usize = 2048;

/// Bytes of a connection.
pub fn run(bytes: &[u8]) {
    let whole = Caller::run(bytes, bytes.len().max(1));
    let piecewise = Caller::run(bytes, 1 + bytes.len() / BYTEWISE);
    assert_eq!(whole.events, piecewise.events, "as a whole, and in pieces");
    assert!(bytes.starts_with(&whole.forwarded));
    assert_eq!(whole.forwarded, piecewise.forwarded, "as a whole, and in pieces");
    // Whoever takes the connection for another protocol reads no request in it.
    let is_http = whole.events.iter().any(|event| matches!(event, Event::Head(..)));
    assert!(!is_http || Sniffer::new().feed(bytes) == Protocol::Http);
    let piece = 1 + bytes.len() / BYTEWISE;
    for asked in [Asked::Answer, Asked::Head, Asked::Upgrade] {
        assert_eq!(answered(bytes, asked, bytes.len().max(1)), answered(bytes, asked, piece));
    }
}

/// The same bytes as a server's: what they say of a first request's offer to upgrade, whether they have
/// answered all of two requests, and whether that is not known.
fn answered(bytes: &[u8], asked: Asked, piece: usize) -> (Option<Switch>, bool, bool) {
    let mut responses = ResponseStream::new();
    responses.expect(asked);
    if asked != Asked::Upgrade {
        responses.expect(Asked::Answer);
    }
    bytes.chunks(piece).for_each(|piece| responses.feed(piece));
    (responses.take_switch(), responses.is_idle(), responses.is_lost())
}

/// What a connection's bytes came to; neighbouring body steps are one.
#[derive(Debug, PartialEq)]
enum Event {
    Head(Box<RequestHead>, usize),
    Body(usize),
    Await,
    Final(Step),
}

/// Forwards what it may, and goes on with HTTP behind every response that it would await.
struct Caller {
    stream: RequestStream,
    held: Vec<u8>,
    forwarded: Vec<u8>,
    events: Vec<Event>,
}

impl Caller {
    fn run(bytes: &[u8], piece: usize) -> Self {
        let stream = RequestStream::new();
        let mut caller = Self { stream, held: vec![], forwarded: vec![], events: vec![] };
        for piece in bytes.chunks(piece) {
            caller.held.extend_from_slice(piece);
            while caller.step() {}
        }
        caller
    }

    /// Whether there may be more in what is held.
    fn step(&mut self) -> bool {
        match self.stream.step(&self.held) {
            Step::Need => return false,
            Step::Head(head, len) => {
                host_is_one(&head);
                self.forward(len);
                self.events.push(Event::Head(head, len));
            }
            Step::Body(len) => {
                self.forward(len);
                match self.events.last_mut() {
                    Some(Event::Body(total)) => *total += len,
                    _ => self.events.push(Event::Body(len)),
                }
            }
            Step::AwaitResponse => {
                self.stream.resume();
                self.events.push(Event::Await);
            }
            step @ (Step::NotHttp | Step::Http2Preface | Step::Bad(_)) => {
                assert_eq!(self.stream.step(&self.held), step, "a final answer changes");
                if !matches!(self.events.last(), Some(Event::Final(_))) {
                    self.events.push(Event::Final(step));
                }
                return false;
            }
        }
        true
    }

    fn forward(&mut self, len: usize) {
        assert!((1..=self.held.len()).contains(&len), "{len} of {} bytes", self.held.len());
        self.forwarded.extend(self.held.drain(..len));
    }
}

/// The policy may refuse the host, but reads the same one each time.
fn host_is_one(head: &RequestHead) {
    let Some(text) = &head.host else { return };
    if let Ok((host, _)) = Host::parse_with_port(text) {
        assert_eq!(Host::parse(&host.to_string()), Ok(host), "{text:?}");
    }
}
