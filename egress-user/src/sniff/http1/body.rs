//! A request's body: how many bytes of the input belong to it.
use super::is_token;

/// RFC 9112 section 7.1: most hexadecimal digits of a chunk size; 16 hold every `u64`.
const SIZE_LIMIT_DIGITS: u8 = 16;
/// Most bytes of one chunk's extensions. Nobody uses them.
const EXTENSION_LIMIT_BYTES: usize = 256;
/// Most bytes of a body's trailer section.
const TRAILER_LIMIT_BYTES: usize = 8 * 1024;

/// Fields that decide on framing, routing, or the connection: never in a trailer (RFC 9110
/// section 6.5.1), where a lenient server could merge them into the head.
const NEVER_IN_TRAILERS: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "expect"];

#[derive(Debug)]
pub(super) enum Body {
    None,
    Length { left: u64 },
    Chunked(Box<Chunked>),
}

impl Body {
    pub(super) fn length(left: u64) -> Self {
        Self::Length { left }
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked(Box::default())
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::None => true,
            Self::Length { left } => *left == 0,
            Self::Chunked(chunked) => chunked.at == At::End,
        }
    }

    /// How many bytes at the front of `input` belong to the body, at least one unless the input is
    /// empty. Bytes before a bad one are given first; the error comes with the next call, so that
    /// what is forwarded doesn't depend on the reads.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<usize, &'static str> {
        match self {
            Self::None => Ok(0),
            Self::Length { left } => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunked(chunked) => {
                let taken = chunked.take(input);
                if taken == 0 { chunked.failed.map_or(Ok(0), Err) } else { Ok(taken) }
            }
        }
    }
}

/// Follows chunks exactly: every byte is judged before it is forwarded.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
    digits: u8,
    /// The size of the chunk while its line is read, then its bytes still to come.
    left: u64,
    extension_len: usize,
    trailer: Vec<u8>,
    trailers_len: usize,
    failed: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
    End,
}

impl Chunked {
    fn take(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        while self.failed.is_none()
            && self.at != At::End
            && let Some(&byte) = input.get(taken)
        {
            if self.at == At::Data {
                let here = input.len() - taken;
                let bulk = usize::try_from(self.left).unwrap_or(usize::MAX).min(here);
                self.left -= bulk as u64;
                taken += bulk;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            match self.line_byte(byte) {
                Ok(at) => {
                    self.at = at;
                    taken += 1;
                }
                Err(why) => self.failed = Some(why),
            }
        }
        taken
    }

    /// One byte outside of chunk data.
    fn line_byte(&mut self, byte: u8) -> Result<At, &'static str> {
        match (self.at, byte) {
            (At::Size, b'\r' | b';') if self.digits == 0 => Err("chunk without a size"),
            (At::Size | At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Size, b';') => {
                self.extension_len = 0;
                Ok(At::Extension)
            }
            (At::Size, _) => self.size_digit(byte),
            (At::Extension, b'\t' | b' '..=b'~') => {
                self.extension_len += 1;
                if self.extension_len > EXTENSION_LIMIT_BYTES {
                    return Err("chunk extension is too long");
                }
                Ok(At::Extension)
            }
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                Ok(if self.left == 0 { At::Trailer } else { At::Data })
            }
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size),
            (At::Trailer, b'\r') => Ok(At::TrailerLf),
            (At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.trailers_len += 1;
                if self.trailers_len > TRAILER_LIMIT_BYTES {
                    return Err("trailers are too long");
                }
                self.trailer.push(byte);
                Ok(At::Trailer)
            }
            (At::TrailerLf, b'\n') => self.trailer_line(),
            (At::SizeLf | At::DataLf | At::TrailerLf, _) => Err("CR without LF in a chunked body"),
            (At::DataCr, _) => Err("chunk is longer than its size"),
            (_, b'\n') => Err("LF without CR in a chunked body"),
            _ => Err("control character in a chunked body"),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<At, &'static str> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\n' => return Err("LF without CR in a chunked body"),
            _ => return Err("chunk size is not hexadecimal"),
        };
        if self.digits == SIZE_LIMIT_DIGITS {
            return Err("chunk size has too many digits");
        }
        self.digits += 1;
        // 16 digits of 4 bits fit; `left` is 0 when a size begins.
        self.left = self.left << 4 | u64::from(digit);
        Ok(At::Size)
    }

    fn trailer_line(&mut self) -> Result<At, &'static str> {
        let line = std::mem::take(&mut self.trailer);
        if line.is_empty() {
            return Ok(At::End);
        }
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        if name.len() == line.len() || !is_token(name) {
            return Err("malformed trailer");
        }
        if NEVER_IN_TRAILERS.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes())) {
            return Err("a field that decides stands in a trailer");
        }
        Ok(At::Trailer)
    }
}
