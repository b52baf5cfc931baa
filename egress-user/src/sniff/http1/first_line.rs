//! Is it HTTP at all? Judged on the first line, as early as certain.
use super::{HEAD_LIMIT_BYTES, is_token_byte};

const HTTP2_PREFACE_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// The longest method that counts as one; IANA's longest registered is 17 (`UPDATEREDIRECTREF`).
const METHOD_LIMIT_BYTES: usize = 32;

const KNOWN_METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sniff) enum Line {
    Need,
    /// A lenient server could take it for HTTP/1.
    Http,
    Http2,
    NotHttp,
}

/// Takes each byte of the first line once.
#[derive(Debug)]
pub(in crate::sniff) struct FirstLine {
    seen: usize,
    /// Length of the method, once a blank ended it.
    method_len: Option<usize>,
    verdict: Line,
}

impl Default for FirstLine {
    fn default() -> Self {
        Self { seen: 0, method_len: None, verdict: Line::Need }
    }
}

impl FirstLine {
    /// Looks at all bytes so far; an answer other than `Need` is final.
    pub(in crate::sniff) fn feed(&mut self, held: &[u8]) -> Line {
        while self.verdict == Line::Need
            && let Some(&byte) = held.get(self.seen)
        {
            self.seen += 1;
            let line = held.get(..self.seen).unwrap_or(held);
            self.verdict = match self.method_len {
                None => self.method(byte),
                Some(method_len) => rest(byte, line, method_len),
            };
        }
        self.verdict
    }

    fn method(&mut self, byte: u8) -> Line {
        match byte {
            // A tab is no delimiter, but some servers take it for one.
            b' ' | b'\t' if self.seen > 1 => {
                self.method_len = Some(self.seen - 1);
                Line::Need
            }
            _ if !is_token_byte(byte) || self.seen > METHOD_LIMIT_BYTES => Line::NotHttp,
            _ => Line::Need,
        }
    }
}

/// Judges `line`, which ends with `byte`, behind its method.
fn rest(byte: u8, line: &[u8], method_len: usize) -> Line {
    if line == HTTP2_PREFACE_LINE {
        return Line::Http2;
    }
    if HTTP2_PREFACE_LINE.starts_with(line) {
        return Line::Need;
    }
    let names_http =
        |at: usize| line.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(b"HTTP/"));
    // The second case is a byte that broke off the preface behind its `HTTP/`.
    if line.len().checked_sub(5).is_some_and(names_http)
        || (HTTP2_PREFACE_LINE.starts_with(line.get(..line.len() - 1).unwrap_or_default())
            && line.len() > 11)
    {
        return Line::Http;
    }
    match byte {
        // Blanks to some servers, so the version may still come.
        b'\t' | b'\r' => Line::Need,
        0..=0x1f | 0x7f if is_http_0_9(line, method_len) => Line::Http,
        0..=0x1f | 0x7f => Line::NotHttp,
        _ if line.len() >= HEAD_LIMIT_BYTES => Line::Http,
        _ => Line::Need,
    }
}

/// Whether a well-known method begins with these bytes, or they with it and a blank.
pub(in crate::sniff) fn may_begin_request(held: &[u8]) -> bool {
    KNOWN_METHODS.iter().any(|method| match held.split_at_checked(method.len()) {
        Some((begun, rest)) => {
            begun.eq_ignore_ascii_case(method) && matches!(rest, [] | [b' ' | b'\t', ..])
        }
        None => method.get(..held.len()).is_some_and(|part| part.eq_ignore_ascii_case(held)),
    })
}

/// `GET /path` without a version: HTTP/0.9, which some servers still answer.
fn is_http_0_9(line: &[u8], method_len: usize) -> bool {
    let (method, target) = line.split_at_checked(method_len).unwrap_or((line, &[]));
    let target = target.trim_ascii_start();
    KNOWN_METHODS.iter().any(|known| known.eq_ignore_ascii_case(method))
        && (target.starts_with(b"/")
            || target.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http:")))
}
