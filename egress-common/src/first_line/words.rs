//! The bytes and words of a first line.

/// What the first word is.
pub(super) mod method {
    pub(in crate::first_line) const GET: u8 = 1;
    pub(in crate::first_line) const CONNECT: u8 = 2;
    /// Another one that servers know.
    pub(in crate::first_line) const OTHER: u8 = 3;
    /// The first word of a header of the PROXY protocol.
    pub(in crate::first_line) const PROXY: u8 = 4;
}

/// One more, of which more than four are alike.
#[inline(always)]
pub(super) fn up_to_four(count: u8) -> u8 {
    if count < 4 { count + 1 } else { 4 }
}

/// A word as a first line keeps it: its last eight bytes, in upper case.
pub(super) const fn text<const N: usize>(word: &[u8; N]) -> u64 {
    let (mut value, mut index) = (0_u64, 0);
    while index < N {
        value = value << 8 | word[index] as u64;
        index += 1;
    }
    value
}

/// Methods that servers know: those of the proxy (`KNOWN_METHODS` there). Of the only one with nine letters
/// the first is not looked at.
#[inline(always)]
pub(super) fn kind_of(word: u64, length: u8) -> u8 {
    macro_rules! is {
        ($($known:literal)*) => { $((word == text($known) && length as usize == $known.len()))||* };
    }
    if is!(b"GET") {
        return method::GET;
    }
    if is!(b"CONNECT") {
        return method::CONNECT;
    }
    if is!(b"PROXY") {
        return method::PROXY;
    }
    let is_other = is!(b"HEAD" b"POST" b"PUT" b"DELETE" b"OPTIONS" b"PATCH" b"TRACE" b"PROPFIND" b"MKCOL"
        b"COPY" b"MOVE" b"LOCK" b"UNLOCK" b"SEARCH" b"REPORT" b"MERGE" b"LINK" b"UNLINK" b"QUERY" b"PURGE"
        b"ACL")
        || word == text(b"ROPPATCH") && length == 9;
    if is_other { method::OTHER } else { 0 }
}

/// What ends a word, for some server: controls, the blank, and what Unicode counts as white space
/// of one byte in Latin-1.
#[inline(always)]
pub(super) fn is_blank(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, 0x7f | 0x85 | 0xa0)
}

/// What a method is made of (RFC 9110 section 5.6.2).
#[inline(always)]
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether one of the eight bytes ends a word, or begins `HTTP/`.
#[inline(always)]
pub(super) fn has_mark(word: u64) -> bool {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    /// Not zero where one byte is: a borrow marks others only above it.
    #[inline(always)]
    fn zeros(word: u64) -> u64 {
        word.wrapping_sub(each(1)) & !word & each(0x80)
    }
    let controls = word.wrapping_sub(each(b'!')) & !word & each(0x80);
    let others = zeros(word ^ each(0x7f)) | zeros(word ^ each(0x85)) | zeros(word ^ each(0xa0));
    controls | others | zeros((word | each(0x20)) ^ each(b'h')) != 0
}
