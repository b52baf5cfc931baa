//! HTTP/2 without TLS (RFC 9113): every request's authority, before any byte of it is forwarded.
//!
//! [`Http2Stream`] follows the frames of a client for the life of the connection and changes none.
//! The field section of a request, its HEADERS and all CONTINUATION, is held until it is whole and
//! judged; everything else goes on as it comes. What a server could take in two ways, and what it
//! should refuse, is [`Http2Step::Bad`].
//!
//! The server's side need not be read: the size of the client's table of fields stands in the
//! client's own sections (RFC 7541 section 6.3). A server with a smaller table refuses what ours
//! still knows; one with a larger table knows what ours refuses; neither reads another field.
use super::http1::{HEAD_LIMIT_BYTES, RequestHead};

mod fields;
mod frame;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;

use fields::Fields;
use frame::{Frame, HEAD_BYTES, kind};

/// What a client begins with (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most bytes held for one field section, the heads of its frames, padding and priorities
/// included. The section itself has at most [`HEAD_LIMIT_BYTES`].
pub const SECTION_LIMIT_BYTES: usize = HEAD_LIMIT_BYTES + 16 * 1024;

/// The largest table of fields that a client may use (RFC 7541 section 4.2); 4096 bytes unless the
/// server offers more. So a connection costs at most this and [`SECTION_LIMIT_BYTES`].
pub const TABLE_LIMIT_BYTES: usize = 16 * 1024;

/// What the caller has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Http2Step {
    /// Read more, then call again with these bytes and more. Nothing may be forwarded.
    Need,
    /// The first so many bytes (at least one) carry no request: forward them, take them off, call
    /// again.
    Pass(usize),
    /// The first so many bytes are a request's fields: judge it, forward them, take them off, call
    /// again. A refused one ends the connection.
    Request(Box<RequestHead>, usize),
    /// Malformed, or of a kind that would carry what nobody judges; the text says why. Final.
    Bad(&'static str),
}

/// Follows the frames of one connection's client, from its preface on. See [`Http2Step`] for the
/// caller's part.
///
/// ```
/// use egress_user::sniff::{Http2Step, Http2Stream, http2::PREFACE};
///
/// let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// // HEADERS that end the request: GET, http, /, and `a.test` as a literal.
/// let request = b"\x00\x00\x0b\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\x06a.test";
/// let mut held = [PREFACE, &settings, request].concat();
/// let mut frames = Http2Stream::new();
/// let host = loop {
///     match frames.step(&held) {
///         Http2Step::Pass(len) => drop(held.drain(..len)),
///         Http2Step::Request(head, _) => break head.host, // judge it
///         other => panic!("{other:?}"),
///     }
/// };
/// assert_eq!(host.as_deref(), Some("a.test"));
/// ```
pub struct Http2Stream {
    state: State,
    fields: Fields,
    /// The highest stream that the client has opened; 0 before its first request.
    last_stream: u32,
}

enum State {
    Preface,
    /// Only SETTINGS may come first.
    First,
    Frame,
    /// Inside of a frame whose head was passed.
    Payload {
        left: usize,
    },
    Section(Section),
    Final(&'static str),
}

/// A field section whose frames are held.
struct Section {
    stream: u32,
    ends_stream: bool,
    block: Vec<u8>,
    /// Bytes of whole frames that were looked at.
    taken: usize,
}

impl std::fmt::Debug for Http2Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http2Stream")
            .field("last_stream", &self.last_stream)
            .finish_non_exhaustive()
    }
}

impl Default for Http2Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Http2Stream {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self { state: State::Preface, fields: Fields::new(), last_stream: 0 }
    }

    /// Looks at the client's bytes that were not forwarded yet. Empty input is allowed.
    pub fn step(&mut self, input: &[u8]) -> Http2Step {
        let step = match &mut self.state {
            State::Preface => self.preface(input),
            State::First | State::Frame => self.frame(input),
            State::Payload { left } => {
                let passed = (*left).min(input.len());
                *left -= passed;
                if *left == 0 {
                    self.state = State::Frame;
                }
                if passed == 0 { Http2Step::Need } else { Http2Step::Pass(passed) }
            }
            State::Section(_) => self.section(input),
            State::Final(why) => Http2Step::Bad(why),
        };
        if let Http2Step::Bad(why) = step {
            self.state = State::Final(why);
        }
        step
    }

    fn preface(&mut self, input: &[u8]) -> Http2Step {
        if input.starts_with(PREFACE) {
            self.state = State::First;
            return Http2Step::Pass(PREFACE.len());
        }
        if PREFACE.starts_with(input) { Http2Step::Need } else { Http2Step::Bad("bad preface") }
    }

    fn frame(&mut self, input: &[u8]) -> Http2Step {
        let Some(frame) = Frame::read(input) else { return Http2Step::Need };
        if matches!(self.state, State::First) && (frame.kind != kind::SETTINGS || frame.is_ack()) {
            return Http2Step::Bad("no SETTINGS behind the preface");
        }
        if frame.kind == kind::HEADERS {
            if frame.stream.is_multiple_of(2) {
                return Http2Step::Bad("a request on a stream of the server's");
            }
            self.state = State::Section(Section {
                stream: frame.stream,
                ends_stream: frame.ends_stream(),
                block: Vec::new(),
                taken: 0,
            });
            return self.section(input);
        }
        if let Err(why) = frame.check(self.last_stream) {
            return Http2Step::Bad(why);
        }
        self.state =
            if frame.length == 0 { State::Frame } else { State::Payload { left: frame.length } };
        Http2Step::Pass(HEAD_BYTES)
    }

    /// Takes the whole frames of a section; judges it at its end.
    fn section(&mut self, input: &[u8]) -> Http2Step {
        let State::Section(section) = &mut self.state else { return Http2Step::Need };
        loop {
            let rest = input.get(section.taken..).unwrap_or_default();
            let Some(frame) = Frame::read(rest) else { return Http2Step::Need };
            if section.taken > 0
                && (frame.kind != kind::CONTINUATION || frame.stream != section.stream)
            {
                return Http2Step::Bad("a field section that breaks off");
            }
            let end = HEAD_BYTES + frame.length;
            if section.taken + end > SECTION_LIMIT_BYTES {
                return Http2Step::Bad("field section is too long");
            }
            let Some(payload) = rest.get(HEAD_BYTES..end) else { return Http2Step::Need };
            let Some(fragment) = frame.fragment(payload) else {
                return Http2Step::Bad("padding is longer than its frame");
            };
            section.block.extend_from_slice(fragment);
            if section.block.len() > HEAD_LIMIT_BYTES {
                return Http2Step::Bad("field section is too long");
            }
            section.taken += end;
            if frame.ends_headers() {
                break;
            }
        }
        let State::Section(section) = std::mem::replace(&mut self.state, State::Frame) else {
            return Http2Step::Need;
        };
        if section.stream <= self.last_stream {
            // Of a request that came before, or of none: there a server must not find another.
            return match self.fields.trailers(&section.block) {
                Err(why) => Http2Step::Bad(why),
                Ok(()) if !section.ends_stream => Http2Step::Bad("trailers that end nothing"),
                Ok(()) => Http2Step::Pass(section.taken),
            };
        }
        self.last_stream = section.stream;
        match self.fields.request(&section.block) {
            Ok(head) => Http2Step::Request(Box::new(head), section.taken),
            Err(why) => Http2Step::Bad(why),
        }
    }
}
