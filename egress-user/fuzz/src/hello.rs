//! ClientHellos: one verdict however the bytes are split, and a name in it that is one.
use egress_user::sniff::{Protocol, Sniffer, TlsSniff, TlsSniffer};

/// Longer inputs are cut into pieces instead of octets: each read costs time.
const BYTEWISE: usize = 4096;

/// Bytes of a connection.
pub fn run(bytes: &[u8]) {
    let whole = TlsSniffer::new().feed(bytes);
    let step = 1 + bytes.len() / BYTEWISE;
    let mut sniffer = TlsSniffer::new();
    let mut verdict = TlsSniff::Need;
    let mut protocols = Sniffer::new();
    let mut protocol = Protocol::Need;
    for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
        let held = bytes.get(..end).unwrap_or_default();
        let next = sniffer.feed(held);
        assert!(verdict == TlsSniff::Need || verdict == next, "{verdict:?}, then {next:?}");
        verdict = next;
        if protocol == Protocol::Need {
            protocol = protocols.feed(held);
        }
    }
    assert_eq!(verdict, whole, "in pieces, and as a whole");
    assert_eq!(protocol, Sniffer::new().feed(bytes), "in pieces, and as a whole");
    let TlsSniff::Hello(hello) = whole else { return };
    assert_eq!(protocol, Protocol::Tls);
    let Some(name) = &hello.server_name else { return };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    assert!(!name.is_empty() && name.bytes().all(plain), "{name:?}");
    assert!(!name.bytes().any(|b| b.is_ascii_uppercase()), "{name:?}");
}
