//! The beginnings of requests: one verdict however the bytes are split, and no request is missed.
use egress_user::sniff::{Beginning, Begun, RequestStream, Step};

/// Longer inputs are cut into pieces instead of bytes: each read costs time.
const BYTEWISE: usize = 2048;

/// Bytes of a connection.
pub fn run(bytes: &[u8]) {
    for reads_commands in [false, true] {
        let begun = Beginning::new(reads_commands).feed(bytes);
        let mut piecewise = Beginning::new(reads_commands);
        let (mut passed, mut seen) = (0, 0);
        for piece in bytes.chunks(1 + bytes.len() / BYTEWISE) {
            if piecewise.feed(piece) != Begun::Maybe {
                break;
            }
            seen += piece.len();
            passed = piecewise.passable();
            assert!(passed <= seen, "{passed} of {seen} bytes");
        }
        assert_eq!(piecewise.feed(&[]), begun, "as a whole, and in pieces");
        let line = bytes.get(..passed).unwrap_or_default().trim_ascii_start();
        assert!(begun != Begun::Request || !line.contains(&b'\n'), "a line of a request has left");
        // What a strict reader finds to be a request is one here.
        let is_http =
            matches!(RequestStream::new().step(bytes), Step::Head(..) | Step::Http2Preface);
        assert!(!is_http || begun == Begun::Request);
    }
}
