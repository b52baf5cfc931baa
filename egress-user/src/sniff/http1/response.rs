//! Did the server switch protocols? Watches the first response of a connection pass by.

/// Most bytes of interim (1xx) responses before the one that counts.
const INTERIM_LIMIT_BYTES: usize = 64 * 1024;

/// `HTTP/1.1 200` and the byte behind it.
const STATUS_LEN: usize = 13;

/// What the request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// `Upgrade`: 101 switches (RFC 9110 section 7.8).
    Upgrade,
    /// CONNECT: any 2xx switches (RFC 9110 section 9.3.6).
    Tunnel,
}

/// What is known of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseState {
    /// Its status has not come yet: go on holding the client's bytes.
    Need,
    /// The connection is a tunnel from here on; client bytes are no HTTP any more.
    Switched,
    /// The connection stays HTTP/1: [`super::RequestStream::resume`].
    NotSwitched,
    /// Not an HTTP/1 response: close the connection.
    Bad,
}

/// Watches the server's bytes from the start of the connection, while they are forwarded. Good for
/// the first request only: behind it, responses can't be told apart without following each body.
#[derive(Debug)]
pub struct ResponseWatch {
    awaited: Awaited,
    state: ResponseState,
    status: Vec<u8>,
    interim: Interim,
    interim_seen: usize,
}

/// Where in an interim response's header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interim {
    /// Not in one: the status line is read.
    Status,
    Line,
    LineCr,
    LineStart,
    LastCr,
}

impl ResponseWatch {
    /// Before the first byte of the server is looked at.
    pub fn new(awaited: Awaited) -> Self {
        Self {
            awaited,
            state: ResponseState::Need,
            status: Vec::with_capacity(STATUS_LEN),
            interim: Interim::Status,
            interim_seen: 0,
        }
    }

    /// Looks at the server's next bytes; each byte is given once. Final unless `Need`.
    pub fn feed(&mut self, chunk: &[u8]) -> ResponseState {
        for &byte in chunk {
            if self.state != ResponseState::Need {
                break;
            }
            self.state = self.take(byte);
        }
        self.state
    }

    fn take(&mut self, byte: u8) -> ResponseState {
        self.interim = match (self.interim, byte) {
            (Interim::Status, _) => {
                self.status.push(byte);
                return self.judge_status();
            }
            (Interim::Line, b'\r') => Interim::LineCr,
            (Interim::LineStart, b'\r') => Interim::LastCr,
            (Interim::LineCr, b'\n') => Interim::LineStart,
            (Interim::LastCr, b'\n') => {
                self.status.clear();
                Interim::Status
            }
            (Interim::LineCr | Interim::LastCr, _) | (_, b'\n') => return ResponseState::Bad,
            (Interim::Line | Interim::LineStart, _) => Interim::Line,
        };
        self.interim_seen += 1;
        if self.interim_seen > INTERIM_LIMIT_BYTES {
            return ResponseState::Bad;
        }
        ResponseState::Need
    }

    fn judge_status(&mut self) -> ResponseState {
        let begun = b"HTTP/1.".iter().zip(&self.status).all(|(want, got)| want == got);
        if !begun {
            return ResponseState::Bad;
        }
        let Some(&[minor, space, hundreds, tens, units, end]) =
            self.status.first_chunk::<STATUS_LEN>().and_then(|status| status.last_chunk::<6>())
        else {
            return ResponseState::Need;
        };
        if !matches!(minor, b'0' | b'1') || space != b' ' || !matches!(end, b' ' | b'\r') {
            return ResponseState::Bad;
        }
        match (hundreds, tens, units, self.awaited) {
            (b'1', b'0', b'1', Awaited::Upgrade) => ResponseState::Switched,
            (b'1', b'0', b'1', Awaited::Tunnel) => ResponseState::Bad,
            (b'1', b'0'..=b'9', b'0'..=b'9', _) => {
                self.interim = if end == b'\r' { Interim::LineCr } else { Interim::Line };
                ResponseState::Need
            }
            (b'2', b'0'..=b'9', b'0'..=b'9', Awaited::Tunnel) => ResponseState::Switched,
            (b'2'..=b'9', b'0'..=b'9', b'0'..=b'9', _) => ResponseState::NotSwitched,
            _ => ResponseState::Bad,
        }
    }
}
