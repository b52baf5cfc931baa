//! Where a head ends, and the bytes that may not be in it: what parsers are lenient about.
use super::{HEAD_LIMIT_BYTES, is_token_byte};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    Need,
    /// The head is so many bytes long.
    End(usize),
    Bad(&'static str),
}

/// Takes each byte of a head once, so that a head that comes in bits costs no more than a whole.
#[derive(Debug, Default)]
pub(super) struct Scan {
    seen: usize,
    lines: usize,
    line_len: usize,
    after_cr: bool,
}

impl Scan {
    pub(super) fn advance(&mut self, input: &[u8]) -> Scanned {
        for &byte in input.get(self.seen..).unwrap_or_default() {
            if self.seen >= HEAD_LIMIT_BYTES {
                return Scanned::Bad("head is too long");
            }
            self.seen += 1;
            let scanned = self.take(byte);
            if scanned != Scanned::Need {
                return scanned;
            }
            // At once, not at the head's end: HTTP/0.9 has none, and its client waits.
            let line = input.get(..self.seen).unwrap_or(input);
            if byte == b'\n'
                && self.lines == 1
                && !line.ends_with(b" HTTP/1.1\r\n")
                && !line.ends_with(b" HTTP/1.0\r\n")
            {
                return Scanned::Bad("not HTTP/1.0 or HTTP/1.1");
            }
        }
        Scanned::Need
    }

    fn take(&mut self, byte: u8) -> Scanned {
        let request_line = self.lines == 0;
        let line_start = self.line_len == 0;
        if self.after_cr {
            if byte != b'\n' {
                return Scanned::Bad("CR without LF in the head");
            }
            self.after_cr = false;
            self.lines += 1;
            self.line_len = 0;
            return if line_start { Scanned::End(self.seen) } else { Scanned::Need };
        }
        match byte {
            b'\r' if request_line && line_start => Scanned::Bad("empty line before the request"),
            b'\r' => {
                self.after_cr = true;
                Scanned::Need
            }
            b'\n' => Scanned::Bad("LF without CR in the head"),
            b' ' | b'\t' if !request_line && line_start => {
                Scanned::Bad("folded header line (RFC 9112 section 5.2)")
            }
            b'\t' if !request_line => self.grow(),
            0..=0x1f | 0x7f => Scanned::Bad("control character in the head"),
            _ if line_start && !is_token_byte(byte) => {
                Scanned::Bad("line of the head does not begin with a token")
            }
            _ => self.grow(),
        }
    }

    fn grow(&mut self) -> Scanned {
        self.line_len += 1;
        Scanned::Need
    }
}
