//! Which protocol does a client speak? Decided as early as it is certain.
use super::http1::first_line::{FirstLine, Line, may_begin_request};

/// What a client's first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Not certain yet.
    Need,
    /// A TLS handshake record: [`super::TlsSniffer`] reads on.
    Tls,
    /// HTTP/1, well-formed or not: [`super::RequestStream`] reads on, and refuses what is bad.
    Http,
    /// The preface of HTTP/2 without TLS (RFC 9113 section 3.4).
    Http2,
    /// Anything else, SSLv2 and text protocols among it. Policy refuses it on web ports.
    Opaque,
}

/// Tells protocols apart; decides only which parser reads on, so it calls `Http` whatever a
/// lenient server could take for HTTP, but a first byte that begins no method is opaque.
#[derive(Debug, Default)]
pub struct Sniffer {
    line: FirstLine,
}

impl Sniffer {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at all client bytes so far: each call has the bytes of the last one and more.
    pub fn feed(&mut self, held: &[u8]) -> Protocol {
        match held {
            [] | [0x16] => Protocol::Need,
            [0x16, 3, ..] => Protocol::Tls,
            _ => match self.line.feed(held) {
                Line::Need => Protocol::Need,
                Line::Http => Protocol::Http,
                Line::Http2 => Protocol::Http2,
                Line::NotHttp => Protocol::Opaque,
            },
        }
    }

    /// Whether a client that pauses behind these bytes, of which nothing certain is known, speaks
    /// some text protocol. Never behind the first byte of TLS or inside of a method of HTTP: else
    /// a pause there would take a hello or a request past its check.
    pub fn is_opaque_behind_a_pause(held: &[u8]) -> bool {
        held != [0x16] && !may_begin_request(held)
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn verdict_at(bytes: &[u8]) -> (Protocol, usize) {
        let mut sniffer = Sniffer::new();
        for len in 0..=bytes.len() {
            let protocol = sniffer.feed(&bytes[..len]);
            if protocol != Protocol::Need {
                assert_eq!(Sniffer::new().feed(bytes), protocol, "{bytes:?} in one piece");
                return (protocol, len);
            }
        }
        (Protocol::Need, bytes.len())
    }

    #[test]
    fn knows_each_protocol_at_the_earliest_byte() {
        for (bytes, protocol, at) in [
            (&b"\x16\x03\x01\x02"[..], Protocol::Tls, 2),
            (b"\x16\x02", Protocol::Opaque, 2),
            (b"\x15\x03\x01", Protocol::Opaque, 1),
            (b"\x80\x2e\x01\x03\x01", Protocol::Opaque, 1),
            (b"\r\nGET / HTTP/1.1\r\n", Protocol::Opaque, 1),
            (b"\nGET / HTTP/1.1\r\n", Protocol::Opaque, 1),
            (b" GET / HTTP/1.1\r\n", Protocol::Opaque, 1),
            (b"\x00GET / HTTP/1.1\r\n", Protocol::Opaque, 1),
            (b"EHLO x\r\n", Protocol::Opaque, 8),
            (b"EHLO\r\n", Protocol::Opaque, 5),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Protocol::Opaque, 20),
            (b"*1\r\n$4\r\nPING\r\n", Protocol::Opaque, 3),
            (b"GET foo\r\n", Protocol::Opaque, 9),
            (b"OPTIONS rtsp://a/ RTSP/1.0\r\n", Protocol::Opaque, 28),
            (b"GET / HTTP/1.1\r\n", Protocol::Http, 11),
            (b"get / http/1.1\r\n", Protocol::Http, 11),
            (b"GET / HTTP/9\r\n", Protocol::Http, 11),
            (b"GET /\r\n", Protocol::Http, 7),
            (b"GET /\n", Protocol::Http, 6),
            (b"GET http://a/\r\n", Protocol::Http, 15),
            (b"GET /\x00 HTTP/1.1\r\n", Protocol::Http, 6),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Protocol::Http2, 16),
            (b"PRI * HTTP/2.0 \r\n", Protocol::Http, 15),
            (b"GET / HTTX", Protocol::Need, 10),
        ] {
            assert_eq!(verdict_at(bytes), (protocol, at), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_pause_makes_nothing_opaque_that_tls_or_http_begins_with() {
        for held in [&b"\x16"[..], b"", b"G", b"ge", b"GET", b"GET ", b"POST\t/x HT", b"CONN"] {
            assert!(!Sniffer::is_opaque_behind_a_pause(held), "{}", held.escape_ascii());
        }
        for held in [&b"PING"[..], b"HELO", b"GETS", b"USER anna", b"*"] {
            assert!(Sniffer::is_opaque_behind_a_pause(held), "{}", held.escape_ascii());
        }
    }

    #[test]
    fn line_without_end_is_decided_at_the_limit() {
        let long = [b'a'; 100];
        assert_eq!(verdict_at(&long).0, Protocol::Opaque);
        let mut long = b"GET ".to_vec();
        long.resize(70_000, b'a');
        assert_eq!(verdict_at(&long).0, Protocol::Http);
    }
}
