//! A name server and an asker that cost next to nothing: one fixed question, one fixed answer.
use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

/// A query for the IPv4 address of a name.
pub fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend(b"\x01\0\0\x01\0\0\0\0\0\0");
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label.as_bytes());
    }
    message.extend(b"\0\0\x01\0\x01");
    message
}

/// Answers every A question with this address and an hour, other types with nothing; a name that
/// begins with `n` and a number, as `n7.many.test`, has an address of its own. For ever.
///
/// # Errors
/// When the socket cannot be had or fails.
pub fn serve(at: SocketAddr, address: [u8; 4]) -> io::Result<()> {
    answer(&UdpSocket::bind(at)?, address)
}

/// As [`serve`], on a socket that is bound already.
///
/// # Errors
/// When the socket fails.
pub fn answer(socket: &UdpSocket, address: [u8; 4]) -> io::Result<()> {
    let mut datagram = [0; 512];
    loop {
        let (length, peer) = socket.recv_from(&mut datagram)?;
        let Some(end) = question_end(datagram.get(..length).unwrap_or_default()) else { continue };
        let mut answer = datagram.get(..end).unwrap_or_default().to_vec();
        let is_a = answer.get(end - 4..end - 2) == Some(&[0, 1]);
        for (at, byte) in [(2, 0x85), (3, 0x80), (7, u8::from(is_a)), (9, 0), (11, 0)] {
            if let Some(field) = answer.get_mut(at) {
                *field = byte;
            }
        }
        if is_a {
            answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04");
            answer.extend(numbered(&answer).unwrap_or(address));
        }
        let _ = socket.send_to(&answer, peer);
    }
}

/// 93.185.0.0/16, by the number.
fn numbered(message: &[u8]) -> Option<[u8; 4]> {
    let length = usize::from(*message.get(12)?);
    let label = std::str::from_utf8(message.get(13..13 + length)?).ok()?;
    let [high, low] =
        label.to_ascii_lowercase().strip_prefix('n')?.parse::<u16>().ok()?.to_be_bytes();
    Some([93, 185, high, low])
}

fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match *message.get(at)? {
            0 => break,
            length => at += 1 + usize::from(length),
        }
    }
    (at + 5 <= message.len()).then_some(at + 5)
}
