//! ClientHellos: one verdict however the bytes are split, a name in it that is one, and no other name
//! in the kernel side's eyes than in the proxy's.
use egress_common::hello::{self, Finding};
use egress_user::sniff::{Protocol, Sniffer, TlsSniff, TlsSniffer};

/// Longer inputs are cut into pieces instead of bytes: each read costs time.
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
    agree(bytes);
    let TlsSniff::Hello(hello) = whole else { return };
    assert_eq!(protocol, Protocol::Tls);
    let Some(name) = &hello.server_name else { return };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    assert!(!name.is_empty() && name.bytes().all(plain), "{name:?}");
    assert!(!name.bytes().any(|b| b.is_ascii_uppercase()), "{name:?}");
}

/// Holds the kernel side's reading of a first payload against the proxy's.
///
/// The proxy may be stricter with a hello of the same name, since it has rustls read it as well, and
/// may know earlier that a hello is none.
pub fn agree(bytes: &[u8]) {
    use TlsSniff::{Hello, Malformed, Need, NotTls};
    if bytes.is_empty() {
        return;
    }
    let proxy = TlsSniffer::new().feed(bytes);
    let kernel = hello::read(bytes);
    let agrees = match (&kernel, &proxy) {
        (Ok((name, said)), Hello(hello)) => {
            let bytes = hello::bytes(name);
            let (read, rest) = bytes.split_at(said.length as usize);
            let name = hello.server_name.as_deref().unwrap_or_default();
            read == name.strip_suffix('.').unwrap_or(name).as_bytes()
                && rest.iter().all(|byte| *byte == 0)
                && said.encrypted == hello.ech
        }
        (Ok(_), Malformed(_)) => true,
        (Err(Finding::NotTls), NotTls) => true,
        (Err(Finding::Incomplete), Need | Malformed(_)) => true,
        (Err(Finding::Malformed), Malformed(_)) => true,
        (Err(Finding::NoName), Hello(hello)) => hello.server_name.is_none(),
        (Err(Finding::NoName), Malformed(_)) => true,
        (Err(Finding::Unreadable), _) => true,
        _ => false,
    };
    assert!(agrees, "kernel side {kernel:?}, proxy {proxy:?}");
}
