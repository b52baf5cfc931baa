//! The kernel side's reading of a connection's first line, where payload that is not TLS may pass.
//!
//! It is followed byte by byte, over as many segments as it has, exactly as the proxy follows it
//! (`Beginning` of egress-user has the whole of why; a test holds the two against each other): bytes
//! leave until they would make a request. In one thing it is stricter: of what could be an ordinary
//! request from its first byte on, not even a part leaves before the line tells that it is none.

mod words;

use words::{has_mark, is_blank, is_token, kind_of, method, text, up_to_four};

use crate::hello::Bytes;

/// Ports of Redis, its Sentinel, and memcached: lines like `get KEY` are commands there, and no requests
/// without a version.
pub const COMMAND_PORTS: [u16; 3] = [6379, 26379, 11211];

/// Most bytes of the first line, blanks before it apart: no server reads a longer one as a request's.
pub const LINE_LIMIT_BYTES: u32 = 2 << 20;

/// From so many bytes on, what has control characters in it is some binary protocol's message: each begins
/// with a header of this size or more.
const BINARY_BYTES: u32 = 8;
/// The same behind white space: then it can no more be the signature below.
const BINARY_BYTES_BEHIND_SPACE: u32 = SIGNATURE_BYTES + 1;

/// Bytes before the last one of the signature that begins the second version of the PROXY protocol.
const SIGNATURE_BYTES: u32 = 11;

// Bits of `FirstLine::bits`.
const IN_WORD: u32 = 1;
/// In a word of a server to which only blanks and tabs end one.
const IN_SPACED: u32 = 2;
/// The first word has another byte than capitals.
const NO_CAPITALS: u32 = 4;
/// The first word has a byte that no method of RFC 9110 has.
const NO_TOKEN: u32 = 8;
/// Control characters that are no white space.
const BINARY: u32 = 16;
/// The last word ends in `HTTP/` and what may be a version.
const VERSION: u32 = 32;
/// A known method and the beginning of a target, or an address of HTTP as a target.
const TARGET: u32 = 64;
/// The target begins as an `http:` or `https:` address.
const HTTP_ADDRESS: u32 = 128;
/// The target is another text than the beginning of `https`.
const NO_SCHEME: u32 = 256;
/// The target has a `://`.
const HAS_SCHEME: u32 = 512;
/// Lines without a version are commands.
const COMMANDS: u32 = 1024;
/// The connection begins with white space.
const SPACE_FIRST: u32 = 2048;

/// What is to become of the bytes so far.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Perhaps a request: they wait for more.
    Held = 0,
    /// They may pass; what follows is looked at.
    Passes = 1,
    /// Some server may read a request in them.
    Request = 2,
    /// No request: all may pass.
    Opaque = 3,
}

/// How far a first line has been followed. All zero is the beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstLine {
    /// The last eight bytes of the first word, in upper case.
    method: u64,
    /// Bytes from the connection's first on.
    seen: u32,
    /// Bytes from the first that is not white space of C.
    line: u32,
    bits: u32,
    /// Bytes of the first word, at most [`u8::MAX`].
    method_length: u8,
    /// Words so far, at most four.
    words: u8,
    /// The same for servers to which only blanks and tabs end a word.
    spaced: u8,
    /// How much of `HTTP/` the last bytes are.
    matched: u8,
    /// Bytes of the second word, at most [`u8::MAX`].
    target_length: u8,
    /// Its first.
    target_first: u8,
    /// How much of `://` its last bytes are.
    scheme: u8,
    /// [`method`], once the second word has begun.
    method_kind: u8,
    /// [`Begun::Request`] or [`Begun::Opaque`], once it is certain.
    certain: u8,
    /// Zero.
    reserved: [u8; 3],
}

impl FirstLine {
    /// At the start of a connection to this port.
    #[inline(always)]
    pub fn new(port: u16) -> Self {
        let mut line = Self::default();
        if COMMAND_PORTS[0] == port || COMMAND_PORTS[1] == port || COMMAND_PORTS[2] == port {
            line.bits = COMMANDS;
        }
        line
    }

    /// The first bytes of a connection to this port, for user space.
    pub fn of(port: u16, bytes: &[u8]) -> Self {
        let (mut line, mut at) = (Self::new(port), 0);
        let end = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        loop {
            match if at < end { line.step(&bytes, at, end) } else { 0 } {
                0 => return line,
                looked => at += looked,
            }
        }
    }

    /// What is to become of the bytes so far. `is_first`: nothing has left yet.
    #[inline(always)]
    pub fn begun(&self, is_first: bool) -> Begun {
        if self.certain == Begun::Request as u8 {
            Begun::Request
        } else if self.certain != 0 {
            Begun::Opaque
        } else if self.bits & (VERSION | TARGET) != 0 || is_first && !self.is_of_no_client() {
            Begun::Held
        } else {
            Begun::Passes
        }
    }

    /// The client will send no more, which some servers take for the end of a line.
    #[inline(always)]
    pub fn end(&mut self) {
        if self.certain == 0 {
            self.certain = self.line_end() as u8;
        }
    }

    /// Looks at some of the `end - at` bytes from `at` on: gives how many, 0 when it is certain.
    #[inline(always)]
    pub fn step(&mut self, bytes: &impl Bytes, at: u32, end: u32) -> u32 {
        if self.certain != 0 {
            return 0;
        }
        if at + 8 <= end
            && self.may_skip()
            && let Some(eight) = bytes.load::<8>(at)
            && !has_mark(u64::from_ne_bytes(eight))
        {
            self.seen += 8;
            self.line += 8;
            return 8;
        }
        let Some([byte]) = bytes.load::<1>(at) else { return 0 };
        self.take(byte);
        1
    }

    /// Looks at the next byte.
    #[inline(always)]
    pub fn take(&mut self, byte: u8) {
        let is_space = matches!(byte, b'\t'..=b'\r' | b' ');
        if self.line > 0 || !is_space {
            self.line += 1;
        }
        if is_space && self.seen == 0 {
            self.bits |= SPACE_FIRST;
        }
        if !is_space && (byte < b' ' || byte == 0x7f) {
            self.bits |= BINARY;
        }
        self.certain =
            if self.line > LINE_LIMIT_BYTES { Begun::Opaque as u8 } else { self.judge(byte) };
        self.seen += 1;
    }

    /// Not the beginning of what an HTTP client sends: what no server of ordinary requests takes for one's
    /// beginning, whatever follows.
    #[inline(always)]
    fn is_of_no_client(&self) -> bool {
        let is_space_first = self.bits & SPACE_FIRST != 0;
        let binary = if is_space_first { BINARY_BYTES_BEHIND_SPACE } else { BINARY_BYTES };
        self.bits & NO_TOKEN != 0
            || self.fewest_words() > 3
            || self.bits & BINARY != 0 && self.seen >= binary
    }

    /// Whether what only makes a word longer changes nothing here.
    #[inline(always)]
    fn may_skip(&self) -> bool {
        let is_start_kept = match self.words {
            1 => {
                self.bits & (NO_CAPITALS | NO_TOKEN) == NO_CAPITALS | NO_TOKEN
                    && self.method_length > 16
            }
            2 => self.target_length > 16 && self.bits & TARGET == 0,
            _ => true,
        };
        self.bits & IN_WORD != 0
            && is_start_kept
            && self.matched == 0
            && self.bits & VERSION == 0
            && self.line + 8 < LINE_LIMIT_BYTES
    }

    #[inline(always)]
    fn judge(&mut self, byte: u8) -> u8 {
        if matches!(byte, b' ' | b'\t' | b'\n') {
            self.bits &= !IN_SPACED;
        } else if self.bits & IN_SPACED == 0 {
            self.bits |= IN_SPACED;
            self.spaced = up_to_four(self.spaced);
        }
        if byte == b'\n' && self.words == 0 {
            self.spaced = 0;
            return 0;
        }
        if byte == b'\n' {
            return self.line_end() as u8;
        }
        // To some servers the end of a line.
        if byte == b'\r' && self.is_request_line() {
            return Begun::Request as u8;
        }
        if is_blank(byte) {
            self.bits &= !IN_WORD;
            self.matched = 0;
            return 0;
        }
        self.letter(byte)
    }

    #[inline(always)]
    fn letter(&mut self, byte: u8) -> u8 {
        let is_inside = self.bits & IN_WORD != 0;
        if !(is_inside && matches!(byte, b'0'..=b'9' | b'.')) {
            self.bits &= !VERSION;
        }
        if !is_inside {
            self.bits |= IN_WORD;
            self.words = up_to_four(self.words);
            if self.words == 2 {
                self.method_kind = kind_of(self.method, self.method_length);
                if self.method_kind == method::PROXY {
                    return Begun::Request as u8;
                }
                if self.method_kind != 0 && self.bits & COMMANDS == 0 {
                    self.bits |= TARGET;
                }
            }
        }
        if self.words == 1 {
            self.push_method(byte);
        } else if self.words == 2 {
            self.push_target(byte);
        }
        let upper = byte.to_ascii_uppercase();
        let expected = match self.matched {
            0 => b'H',
            1 | 2 => b'T',
            3 => b'P',
            _ => b'/',
        };
        if upper == expected {
            self.matched += 1;
        } else {
            self.matched = (upper == b'H') as u8;
        }
        if self.matched > 4 {
            self.matched = 0;
            if self.fewest_words() <= 3 {
                return Begun::Request as u8;
            }
            self.bits |= VERSION;
        }
        0
    }

    #[inline(always)]
    fn push_method(&mut self, byte: u8) {
        self.method = self.method << 8 | byte.to_ascii_uppercase() as u64;
        self.method_length = self.method_length.saturating_add(1);
        if !(byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_')) {
            self.bits |= NO_CAPITALS;
        }
        if !is_token(byte) {
            self.bits |= NO_TOKEN;
        }
    }

    #[inline(always)]
    fn push_target(&mut self, byte: u8) {
        let at = self.target_length;
        if at == 0 {
            self.target_first = byte;
        }
        self.target_length = at.saturating_add(1);
        let upper = byte.to_ascii_uppercase();
        let expected = match at {
            0 => b'H',
            1 | 2 => b'T',
            3 => b'P',
            4 => b'S',
            // Nothing that is looked for is longer.
            _ => b':',
        };
        if self.bits & NO_SCHEME == 0 && at <= 5 {
            if (at == 4 || at == 5) && byte == b':' {
                self.bits |= HTTP_ADDRESS | NO_SCHEME;
                if at == 4 {
                    self.bits |= TARGET;
                }
            } else if upper != expected {
                self.bits |= NO_SCHEME;
            }
        }
        if self.bits & HAS_SCHEME == 0 {
            let expected = if self.scheme == 0 { b':' } else { b'/' };
            self.scheme = if byte == expected { self.scheme + 1 } else { (byte == b':') as u8 };
            if self.scheme > 2 {
                self.bits |= HAS_SCHEME;
            }
        }
    }

    /// Words of the line so far to the server that finds the fewest.
    #[inline(always)]
    fn fewest_words(&self) -> u8 {
        if self.words < self.spaced { self.words } else { self.spaced }
    }

    #[inline(always)]
    fn line_end(&self) -> Begun {
        // Without its blanks all that is left of the second version's signature of the PROXY protocol.
        let is_signature =
            self.seen == SIGNATURE_BYTES && self.method_length == 4 && self.method == text(b"QUIT");
        if is_signature || self.is_request_line() { Begun::Request } else { Begun::Opaque }
    }

    /// Whether the line is a request's if it ends here.
    #[inline(always)]
    fn is_request_line(&self) -> bool {
        self.bits & VERSION != 0 || self.bits & COMMANDS == 0 && self.is_without_version()
    }

    /// A request line of HTTP/0.9, or one whose version is no version.
    #[inline(always)]
    fn is_without_version(&self) -> bool {
        if self.words < 2 {
            return false;
        }
        let is_known = matches!(self.method_kind, method::GET | method::CONNECT | method::OTHER);
        let is_capitals = self.bits & NO_CAPITALS == 0;
        if self.method_kind == method::GET
            && (self.fewest_words() == 2 || self.bits & HAS_SCHEME != 0)
        {
            return true;
        }
        if self.method_kind == method::CONNECT {
            return self.target_first == b'[' || self.target_first.is_ascii_alphanumeric();
        }
        match self.target_first {
            b'/' => is_known || is_capitals,
            b'*' => is_known && self.fewest_words() == 2,
            _ => (is_known || is_capitals) && self.bits & HTTP_ADDRESS != 0,
        }
    }
}

/// Socket storage of a direct connection whose first payload is not TLS.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowedLine {
    /// By the bytes that have left.
    pub left: FirstLine,
    /// By those and the ones that are judged.
    pub after: FirstLine,
}
