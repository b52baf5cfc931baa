//! The kernel side's reading of a first line, where payload that is not TLS may pass unread: only what
//! no server could take for a request. The proxy reads all else (`Beginning` of egress-user); what
//! passes here is no request there, which a test holds.

use crate::hello::Bytes;

/// Most bytes that are looked at: a longer first line is the proxy's to read.
pub const LINE_BYTES: u32 = 64;

/// Whether `length` bytes of payload from `start` on begin with a whole line that is no request's:
/// neither `HTTP/` nor a path nor an address stands in it, and no method that needs none of these; nor
/// is it a header of the PROXY protocol.
///
/// False also for what is too short to tell.
#[inline(always)]
pub fn is_no_request(bytes: &impl Bytes, start: u32, length: u32) -> bool {
    let Some([first]) = bytes.load::<1>(start) else { return false };
    // Blanks before a request, and the first letters of GET, CONNECT and OPTIONS.
    if first <= b' ' || first >= 0x7f || matches!(first | 0x20, b'g' | b'c' | b'o') {
        return false;
    }
    if matches!(first, b'/' | b':') {
        return false;
    }
    // Of the PROXY protocol: what stands behind it is read as a connection's beginning.
    if bytes.load::<5>(start).is_some_and(|word| word == *b"PROXY") {
        return false;
    }
    let mut index = 1;
    while index < LINE_BYTES {
        if index >= length {
            return false;
        }
        let Some([byte]) = bytes.load::<1>(start + index) else { return false };
        match byte {
            b'\n' => return true,
            // Of a version, a path, an address, and the target of a whole server.
            b'/' | b':' | b'*' => return false,
            _ => {}
        }
        index += 1;
    }
    false
}
