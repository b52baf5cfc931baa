//! HTTP/2 without TLS: the same requests however the bytes are split, none of them invented.
use egress_user::{
    policy::Host,
    sniff::{
        Http2Step, Http2Stream, RequestHead,
        http2::{PREFACE, SECTION_LIMIT_BYTES},
    },
};

/// Longer inputs are cut into pieces instead of bytes: each read costs time.
const BYTEWISE: usize = 2048;

/// Bytes behind a client's preface and its empty SETTINGS.
pub fn run(bytes: &[u8]) {
    let bytes = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0], bytes].concat();
    let whole = follow(&bytes, bytes.len());
    let piecewise = follow(&bytes, 1 + bytes.len() / BYTEWISE);
    assert_eq!(whole, piecewise, "as a whole, and in pieces");
}

/// The requests, how much was forwarded, and why it ended.
fn follow(bytes: &[u8], piece: usize) -> (Vec<RequestHead>, usize, Option<&'static str>) {
    let (mut frames, mut held, mut requests, mut passed) =
        (Http2Stream::new(), Vec::new(), Vec::new(), 0);
    for piece in bytes.chunks(piece) {
        held.extend_from_slice(piece);
        loop {
            let length = match frames.step(&held) {
                Http2Step::Need => break,
                Http2Step::Pass(length) => length,
                Http2Step::Request(head, length) => {
                    if let Some(Ok((host, _))) = head.host.as_deref().map(Host::parse_with_port) {
                        assert_eq!(Host::parse(&host.to_string()), Ok(host), "{head:?}");
                    }
                    requests.push(*head);
                    length
                }
                Http2Step::Bad(why) => {
                    assert_eq!(frames.step(&held), Http2Step::Bad(why), "a final answer changes");
                    return (requests, passed, Some(why));
                }
            };
            assert!((1..=held.len()).contains(&length), "{length} of {} bytes", held.len());
            held.drain(..length);
            passed += length;
        }
        assert!(held.len() <= SECTION_LIMIT_BYTES + piece.len(), "{} bytes held", held.len());
    }
    (requests, passed, None)
}
