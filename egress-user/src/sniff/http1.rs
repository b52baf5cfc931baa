//! HTTP/1: every request's host, before any of its bytes are forwarded.
//!
//! [`RequestStream`] follows a client's bytes for the life of the connection: heads by httparse
//! behind stricter checks of our own, bodies byte for byte, so that the next head is found exactly
//! where the server will look for it. What two readers of RFC 9112 could frame differently is
//! [`Step::Bad`], never guessed. Stricter than its section 2.2 asks: an empty line before a request is
//! bad, also between requests.
use body::Body;
use first_line::{FirstLine, Line};
use scan::{Scan, Scanned};

mod body;
pub(super) mod first_line;
pub(in crate::sniff) mod head;
mod response;
mod scan;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
mod upgrade;

pub use head::{RequestHead, TargetForm};
pub use response::{Asked, ResponseStream, Switch};
pub use upgrade::without_upgrade;

/// Most bytes of a request head, its last empty line included, and so what a waiting connection
/// holds for it. A longer one is bad. Servers take 8 KiB (nginx, Apache, by line) to 64 KiB (Go's take
/// more).
pub const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// Most header fields of a request. More are bad.
pub const HEADER_LIMIT: usize = 256;

/// What the caller has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read more, then call again with these bytes and more. Nothing may be forwarded.
    Need,
    /// A whole head is the first so many bytes of the input: judge it, forward them, take them
    /// off, call again. A refused one ends the connection.
    Head(Box<RequestHead>, usize),
    /// The first so many bytes of the input (at least one) belong to the judged request: forward
    /// them, take them off, call again.
    Body(usize),
    /// After a request with `Upgrade` or CONNECT: hold the client's bytes until a
    /// [`ResponseStream`] knows whether the connection becomes a tunnel; if not, call
    /// [`RequestStream::resume`].
    AwaitResponse,
    /// Certainly not HTTP/1; only as the first answer of a connection other than `Need`. Final.
    NotHttp,
    /// The client speaks HTTP/2 at once (RFC 9113 section 3.4). Only as the first answer. Final.
    Http2Preface,
    /// Malformed, or framed so that servers differ; the text says why. Answer 400 and close:
    /// nothing of this head was forwarded, a body stops before the bad byte. Final.
    Bad(&'static str),
}

/// Follows the requests of one connection. See [`Step`] for the caller's part: it must take off
/// exactly as many bytes as [`Step::Head`] and [`Step::Body`] name.
///
/// ```
/// use egress_user::sniff::{RequestStream, Step};
///
/// let mut held = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: b.test\r\n".to_vec();
/// let (mut requests, mut hosts) = (RequestStream::new(), Vec::new());
/// loop {
///     match requests.step(&held) {
///         Step::Head(head, len) => {
///             hosts.extend(head.host); // judge it, then forward:
///             held.drain(..len);
///         }
///         Step::Body(len) => drop(held.drain(..len)),
///         Step::Need => break, // read more
///         refused => panic!("{refused:?}"),
///     }
/// }
/// assert_eq!(hosts, ["a.test"]); // the second head is not complete: not a byte of it left
/// ```
#[derive(Debug)]
pub struct RequestStream {
    state: State,
    /// Only the first request may turn out not to be HTTP: none behind it.
    first: Option<FirstLine>,
    scan: Scan,
}

#[derive(Debug)]
enum State {
    Head,
    Body {
        body: Body,
        then: After,
    },
    AwaitResponse {
        then: After,
    },
    /// The client said that its last request was the last.
    Ended,
    Final(Step),
}

/// What follows a request's body.
#[derive(Clone, Copy, Debug)]
struct After {
    may_switch: bool,
    is_last: bool,
}

impl Default for RequestStream {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestStream {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self { state: State::Head, first: Some(FirstLine::default()), scan: Scan::default() }
    }

    /// Looks at the client's bytes that were not forwarded yet. Empty input is allowed.
    pub fn step(&mut self, input: &[u8]) -> Step {
        loop {
            match &mut self.state {
                State::Head => return self.head(input),
                State::Body { body, then } => {
                    if body.is_done() {
                        self.state = if then.may_switch {
                            State::AwaitResponse { then: *then }
                        } else {
                            State::after(*then)
                        };
                        continue;
                    }
                    match body.take(input) {
                        Ok(0) => return Step::Need,
                        Ok(len) => return Step::Body(len),
                        Err(why) => return self.end(Step::Bad(why)),
                    }
                }
                State::AwaitResponse { .. } => return Step::AwaitResponse,
                State::Ended if input.is_empty() => return Step::Need,
                State::Ended => return self.end(Step::Bad("bytes after the last request")),
                State::Final(step) => return step.clone(),
            }
        }
    }

    /// After [`Step::AwaitResponse`]: the connection stays HTTP/1. No effect in other states.
    pub fn resume(&mut self) {
        if let State::AwaitResponse { then } = self.state {
            self.state = State::after(then);
        }
    }

    fn head(&mut self, input: &[u8]) -> Step {
        if let Some(line) = &mut self.first {
            match line.feed(input) {
                Line::Need => return Step::Need,
                Line::NotHttp => return self.end(Step::NotHttp),
                Line::Http2 => return self.end(Step::Http2Preface),
                Line::Http => {}
            }
        }
        let len = match self.scan.advance(input) {
            Scanned::Need => return Step::Need,
            Scanned::Bad(why) => return self.end(Step::Bad(why)),
            Scanned::End(len) => len,
        };
        let parsed = head::parse(input.get(..len).unwrap_or(input));
        let (head, body) = match parsed {
            Ok(parsed) => parsed,
            Err(why) => return self.end(Step::Bad(why)),
        };
        self.first = None;
        self.scan = Scan::default();
        let then = After {
            may_switch: head.upgrade.is_some() || head.is_connect(),
            is_last: head.is_last,
        };
        self.state = State::Body { body, then };
        Step::Head(Box::new(head), len)
    }

    fn end(&mut self, step: Step) -> Step {
        self.state = State::Final(step.clone());
        step
    }
}

impl State {
    fn after(then: After) -> Self {
        if then.is_last { Self::Ended } else { Self::Head }
    }
}

/// RFC 9110 section 5.6.2.
pub(in crate::sniff) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token_byte(b))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
