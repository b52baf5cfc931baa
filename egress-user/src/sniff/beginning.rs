//! Could a connection's first bytes be the beginning of an HTTP request, for any server?
//!
//! Where other protocols may pass, bytes go on while this is open, so that no client waits for a
//! verdict: all but what would make a request of them. What a server might read as one is wider
//! than RFC 9112: blank lines and blanks before it, any method, other white space, a version behind
//! a target with blanks in it, none at all (HTTP/0.9). So the *first line that is not blank* counts,
//! and it is a request's where
//! - `HTTP/` stands, in any case, in one of its first three words, whatever stands around it;
//! - its last word ends in `HTTP/` and a version: some servers take blanks for a part of the target;
//! - it has no version, but a method and a path or an address, or is `GET` and one word.
//!
//! So does a header of the PROXY protocol: a server that takes one reads a request (or a TLS hello)
//! behind it as if the connection began there.
//!
//! Behind any other first line nothing is looked for: an HTTP server has refused it by then, and
//! what mail or a database carries is its own.

use super::http1::HEAD_LIMIT_BYTES;

/// Most bytes of the first line, blanks before it apart. A longer one is no request line: the
/// most generous default of a server is 1 MiB.
pub const LINE_LIMIT_BYTES: usize = 2 << 20;

/// How a header of the PROXY protocol's first version begins (HAProxy's proxy-protocol.txt,
/// section 2.1).
const PROXY_HEADER: &[u8] = b"PROXY";

/// Bytes of the signature that the second version begins with: blank lines, NUL, `QUIT` (section
/// 2.2).
const PROXY_SIGNATURE_BYTES: usize = 12;

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Perhaps a request's beginning: [`Beginning::passable`] bytes may be forwarded.
    Maybe,
    /// A request to some server: [`super::RequestStream`] judges it, and refuses what it cannot
    /// read. Nothing more may be forwarded before.
    Request,
    /// No request.
    Opaque,
}

/// Follows the first bytes of a connection (as chunks: each byte once, in order), in constant
/// memory.
#[derive(Clone, Debug)]
pub struct Beginning {
    verdict: Begun,
    seen: usize,
    /// Bytes since the first that is not white space of C.
    line: usize,
    /// Words so far, the present one counted; more than three are alike.
    words: u8,
    in_word: bool,
    /// The same for servers to which only blanks and tabs end a word: never more.
    spaced: u8,
    in_spaced: bool,
    /// How much of `HTTP/` the last bytes are.
    matched: usize,
    /// Where `HTTP/` begins of which only the line's end says whether it is a version.
    version_at: Option<usize>,
    /// Where the target of a known method begins, or behind the scheme of an `http` address: no
    /// client waits for an answer to half of such a line.
    target_at: Option<usize>,
    method: Start<32>,
    target: Start<6>,
    scheme_end: SchemeEnd,
    reads_commands: bool,
}

impl Beginning {
    /// At the start of a connection. `reads_commands`: `get KEY` without a version is a command, as
    /// to memcached and Redis.
    pub fn new(reads_commands: bool) -> Self {
        Self {
            verdict: Begun::Maybe,
            seen: 0,
            line: 0,
            words: 0,
            in_word: false,
            spaced: 0,
            in_spaced: false,
            matched: 0,
            version_at: None,
            target_at: None,
            method: Start::EMPTY,
            target: Start::EMPTY,
            scheme_end: SchemeEnd::default(),
            reads_commands,
        }
    }

    /// Looks at the next bytes. Final unless [`Begun::Maybe`].
    pub fn feed(&mut self, chunk: &[u8]) -> Begun {
        let mut rest = chunk;
        while self.verdict == Begun::Maybe {
            rest = self.skip(rest);
            let Some((&byte, behind)) = rest.split_first() else { break };
            self.verdict = self.take(byte);
            self.seen += 1;
            rest = behind;
        }
        self.verdict
    }

    /// The client will send no more, which some servers take for the end of a line.
    pub fn end(&mut self) -> Begun {
        if self.verdict == Begun::Maybe {
            self.verdict = self.line_end();
        }
        self.verdict
    }

    /// While it is [`Begun::Maybe`]: how many bytes from the connection's start may be forwarded.
    pub fn passable(&self) -> usize {
        self.held_from().unwrap_or(self.seen)
    }

    /// From where on a request's line would be whole: bounded, so that a connection holds no more.
    fn held_from(&self) -> Option<usize> {
        self.target_at.or(self.version_at)
    }

    /// Passes over what only makes a word longer: an upload may have no lines.
    fn skip<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let is_start_kept = match self.words {
            1 => self.method.is_full(),
            // Behind a known method the end of a scheme counts, however long it is.
            2 => self.target.is_full() && self.target_at.is_none(),
            _ => true,
        };
        if !self.in_word || !is_start_kept || self.matched > 0 || self.version_at.is_some() {
            return chunk;
        }
        let matters = |&byte: &u8| is_blank(byte) || byte | 0x20 == b'h';
        let skipped = chunk.iter().position(matters).unwrap_or(chunk.len());
        // Not past a limit, where a verdict is due.
        let skipped = skipped.min(LINE_LIMIT_BYTES - self.line);
        let skipped = match self.target_at {
            Some(at) => skipped.min((HEAD_LIMIT_BYTES + at).saturating_sub(self.seen)),
            None => skipped,
        };
        self.seen += skipped;
        self.line += skipped;
        chunk.get(skipped..).unwrap_or_default()
    }

    fn take(&mut self, byte: u8) -> Begun {
        if self.line > 0 || !matches!(byte, b'\t'..=b'\r' | b' ') {
            self.line += 1;
        }
        if self.line > LINE_LIMIT_BYTES {
            return Begun::Opaque;
        }
        if self.held_from().is_some_and(|at| self.seen - at > HEAD_LIMIT_BYTES) {
            return Begun::Request;
        }
        if matches!(byte, b' ' | b'\t' | b'\n') {
            self.in_spaced = false;
        } else if !self.in_spaced {
            self.in_spaced = true;
            self.spaced = self.spaced.saturating_add(1);
        }
        match byte {
            b'\n' if self.words == 0 => {
                self.spaced = 0;
                Begun::Maybe
            }
            b'\n' => self.line_end(),
            // To some servers the end of a line.
            b'\r' if self.is_request_line() => Begun::Request,
            _ if is_blank(byte) => {
                self.in_word = false;
                self.matched = 0;
                Begun::Maybe
            }
            _ => self.letter(byte),
        }
    }

    fn letter(&mut self, byte: u8) -> Begun {
        let is_version = self.in_word && matches!(byte, b'0'..=b'9' | b'.');
        if !is_version {
            self.version_at = None;
        }
        if !self.in_word {
            self.in_word = true;
            self.words = self.words.saturating_add(1);
            if self.words == 2 && self.method.upper() == PROXY_HEADER {
                return Begun::Request;
            }
            if self.words == 2 && !self.reads_commands && self.is_known() {
                self.target_at = Some(self.seen);
            }
        }
        match self.words {
            1 => self.method.push(byte),
            2 => {
                self.target.push(byte);
                self.scheme_end.push(byte);
                if matches!(self.target.upper(), b"HTTP:") {
                    self.target_at.get_or_insert(self.seen);
                }
            }
            _ => {}
        }
        let next = b"HTTP/".get(self.matched).copied();
        self.matched = if next == Some(byte.to_ascii_uppercase()) {
            self.matched + 1
        } else {
            usize::from(byte.eq_ignore_ascii_case(&b'H'))
        };
        if self.matched == b"HTTP/".len() {
            self.matched = 0;
            if self.fewest_words() <= 3 {
                return Begun::Request;
            }
            self.version_at = Some(self.seen + 1 - b"HTTP/".len());
        }
        Begun::Maybe
    }

    /// Words of the line so far to the server that finds the fewest.
    fn fewest_words(&self) -> u8 {
        self.words.min(self.spaced)
    }

    fn line_end(&self) -> Begun {
        // Without its blanks all that is left of the second version's signature.
        let is_signature = self.seen == PROXY_SIGNATURE_BYTES - 1 && self.method.upper() == b"QUIT";
        if is_signature || self.is_request_line() { Begun::Request } else { Begun::Opaque }
    }

    /// Whether the line is a request's if it ends here.
    fn is_request_line(&self) -> bool {
        self.version_at.is_some() || !self.reads_commands && self.is_without_version()
    }

    fn is_known(&self) -> bool {
        KNOWN_METHODS.iter().any(|known| known.as_bytes() == self.method.upper())
    }

    /// A request line of HTTP/0.9, or one whose version is no version.
    fn is_without_version(&self) -> bool {
        let (method, target) = (self.method.upper(), self.target.upper());
        if self.words < 2 {
            return false;
        }
        let is_known = self.is_known();
        match method {
            // `GET VAR ups` is a command of another protocol.
            // Some servers take any scheme; RTSP and ICAP have these of their own, but no GET.
            b"GET" if self.fewest_words() == 2 || self.scheme_end.is_seen() => return true,
            b"CONNECT" => {
                return target.first().is_some_and(|&o| o == b'[' || o.is_ascii_alphanumeric());
            }
            _ => {}
        }
        match target.first() {
            Some(b'/') => is_known || self.method.is_capitals(),
            Some(b'*') => is_known && self.fewest_words() == 2,
            _ => {
                (is_known || self.method.is_capitals())
                    && (target.starts_with(b"HTTP:") || target.starts_with(b"HTTPS:"))
            }
        }
    }
}

/// Methods that servers know (RFC 9110, 5789, 4918 and others of IANA's registry).
const KNOWN_METHODS: [&str; 24] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "SEARCH",
    "REPORT",
    "MERGE",
    "LINK",
    "UNLINK",
    "QUERY",
    "PURGE",
    "ACL",
];

/// What ends a word, for some server: controls, the blank, and what Unicode counts as white space
/// of one byte in Latin-1.
fn is_blank(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | 0x7f | 0x85 | 0xa0)
}

/// Looks for `://` in a word.
#[derive(Clone, Debug, Default)]
struct SchemeEnd {
    matched: usize,
}

impl SchemeEnd {
    const TEXT: &[u8] = b"://";

    fn push(&mut self, byte: u8) {
        if self.is_seen() {
            return;
        }
        self.matched = if Self::TEXT.get(self.matched) == Some(&byte) {
            self.matched + 1
        } else {
            usize::from(byte == b':')
        };
    }

    fn is_seen(&self) -> bool {
        self.matched == Self::TEXT.len()
    }
}

/// The first bytes of a word, in upper case.
#[derive(Clone, Debug)]
struct Start<const N: usize> {
    bytes: [u8; N],
    length: usize,
    is_capitals: bool,
}

impl<const N: usize> Start<N> {
    const EMPTY: Self = Self { bytes: [0; N], length: 0, is_capitals: true };

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte.to_ascii_uppercase();
        }
        self.length = self.length.saturating_add(1);
        self.is_capitals &= byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    }

    fn upper(&self) -> &[u8] {
        self.bytes.get(..self.length.min(N)).unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.length >= N
    }

    fn is_capitals(&self) -> bool {
        self.length > 0 && self.is_capitals
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
