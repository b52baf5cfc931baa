use super::*;

fn head(next: u32, sequence: u32, flags: u16) -> PieceHead {
    PieceHead {
        sandbox: 1,
        cookie: 7,
        connected_ns: 5,
        original: egress_common::Address { words: [0; 4] },
        original_port: 443,
        length: 0,
        finding: 1,
        hellos: 0,
        flags,
        tgid: 0,
        sequence,
        next,
        record: 0,
    }
}

fn piece(next: u32, sequence: u32, bytes: &[u8]) -> HeldPiece {
    HeldPiece { head: head(next, sequence, 0), bytes: bytes.to_vec() }
}

fn connection(next: u32) -> (Connection, Instant) {
    let now = Instant::now();
    (Connection::new(head(next, next, 0), now), now)
}

#[test]
fn pieces_make_a_whole_across_the_end_of_sequence_numbers() {
    let (mut one, now) = connection(u32::MAX - 1);
    assert_eq!(one.add(&piece(u32::MAX - 1, u32::MAX - 1, b"abc"), now), Ok(()));
    assert_eq!(one.add(&piece(u32::MAX - 1, 1, b"def"), now), Ok(()));
    assert_eq!(one.bytes(), b"abcdef");
    // What has left is no longer held.
    assert_eq!(one.add(&piece(1, 4, b"g"), now), Ok(()));
    assert_eq!((one.bytes(), one.from()), (&b"defg"[..], 1));
}

#[test]
fn what_was_told_must_stay_as_it_was() {
    let (mut one, now) = connection(10);
    one.add(&piece(10, 10, b"hello"), now).unwrap();
    assert_eq!(one.add(&piece(10, 12, b"llo you"), now), Ok(()));
    assert_eq!(one.bytes(), b"hello you");
    assert_eq!(one.add(&piece(10, 12, b"LLO"), now), Err(Misfit));
    // Nor may anything be missing.
    assert_eq!(one.add(&piece(10, 30, b"x"), now), Err(Misfit));
    assert_eq!(one.bytes(), b"hello you");
}

#[test]
fn what_the_socket_has_goes_on_where_the_packets_stop() {
    let (mut one, now) = connection(0);
    one.add(&piece(0, 0, b"hel"), now).unwrap();
    assert_eq!(one.extend(b"hello", now), Ok(()));
    assert_eq!(one.extend(b"hello", now), Ok(()));
    assert_eq!(one.bytes(), b"hello");
    assert_eq!(one.extend(b"jello you", now), Err(Misfit));
    // And is told by packets later.
    assert_eq!(one.add(&piece(0, 3, b"lo"), now), Ok(()));
    assert_eq!(one.bytes(), b"hello");
}

#[test]
fn packets_have_the_last_word() {
    let (mut one, now) = connection(0);
    one.add(&piece(0, 0, b"hel"), now).unwrap();
    one.extend(b"hello there", now).unwrap();
    // What was seen in the socket was not what came next.
    assert_eq!(one.add(&piece(0, 3, b"p!"), now), Ok(()));
    assert_eq!((one.bytes(), one.is_revised), (&b"help!"[..], true));
    assert_eq!(one.add(&piece(0, 2, b"lp?"), now), Err(Misfit));
}

#[test]
fn no_more_is_kept_than_may_be() {
    let (mut one, now) = connection(0);
    let many = vec![b'x'; HELD_BYTES as usize - 1];
    one.add(&piece(0, 0, &many), now).unwrap();
    assert!(!one.is_full() && !one.held(now).late);
    one.extend(&vec![b'x'; 2 * many.len()], now).unwrap();
    assert_eq!(one.bytes().len(), HELD_BYTES as usize);
    // More would not fit, so that no more will come.
    assert!(one.held(now).late);
    one.refuse();
    assert!(one.bytes().is_empty() && one.is_refused);
}

#[test]
fn a_verdict_is_due_from_the_first_byte_on() {
    let (mut one, now) = connection(0);
    let later = |seconds| now + Duration::from_secs(seconds);
    one.add(&piece(0, 0, b"a"), now).unwrap();
    one.add(&piece(0, 1, b"b"), later(29)).unwrap();
    assert!(!one.held(later(29)).late && one.held(later(30)).late);
    assert!(!one.held(later(30)).paused && one.held(later(31)).paused);
    assert_eq!(one.deadline(later(29)), later(30));
    // Of what comes behind something that has left, anew.
    one.add(&piece(2, 2, b"c"), later(40)).unwrap();
    assert!(!one.held(later(60)).late && one.held(later(70)).late);
}
