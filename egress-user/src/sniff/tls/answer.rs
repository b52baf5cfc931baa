//! What a TLS server says first: an answer, or that it wants another hello.
use egress_common::answer::RETRY_RANDOM;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
/// TLSPlaintext: type, version (2), length (2); RFC 8446 section 5.1.
const RECORD_HEADER_LEN: u8 = 5;
/// A handshake message's type and length (4), and of a ServerHello the version (2): its random is next.
const BEFORE_RANDOM: u32 = 6;
const MESSAGE_HEADER_LEN: u32 = 4;

/// Reads a server's bytes, in any portions, up to its answer to a hello.
///
/// Until the server has answered, the client may be asked for a second hello (a HelloRetryRequest,
/// RFC 8446 section 4.1.4), and servers act on the name in that one.
#[derive(Clone, Debug, Default)]
pub struct AnswerWatch {
    /// Bytes of the record's header that have come.
    header: u8,
    kind: u8,
    /// The record's length, as far as it has come.
    length: u16,
    /// Bytes of the record that are to come.
    left: u16,
    /// Bytes of the handshake message that have come.
    message: u32,
    message_kind: u8,
    message_length: u32,
    /// The random is not that of a HelloRetryRequest.
    differs: bool,
    /// Not TLS, or not what a server says before its answer: nothing behind it is read.
    lost: bool,
}

impl AnswerWatch {
    /// Before the first byte that the server sends behind a hello.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on. Whether the server has answered: with a ServerHello that is no HelloRetryRequest.
    /// False for ever where it says something else.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut bytes = bytes.iter();
        while !self.lost {
            // What does not matter is passed at once.
            if self.left > 0 && self.kind != HANDSHAKE {
                let passed = bytes.len().min(usize::from(self.left));
                let Some(last) = passed.checked_sub(1) else { return false };
                let _ = bytes.nth(last);
                self.left -= u16::try_from(passed).unwrap_or(self.left);
                continue;
            }
            let Some(&byte) = bytes.next() else { return false };
            if self.left == 0 {
                self.record_header(byte);
            } else if self.handshake(byte) {
                return true;
            }
        }
        false
    }

    fn record_header(&mut self, byte: u8) {
        match self.header {
            0 => {
                self.kind = byte;
                let among_others = self.message == 0 || byte == HANDSHAKE;
                self.lost =
                    !matches!(byte, CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE) || !among_others;
            }
            1 => self.lost = byte != 3,
            3 => self.length = u16::from(byte) << 8,
            4 => self.length |= u16::from(byte),
            _ => {}
        }
        self.header += 1;
        if self.header == RECORD_HEADER_LEN {
            (self.header, self.left) = (0, self.length);
        }
    }

    fn handshake(&mut self, byte: u8) -> bool {
        self.left -= 1;
        let at = self.message;
        self.message += 1;
        match at {
            0 => {
                (self.message_kind, self.message_length, self.differs) = (byte, 0, false);
                // HelloRequest, which clients ignore.
                self.lost = byte != SERVER_HELLO && byte != 0;
            }
            1..MESSAGE_HEADER_LEN => {
                self.message_length = self.message_length << 8 | u32::from(byte);
            }
            _ => {}
        }
        if self.message < MESSAGE_HEADER_LEN {
            return false;
        }
        if self.message_kind == SERVER_HELLO
            && let Some(index) = at.checked_sub(BEFORE_RANDOM)
            && let Some(expected) = RETRY_RANDOM.get(index as usize)
        {
            self.differs |= byte != *expected;
        }
        let random_end = BEFORE_RANDOM + 32;
        if self.message_kind == SERVER_HELLO && self.message == random_end && self.differs {
            return true;
        }
        if self.message >= MESSAGE_HEADER_LEN + self.message_length {
            // Too short for a ServerHello.
            self.lost |= self.message_kind == SERVER_HELLO && self.message < random_end;
            self.message = 0;
        }
        false
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use egress_common::answer::Answer;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3], &length[..], body].concat()
    }

    fn message(kind: u8, random: [u8; 32]) -> Vec<u8> {
        // Version, random, no session, a cipher suite, no compression.
        let body = [&[3, 3], &random[..], &[0, 0x13, 1, 0]].concat();
        [&[kind, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat()
    }

    fn hello(random: [u8; 32]) -> Vec<u8> {
        record(HANDSHAKE, &message(SERVER_HELLO, random))
    }

    /// The conversations, and whether each has an answer.
    fn conversations() -> Vec<(&'static str, Vec<u8>, bool)> {
        let (retry, answer) = (hello(RETRY_RANDOM), hello([7; 32]));
        let mut near = RETRY_RANDOM;
        near[31] ^= 1;
        let change = record(CHANGE_CIPHER_SPEC, &[1]);
        let alert = record(ALERT, &[1, 112]);
        let hidden = record(ALERT, &answer);
        vec![
            ("an answer", answer.clone(), true),
            ("an answer that is nearly a retry", hello(near), true),
            ("a retry", retry.clone(), false),
            ("a retry, then an answer", [retry.clone(), answer.clone()].concat(), true),
            (
                "a retry and a change, then an answer",
                [retry.clone(), change.clone(), answer.clone()].concat(),
                true,
            ),
            ("a warning, then an answer", [alert.clone(), answer.clone()].concat(), true),
            ("a warning, then a retry", [alert, retry.clone()].concat(), false),
            ("an answer inside an alert", [hidden, retry].concat(), false),
            ("no TLS", [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), &answer].concat(), false),
            ("another message", record(HANDSHAKE, &message(11, [7; 32])), false),
            ("application data", record(23, &answer), false),
            ("a short one", [record(HANDSHAKE, &[2, 0, 0, 2, 3, 3]), answer].concat(), false),
            ("a change alone", change, false),
        ]
    }

    #[test]
    fn both_readers_know_an_answer_however_it_comes() {
        for (what, bytes, answered) in conversations() {
            for size in 1..=bytes.len() {
                let mut watch = AnswerWatch::new();
                let mut proxy = false;
                let mut kernel = Answer::at(u32::MAX - 5);
                let mut packet = false;
                for (number, piece) in bytes.chunks(size).enumerate() {
                    proxy = proxy || watch.feed(piece);
                    let sequence =
                        (u32::MAX - 5).wrapping_add(u32::try_from(number * size).unwrap());
                    let length = u32::try_from(piece.len()).unwrap();
                    packet = packet || kernel.read(&piece, 0, length, sequence);
                    // Sent again.
                    packet = packet || kernel.read(&piece, 0, length, sequence);
                }
                assert_eq!(proxy, answered, "{what} in pieces of {size}, to the proxy");
                assert!(!packet || answered, "{what} in pieces of {size}, to the kernel side");
                // A head behind another record may be lost to it in pieces, which leaves it closed.
                if answered && (size >= 64 || bytes[0] == HANDSHAKE && bytes.len() < 60) {
                    assert!(packet, "{what} in pieces of {size}, to the kernel side");
                }
            }
        }
    }

    #[test]
    fn the_kernel_side_reads_a_head_in_any_order() {
        for (random, answered) in [([7; 32], true), (RETRY_RANDOM, false)] {
            let bytes = hello(random);
            for cut in 1..bytes.len() {
                let mut kernel = Answer::at(9);
                let (head, rest) = bytes.split_at(cut);
                let said = |kernel: &mut Answer, piece: &[u8], at: usize| {
                    let sequence = 9 + u32::try_from(at).unwrap();
                    kernel.read(&piece, 0, u32::try_from(piece.len()).unwrap(), sequence)
                };
                let first = said(&mut kernel, rest, cut);
                assert!(first || said(&mut kernel, head, 0) == answered || cut >= 43, "{cut}");
                assert!(!first || answered);
            }
        }
    }

    #[test]
    fn an_answer_in_small_records_is_one_to_the_proxy_alone() {
        for (random, answered) in [([7; 32], true), (RETRY_RANDOM, false)] {
            let bytes: Vec<u8> = message(SERVER_HELLO, random)
                .chunks(7)
                .flat_map(|piece| record(HANDSHAKE, piece))
                .collect();
            assert_eq!(AnswerWatch::new().feed(&bytes), answered);
            let length = u32::try_from(bytes.len()).unwrap();
            assert!(!Answer::at(1).read(&bytes.as_slice(), 0, length, 1));
        }
    }
}
