//! The server's side of an HTTP/1 connection: whether every request has been answered to the last byte,
//! and whether the server switches protocols.
//!
//! An answer to an offer to upgrade is known as such only where no other answer is outstanding. So all of
//! them are followed, by the lengths that they say themselves. An answer that two readers could frame
//! differently, and one that only the connection's end ends, loses count: from there on nothing is followed.
use super::{HEAD_LIMIT_BYTES, body::Body, head::decimal};

/// `HTTP/1.1 200` and the byte behind it.
const STATUS_LEN: usize = 13;

/// What is kept of a line: enough for the fields that say a length.
const LINE_LIMIT_BYTES: usize = 64;

/// Requests without an answer that are counted; with more of them the count is lost.
const OUTSTANDING_LIMIT: u32 = u64::BITS;

/// What a request asks for, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// HEAD: the answer has no body (RFC 9112 section 6.3).
    Head,
    /// An answer with a body, or without.
    Answer,
    /// The same, or 101 (RFC 9110 section 7.8). Only where [`ResponseStream::is_idle`].
    Upgrade,
}

/// What became of an offer to upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The connection is a tunnel from here on; client bytes are no HTTP any more.
    Switched,
    /// The connection stays HTTP/1: [`super::RequestStream::resume`].
    NotSwitched,
    /// Not an HTTP/1 response: close the connection.
    Bad,
}

/// Follows the server's bytes from the start of the connection, while they are forwarded.
///
/// ```
/// use egress_user::sniff::http1::{Asked, ResponseStream, Switch};
///
/// let mut responses = ResponseStream::new();
/// responses.expect(Asked::Answer);
/// responses.feed(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n");
/// assert!(!responses.is_idle(), "its body is to come");
/// responses.feed(b"no");
/// assert!(responses.is_idle());
/// responses.expect(Asked::Upgrade);
/// responses.feed(b"HTTP/1.1 101 Switching Protocols\r\n");
/// assert_eq!(responses.take_switch(), Some(Switch::Switched));
/// ```
#[derive(Debug)]
pub struct ResponseStream {
    at: At,
    /// The present line's first bytes, and how long it is.
    line: Vec<u8>,
    line_len: usize,
    after_cr: bool,
    /// Of the present answer's head, all interim ones before it included.
    head_len: usize,
    framing: Framing,
    /// Requests without a final answer, and which of them are HEAD: the oldest in the lowest bit.
    outstanding: u32,
    heads: u64,
    awaits_switch: bool,
    switch: Option<Switch>,
}

#[derive(Debug)]
enum At {
    Status,
    Fields,
    Body(Body),
    /// Nothing is known from here on.
    Lost,
    Tunnel,
}

/// What a head says of its body.
#[derive(Debug, Default)]
struct Framing {
    is_interim: bool,
    has_no_body: bool,
    is_minor_0: bool,
    length: Option<u64>,
    is_chunked: bool,
}

impl Default for ResponseStream {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseStream {
    /// Before the first byte of the server is looked at.
    pub fn new() -> Self {
        Self {
            at: At::Status,
            line: Vec::new(),
            line_len: 0,
            after_cr: false,
            head_len: 0,
            framing: Framing::default(),
            outstanding: 0,
            heads: 0,
            awaits_switch: false,
            switch: None,
        }
    }

    /// A request is about to be forwarded: to be told before its answer can come.
    pub fn expect(&mut self, asked: Asked) {
        if self.outstanding >= OUTSTANDING_LIMIT {
            return self.lose();
        }
        self.awaits_switch = asked == Asked::Upgrade;
        self.heads |= u64::from(asked == Asked::Head) << self.outstanding;
        self.outstanding += 1;
    }

    /// Whether every request has been answered to the last byte, and nothing has come besides: the next
    /// answer is the next request's.
    pub fn is_idle(&self) -> bool {
        matches!(self.at, At::Status) && self.line_len == 0 && self.outstanding == 0
    }

    /// Whether nothing is known any more, nor will be.
    pub fn is_lost(&self) -> bool {
        matches!(self.at, At::Lost)
    }

    /// Looks at the server's next bytes; each byte is given once.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some((&byte, behind)) = rest.split_first() {
            match &mut self.at {
                At::Body(body) => match body.take(rest) {
                    Ok(taken) => {
                        rest = rest.get(taken..).unwrap_or_default();
                        self.end_body();
                    }
                    Err(_) => self.lose(),
                },
                At::Status | At::Fields => {
                    self.take(byte);
                    rest = behind;
                }
                At::Lost | At::Tunnel => return,
            }
        }
    }

    /// How many of the next bytes need not be shown to [`ResponseStream::feed`], only counted.
    pub fn uncounted(&self) -> u64 {
        match &self.at {
            At::Body(Body::Length { left }) => *left,
            At::Lost | At::Tunnel => u64::MAX,
            At::Status | At::Fields | At::Body(_) => 0,
        }
    }

    /// So many bytes have come unseen, at most [`ResponseStream::uncounted`].
    pub fn skip(&mut self, bytes: u64) {
        match &mut self.at {
            At::Body(Body::Length { left }) if *left >= bytes => *left -= bytes,
            At::Lost | At::Tunnel => return,
            _ => return self.lose(),
        }
        self.end_body();
    }

    /// What became of the offer, once it is known; given once.
    pub fn take_switch(&mut self) -> Option<Switch> {
        self.switch.take()
    }

    /// Whether [`ResponseStream::take_switch`] has something to give.
    pub fn has_switch(&self) -> bool {
        self.switch.is_some()
    }

    fn lose(&mut self) {
        self.at = At::Lost;
        self.tell(Switch::Bad);
    }

    fn tell(&mut self, switch: Switch) {
        if std::mem::take(&mut self.awaits_switch) {
            self.switch = Some(switch);
        }
    }

    /// One byte of a head.
    fn take(&mut self, byte: u8) {
        self.head_len += 1;
        // An answer that nobody has asked for.
        if self.outstanding == 0 || self.head_len > HEAD_LIMIT_BYTES {
            return self.lose();
        }
        match (self.after_cr, byte) {
            (true, b'\n') => {
                self.after_cr = false;
                self.line_end();
                self.line.clear();
                self.line_len = 0;
            }
            (true, _) | (false, b'\n') => self.lose(),
            (false, b'\r') => {
                self.after_cr = true;
                if matches!(self.at, At::Status) {
                    self.status(byte);
                }
            }
            (false, _) => {
                self.line_len += 1;
                if self.line.len() < LINE_LIMIT_BYTES {
                    self.line.push(byte);
                }
                if matches!(self.at, At::Status) {
                    self.status(byte);
                }
            }
        }
    }

    /// Judges the status as soon as it is there: whoever has offered to upgrade waits.
    fn status(&mut self, byte: u8) {
        if !b"HTTP/1.".iter().zip(&self.line).all(|(want, got)| want == got) {
            return self.lose();
        }
        // The byte behind the status is no part of the line where it is CR.
        let seen = self.line_len + usize::from(byte == b'\r');
        if seen != STATUS_LEN {
            if seen < STATUS_LEN && byte == b'\r' {
                self.lose();
            }
            return;
        }
        let Some(&[minor, b' ', hundreds, tens, units]) =
            self.line.get(7..12).and_then(<[u8]>::first_chunk)
        else {
            return self.lose();
        };
        let digits = [hundreds, tens, units];
        let is_good = matches!(minor, b'0' | b'1')
            && matches!(byte, b' ' | b'\r')
            && matches!(hundreds, b'1'..=b'9')
            && digits.iter().all(u8::is_ascii_digit);
        if !is_good {
            return self.lose();
        }
        self.framing = Framing {
            is_interim: hundreds == b'1',
            has_no_body: matches!(&digits, b"204" | b"304"),
            is_minor_0: minor == b'0',
            ..Framing::default()
        };
        match &digits {
            b"101" if self.awaits_switch => {
                self.tell(Switch::Switched);
                self.at = At::Tunnel;
            }
            b"101" => self.lose(),
            _ if hundreds == b'1' => {}
            _ => self.tell(Switch::NotSwitched),
        }
    }

    fn line_end(&mut self) {
        match self.at {
            At::Status => self.at = At::Fields,
            At::Fields if self.line_len == 0 => self.head_end(),
            At::Fields => {
                if self.field().is_none() {
                    self.lose();
                }
            }
            At::Body(_) | At::Lost | At::Tunnel => {}
        }
    }

    /// Reads a field of the head; none where it can be read in two ways.
    fn field(&mut self) -> Option<()> {
        // Folded lines could belong to the length above them.
        if matches!(self.line.first(), Some(b' ' | b'\t')) {
            return None;
        }
        let colon = self.line.iter().position(|&b| b == b':').unwrap_or(self.line.len());
        let (name, value) = self.line.split_at_checked(colon)?;
        let is = |wanted: &[u8]| name.trim_ascii().eq_ignore_ascii_case(wanted);
        let (is_length, is_coding) = (is(b"content-length"), is(b"transfer-encoding"));
        if !is_length && !is_coding {
            return Some(());
        }
        let is_whole = self.line_len == self.line.len() && name.trim_ascii().len() == name.len();
        let value = value.strip_prefix(b":").filter(|_| is_whole)?.trim_ascii();
        let framing = &mut self.framing;
        if framing.length.is_some() || framing.is_chunked {
            return None;
        }
        if is_coding {
            framing.is_chunked = value.eq_ignore_ascii_case(b"chunked") && !framing.is_minor_0;
            return framing.is_chunked.then_some(());
        }
        framing.length = Some(decimal(value).ok()?);
        Some(())
    }

    /// The answer's head is whole (RFC 9112 section 6.3, without the choices that it leaves).
    fn head_end(&mut self) {
        let Framing { is_interim, has_no_body, length, is_chunked, .. } = self.framing;
        if is_interim {
            self.at = At::Status;
            return;
        }
        self.head_len = 0;
        let is_head = self.heads & 1 == 1;
        self.heads >>= 1;
        self.outstanding -= 1;
        self.at = match (is_head || has_no_body, is_chunked, length) {
            (true, ..) => At::Body(Body::None),
            (false, true, _) => At::Body(Body::chunked()),
            (false, false, Some(length)) => At::Body(Body::length(length)),
            // Up to the connection's end.
            (false, false, None) => At::Lost,
        };
        self.end_body();
    }

    fn end_body(&mut self) {
        if matches!(&self.at, At::Body(body) if body.is_done()) {
            self.at = At::Status;
        }
    }
}
