//! The head of a frame (RFC 9113 section 4.1), and what a client may send.

/// Length, type, flags, stream.
pub(super) const HEAD_BYTES: usize = 9;

/// Types of frames (RFC 9113 section 6, RFC 9218 section 7.1).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
    pub(in super::super) const PRIORITY_UPDATE: u8 = 16;
}

// Flags; the first is END_STREAM of DATA and HEADERS, and ACK of SETTINGS and PING.
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Bytes behind the head.
    pub(super) length: usize,
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    /// None where the head is not whole.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = *input.first_chunk::<HEAD_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, l1, l2, l3]) as usize,
            kind,
            flags,
            // The first bit means nothing.
            stream: u32::from_be_bytes([s1 & 0x7f, s2, s3, s4]),
        })
    }

    pub(super) fn is_ack(self) -> bool {
        self.flags & END_STREAM != 0
    }

    pub(super) fn ends_stream(self) -> bool {
        self.flags & END_STREAM != 0
    }

    pub(super) fn ends_headers(self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// Whether a client may send it, where the last request opened this stream. Its length counts
    /// for all but DATA, whose limit is the server's to set.
    pub(super) fn check(self, last_stream: u32) -> Result<(), &'static str> {
        const LENGTH: &str = "a frame of a wrong length";
        let length = self.length;
        let is_right = match self.kind {
            kind::DATA => {
                if self.stream > last_stream || self.stream.is_multiple_of(2) {
                    return Err("data of no request");
                }
                true
            }
            kind::PRIORITY => length == 5,
            kind::RST_STREAM | kind::WINDOW_UPDATE => length == 4,
            kind::SETTINGS => length.is_multiple_of(6) && length <= 16_384,
            kind::PING => length == 8,
            kind::GOAWAY => (8..=16_384).contains(&length),
            kind::PRIORITY_UPDATE => (4..=16_384).contains(&length),
            kind::CONTINUATION => return Err("a continuation of nothing"),
            kind::PUSH_PROMISE => return Err("a push by the client"),
            // Some would carry fields of their own.
            _ => return Err("a frame of an unknown type"),
        };
        if is_right { Ok(()) } else { Err(LENGTH) }
    }

    /// The part of a field section in the payload of HEADERS or CONTINUATION; none where padding
    /// and priority do not fit.
    pub(super) fn fragment(self, payload: &[u8]) -> Option<&[u8]> {
        if self.kind != kind::HEADERS {
            return Some(payload);
        }
        let mut rest = payload;
        let mut padding = 0;
        if self.flags & PADDED != 0 {
            let (&length, behind) = rest.split_first()?;
            (padding, rest) = (usize::from(length), behind);
        }
        if self.flags & PRIORITY != 0 {
            rest = rest.get(5..)?;
        }
        rest.get(..rest.len().checked_sub(padding)?)
    }
}
