//! Records and handshake fragments: when is the hello complete, and where does it end?
use super::{HELD_LIMIT_BYTES, HELLO_LIMIT_BYTES};

/// TLSPlaintext: type, version (2), length (2); RFC 8446 section 5.1.
pub(super) const RECORD_HEADER_LEN: usize = 5;
/// The longest plaintext fragment of a record.
const RECORD_LIMIT_BYTES: usize = 1 << 14;
/// Handshake: type, length (3); RFC 8446 section 4.
const MESSAGE_HEADER_LEN: usize = 4;

const CONTENT_TYPE_HANDSHAKE: u8 = 22;
const VERSION_MAJOR: u8 = 3;
const MESSAGE_TYPE_CLIENT_HELLO: u8 = 1;

/// How far the walk came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walked {
    Need,
    NotTls,
    Malformed(&'static str),
    /// The hello ends where its last record ends, at this offset.
    Complete {
        records_len: usize,
    },
}

/// A walk that takes each byte once, in order, so that its answer can't depend on the reads.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Bytes looked at so far.
    seen: usize,
    /// Bytes of the current record's header.
    header_seen: usize,
    /// The current record's length field, as far as read.
    record_len: usize,
    /// Bytes of the current record's fragment still to come.
    fragment_left: usize,
    /// Bytes of the handshake message so far, its header included.
    message_seen: usize,
    /// The message's length field, as far as read.
    message_len: usize,
}

impl Walk {
    pub(super) fn advance(&mut self, held: &[u8]) -> Walked {
        for &byte in held.get(self.seen..).unwrap_or_default() {
            if self.seen >= HELD_LIMIT_BYTES {
                return Walked::Malformed("hello is cut into too many records");
            }
            let step = if self.fragment_left == 0 {
                self.record_header(byte)
            } else {
                self.fragment(byte)
            };
            self.seen += 1;
            match step {
                Ok(false) => {}
                Ok(true) => return Walked::Complete { records_len: self.seen },
                Err(walked) => return walked,
            }
        }
        Walked::Need
    }

    fn record_header(&mut self, byte: u8) -> Result<bool, Walked> {
        let first_record = self.seen < RECORD_HEADER_LEN;
        match self.header_seen {
            0 if byte != CONTENT_TYPE_HANDSHAKE && first_record => return Err(Walked::NotTls),
            0 if byte != CONTENT_TYPE_HANDSHAKE => {
                return Err(Walked::Malformed("another record type inside the hello"));
            }
            1 if byte != VERSION_MAJOR && first_record => return Err(Walked::NotTls),
            1 if byte != VERSION_MAJOR => {
                return Err(Walked::Malformed("record version is not 3.x"));
            }
            3 => self.record_len = usize::from(byte) << 8,
            4 => self.record_len |= usize::from(byte),
            _ => {}
        }
        self.header_seen += 1;
        if self.header_seen == RECORD_HEADER_LEN {
            self.header_seen = 0;
            match self.record_len {
                0 => return Err(Walked::Malformed("record of zero length")),
                1..=RECORD_LIMIT_BYTES => self.fragment_left = self.record_len,
                _ => return Err(Walked::Malformed("record is too long")),
            }
        }
        Ok(false)
    }

    fn fragment(&mut self, byte: u8) -> Result<bool, Walked> {
        match self.message_seen {
            0 if byte != MESSAGE_TYPE_CLIENT_HELLO => {
                return Err(Walked::Malformed("first handshake message is not a ClientHello"));
            }
            1..MESSAGE_HEADER_LEN => self.message_len = self.message_len << 8 | usize::from(byte),
            _ => {}
        }
        self.message_seen += 1;
        self.fragment_left -= 1;
        if self.message_seen < MESSAGE_HEADER_LEN {
            return Ok(false);
        }
        let whole = MESSAGE_HEADER_LEN + self.message_len;
        if whole > HELLO_LIMIT_BYTES {
            return Err(Walked::Malformed("hello is too long"));
        }
        // No client has more to say before the server's flight (RFC 8446 section 5.1: messages
        // must not span key changes).
        if self.message_seen + self.fragment_left > whole {
            return Err(Walked::Malformed("handshake data follows the hello in its record"));
        }
        Ok(self.message_seen == whole)
    }
}

/// The handshake message inside whole `records`, header included. The walk has checked them.
pub(super) fn message(mut records: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(records.len());
    while let Some((&[_, _, _, high, low], rest)) = records.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (fragment, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        message.extend_from_slice(fragment);
        records = rest;
    }
    message
}
