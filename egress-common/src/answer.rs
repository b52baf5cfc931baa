//! The kernel side's reading of what a TLS server says first: is it an answer, after which no plaintext
//! hello of the client's counts any more, or does it ask for another hello?
//!
//! Of an answer only its first 43 bytes are read. They may come in any pieces and in any order,
//! also twice. What is neither an answer nor a request for another hello is not read on: then the
//! client's bytes are judged until the connection ends.

use crate::hello::Bytes;

/// The random of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3).
pub const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Header of a record (5), of a message (4), version (2), random (32).
const HEAD: u32 = 5 + 4 + 2 + 32;
/// Where the random begins.
const RANDOM: u32 = 11;
/// Records of one segment that are read; real servers send one or two before their answer.
const MAX_RECORDS: u32 = 4;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;

// `Answer::seen`: a bit for each byte of the head, two for what they say, and above them the low bits
// of the record's sequence number, so that bits of one record are never taken for another's.
const RECORD_HEADER: u64 = 0b1_1111;
const WHOLE: u64 = (1 << HEAD) - 1;
const NO_HELLO: u64 = 1 << 43;
const NO_RETRY: u64 = 1 << 44;
const TAG_SHIFT: u32 = 45;

/// How far the server's bytes have been read.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Answer {
    /// Bytes of the next record's head that came in pieces.
    seen: u64,
    /// Sequence number at which the next record begins.
    at: u32,
    /// The next record's length, as far as it is seen.
    length: u16,
    /// Its type, where that is seen.
    kind: u8,
    /// Zero.
    reserved: u8,
}

/// What a record's head says.
enum Head {
    /// Nothing yet.
    Unknown,
    /// It does not matter: a change of cipher spec, an alert, a HelloRetryRequest.
    Passed,
    /// A ServerHello that is none.
    Final,
}

impl Answer {
    /// Before the server's first byte, which has this sequence number.
    pub const fn at(sequence: u32) -> Self {
        Self { seen: 0, at: sequence, length: 0, kind: 0, reserved: 0 }
    }

    /// Reads a segment: `length` bytes of payload from `start` on, the first of which has this
    /// sequence number. Whether the server has answered.
    #[inline(always)]
    pub fn read(&mut self, bytes: &impl Bytes, start: u32, length: u32, sequence: u32) -> bool {
        // The rest of a head.
        let before = self.at.wrapping_sub(sequence);
        if before >= length {
            self.collect(bytes, start, length, before);
            match self.collected() {
                Head::Final => return true,
                Head::Unknown => return false,
                Head::Passed => self.pass(),
            }
        }
        for _ in 0..MAX_RECORDS {
            let offset = self.at.wrapping_sub(sequence);
            if offset >= length {
                return false;
            }
            match self.whole(bytes, start + offset, length - offset) {
                Head::Final => return true,
                Head::Passed => self.pass(),
                Head::Unknown => {
                    self.collect(bytes, start, length, offset);
                    return matches!(self.collected(), Head::Final);
                }
            }
        }
        false
    }

    #[inline(always)]
    fn pass(&mut self) {
        self.at = self.at.wrapping_add(5 + self.length as u32);
        self.seen = 0;
    }

    /// Reads a head that lies in one piece.
    #[inline(always)]
    fn whole(&mut self, bytes: &impl Bytes, at: u32, left: u32) -> Head {
        if left < 5 {
            return Head::Unknown;
        }
        let Some([kind, _, _, high, low]) = bytes.load::<5>(at) else { return Head::Unknown };
        self.kind = kind;
        self.length = (high as u16) << 8 | low as u16;
        if kind == CHANGE_CIPHER_SPEC || kind == ALERT {
            return Head::Passed;
        }
        if left < HEAD {
            return Head::Unknown;
        }
        let Some([kind, major, ..]) = bytes.load::<2>(at) else { return Head::Unknown };
        let Some([message]) = bytes.load::<1>(at + 5) else { return Head::Unknown };
        let mut retry = true;
        let mut index = 0;
        while index < 4 {
            let Some(word) = bytes.load::<8>(at + RANDOM + index * 8) else {
                return Head::Unknown;
            };
            retry &= u64::from_ne_bytes(word) == retry_word(index as usize);
            index += 1;
        }
        let hello = kind == HANDSHAKE && major == 3 && message == SERVER_HELLO;
        self.said(hello, retry)
    }

    /// What a whole head of a handshake record says.
    #[inline(always)]
    fn said(&self, hello: bool, retry: bool) -> Head {
        // In a shorter record the random would not be where it was read.
        if !hello || (self.length as u32) < HEAD - 5 {
            return Head::Unknown;
        }
        if retry { Head::Passed } else { Head::Final }
    }

    /// Notes those bytes of a head that a segment has. `offset` is from the segment's first byte to
    /// the head, and wraps where that was in an earlier segment.
    #[inline(always)]
    fn collect(&mut self, bytes: &impl Bytes, start: u32, length: u32, offset: u32) {
        let tag = (self.at as u64) << TAG_SHIFT;
        let mut seen = if self.seen >> TAG_SHIFT == tag >> TAG_SHIFT { self.seen } else { tag };
        let mut index = 0;
        while index < HEAD {
            let at = offset.wrapping_add(index);
            if at < length {
                let Some([byte]) = bytes.load::<1>(start + at) else { return };
                seen |= 1 << index;
                match index {
                    0 => self.kind = byte,
                    3 => self.length = self.length & 0xff | (byte as u16) << 8,
                    4 => self.length = self.length & 0xff00 | byte as u16,
                    _ => {}
                }
                let expected = match index {
                    0 => HANDSHAKE,
                    1 => 3,
                    5 => SERVER_HELLO,
                    _ => byte,
                };
                if byte != expected {
                    seen |= NO_HELLO;
                }
                if index >= RANDOM && byte != retry_byte(index - RANDOM) {
                    seen |= NO_RETRY;
                }
            }
            index += 1;
        }
        self.seen = seen;
    }

    /// What the collected bytes say.
    #[inline(always)]
    fn collected(&self) -> Head {
        let is_other = self.kind == CHANGE_CIPHER_SPEC || self.kind == ALERT;
        if self.seen & RECORD_HEADER == RECORD_HEADER && is_other {
            return Head::Passed;
        }
        if self.seen & WHOLE != WHOLE {
            return Head::Unknown;
        }
        self.said(self.seen & NO_HELLO == 0, self.seen & NO_RETRY == 0)
    }
}

/// Eight bytes of [`RETRY_RANDOM`], as they lie in memory.
#[inline(always)]
const fn retry_word(index: usize) -> u64 {
    match RETRY_RANDOM.as_chunks::<8>().0 {
        [first, _, _, _] if index == 0 => u64::from_ne_bytes(*first),
        [_, second, _, _] if index == 1 => u64::from_ne_bytes(*second),
        [_, _, third, _] if index == 2 => u64::from_ne_bytes(*third),
        [_, _, _, fourth] => u64::from_ne_bytes(*fourth),
        _ => 0,
    }
}

/// One byte of [`RETRY_RANDOM`].
#[inline(always)]
const fn retry_byte(index: u32) -> u8 {
    // By a shift: of an array on the stack the compiler makes `pointer | index`, which verifiers refuse.
    (u64::from_le(retry_word(index as usize / 8)) >> (index % 8 * 8)) as u8
}
