use proptest::prelude::*;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../../tests/data/hello/", $name, ".bin")).as_slice())
    };
}

type File = (&'static str, &'static [u8]);

/// Every captured hello with the name it shows.
const FIXTURES: [(File, Option<&str>); 11] = [
    (fixture!("curl-openssl3"), Some("curl.test")),
    (fixture!("openssl-s-client"), Some("openssl.test")),
    (fixture!("openssl-tls12-only"), Some("old.test")),
    (fixture!("no-sni"), None),
    (fixture!("ip-sni"), Some("192.0.2.7")),
    (fixture!("trailing-dot"), Some("dot.test")),
    (fixture!("python-ssl"), Some("python.test")),
    (fixture!("node20"), Some("node.test")),
    (fixture!("two-records"), Some("curl.test")),
    (fixture!("ech-grease"), Some("curl.test")),
    (fixture!("post-quantum-large"), Some("curl.test")),
];

const CURL: &[u8] = FIXTURES[0].0.1;

fn sniff(bytes: &[u8]) -> TlsSniff {
    TlsSniffer::new().feed(bytes)
}

/// The verdict when bytes come one at a time, and after how many.
fn sniff_bytewise(bytes: &[u8]) -> (TlsSniff, usize) {
    let mut sniffer = TlsSniffer::new();
    for len in 0..=bytes.len() {
        let verdict = sniffer.feed(&bytes[..len]);
        if verdict != TlsSniff::Need {
            return (verdict, len);
        }
    }
    (TlsSniff::Need, bytes.len())
}

fn hello(bytes: &[u8]) -> Hello {
    match sniff(bytes) {
        TlsSniff::Hello(hello) => hello,
        other => panic!("no hello: {other:?}"),
    }
}

fn malformed(bytes: &[u8]) -> &'static str {
    let (TlsSniff::Malformed(why), _) = sniff_bytewise(bytes) else {
        panic!("taken: {:?}", sniff(bytes))
    };
    assert_eq!(sniff(bytes), TlsSniff::Malformed(why), "one read and many differ");
    why
}

fn records(message: &[u8], fragment: usize) -> Vec<u8> {
    message.chunks(fragment).flat_map(|part| [&record_header(22, part), part].concat()).collect()
}

fn record_header(kind: u8, part: &[u8]) -> [u8; 5] {
    let [high, low] = u16::try_from(part.len()).unwrap().to_be_bytes();
    [kind, 3, 1, high, low]
}

/// A field with a length of two bytes before it.
fn vector16(body: &[u8]) -> Vec<u8> {
    [&u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(body)].concat()
}

fn host_name(name: &[u8]) -> Vec<u8> {
    [&[0][..], &vector16(name)].concat()
}

fn server_name(list: &[u8]) -> Vec<u8> {
    extension(0, &vector16(list))
}

/// A TLS 1.2 hello message with these extensions behind those that rustls asks for.
fn message(extensions: &[u8]) -> Vec<u8> {
    let signatures = extension(13, &vector16(&[4, 3]));
    let groups = extension(10, &vector16(&[0, 29]));
    let all = [&signatures[..], &groups, extensions].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &vector16(&[0xc0, 0x2b]), &[1, 0], &vector16(&all)];
    let body = body.concat();
    [&[1, 0][..], &vector16(&body)].concat()
}

fn named(list: &[u8]) -> Vec<u8> {
    records(&message(&server_name(list)), 1 << 14)
}

#[test]
fn reads_captured_hellos() {
    for ((file, bytes), name) in FIXTURES {
        let hello = hello(bytes);
        assert_eq!(hello.server_name.as_deref(), name, "{file}");
        assert_eq!(hello.ech, file == "ech-grease", "{file}");
        assert_eq!(hello.names_address(), file == "ip-sni", "{file}");
        // The other two parsers, which read what is in several records.
        if file != "two-records" {
            let length = bytes.len() - 5;
            let cut = records(&bytes[5..5 + length], 30);
            assert_eq!(self::hello(&cut), hello, "{file}");
        }
    }
    assert!(FIXTURES[10].0.1.len() > 1500);
}

#[test]
fn every_prefix_needs_more_and_every_split_gives_the_same() {
    for ((file, bytes), _) in FIXTURES {
        let whole = sniff(bytes);
        assert_eq!(sniff_bytewise(bytes), (whole.clone(), bytes.len()), "{file}");
        for len in 0..bytes.len() {
            let mut sniffer = TlsSniffer::new();
            assert_eq!(sniffer.feed(&bytes[..len]), TlsSniff::Need, "{file} at {len}");
            assert_eq!(sniffer.feed(bytes), whole, "{file} split at {len}");
        }
    }
}

#[test]
fn same_hello_in_records_of_any_size() {
    for fragment in [1, 2, 3, 4, 5, 7, 100, 511] {
        let cut = records(&CURL[5..], fragment);
        assert_eq!(sniff(&cut), sniff(CURL), "fragments of {fragment}");
        assert_eq!(sniff_bytewise(&cut), (sniff(CURL), cut.len()));
    }
}

#[test]
fn bytes_behind_the_last_record_change_nothing() {
    let early_data = [CURL, &[23, 3, 3, 0, 1, 0]].concat();
    assert_eq!(sniff(&early_data), sniff(CURL));
    let mut sniffer = TlsSniffer::new();
    let first = sniffer.feed(CURL);
    assert_eq!(sniffer.feed(&early_data), first);
}

#[test]
fn tells_what_is_not_tls_at_the_first_certain_byte() {
    for (bytes, at) in [
        (&b"GET / HTTP/1.1\r\n"[..], 1),
        (&[0x15, 3, 1, 0, 2, 2, 0], 1),
        (&[0x80, 0x2e, 1, 3, 1], 1),
        (&[0x14, 3, 1, 0, 1, 1], 1),
        (&[0x17, 3, 3, 0, 1, 1], 1),
        (&[0x16, 2, 0, 0, 1], 2),
    ] {
        assert_eq!(sniff_bytewise(bytes), (TlsSniff::NotTls, at), "{bytes:x?}");
        assert_eq!(sniff(bytes), TlsSniff::NotTls);
    }
}

#[test]
fn refuses_bad_records() {
    assert_eq!(malformed(&[22, 3, 1, 0, 0]), "record of zero length");
    assert_eq!(malformed(&[22, 3, 1, 0x40, 1]), "record is too long");
    assert_eq!(malformed(&[22, 3, 1, 0, 4, 2]), "first handshake message is not a ClientHello");
    let start = &records(&CURL[5..105], 100)[..];
    for (next, why) in [
        (&[21, 3, 1, 0, 2, 1, 0][..], "another record type inside the hello"),
        (&[23, 3, 3, 0, 1, 0], "another record type inside the hello"),
        (&[22, 2, 0, 0, 1], "record version is not 3.x"),
        (&[22, 3, 1, 0, 0], "record of zero length"),
    ] {
        assert_eq!(malformed(&[start, next].concat()), why);
    }
    let two_messages = [&CURL[5..], &[1, 0, 0, 0]].concat();
    assert_eq!(
        malformed(&records(&two_messages, 1 << 14)),
        "handshake data follows the hello in its record"
    );
}

#[test]
fn stops_at_the_limits() {
    let claim = |len: u32| [&[22, 3, 1, 0, 4, 1][..], &len.to_be_bytes()[1..]].concat();
    let longest = u32::try_from(HELLO_LIMIT_BYTES).unwrap() - 4;
    assert_eq!(sniff(&claim(longest)), TlsSniff::Need);
    assert_eq!(malformed(&claim(longest + 1)), "hello is too long");

    let padding = |len: usize| extension(21, &vec![0; len]);
    let without = message(&padding(0)).len();
    let full = message(&padding(HELLO_LIMIT_BYTES - without));
    assert_eq!(full.len(), HELLO_LIMIT_BYTES);
    assert_eq!(hello(&records(&full, 1400)).server_name, None);
    assert_eq!(malformed(&records(&full, 2)), "hello is cut into too many records");
}

#[test]
fn takes_only_one_host_name() {
    assert_eq!(hello(&named(&host_name(b"A_1.test"))).server_name.as_deref(), Some("a_1.test"));
    let long = [&[b'a'; 64][..], b".test"].concat();
    for (list, why) in [
        (vec![], "server name list is empty"),
        (host_name(b""), "server name is not a host name"),
        (host_name(b"."), "server name is not a host name"),
        (host_name(b"a..test"), "server name is not a host name"),
        (host_name(b"a.test.."), "server name is not a host name"),
        (host_name(b"a.test\0.evil"), "server name is not a host name"),
        (host_name(b"a.test:443"), "server name is not a host name"),
        (host_name(b"*.test"), "server name is not a host name"),
        (host_name(&long), "server name is not a host name"),
        (host_name(b"fe80::1%eth0"), "server name is not a host name"),
        (host_name(&[0xff, b'a']), "server name is not ASCII"),
        ([host_name(b"a.test"), host_name(b"b.test")].concat(), "more than one server name"),
        ([host_name(b"a.test"), vec![9, 0, 1, 7]].concat(), "more than one server name"),
        ([vec![9], vector16(b"a.test")].concat(), "server name of an unknown type"),
        (vec![0, 0, 9, b'a'], "server name extension ends inside a field"),
    ] {
        assert_eq!(malformed(&named(&list)), why, "{}", list.escape_ascii());
    }
    let twice = [server_name(&host_name(b"a.test")), server_name(&host_name(b"b.test"))].concat();
    assert_eq!(malformed(&records(&message(&twice), 1 << 14)), "the same extension twice");
    let over = extension(0, &[&vector16(&host_name(b"a.test"))[..], &[0]].concat());
    assert_eq!(malformed(&records(&message(&over), 1 << 14)), "bytes after the server name list");
}

#[test]
fn addresses_are_shown_and_are_no_names() {
    for text in ["10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"] {
        let hello = hello(&named(&host_name(text.as_bytes())));
        assert_eq!(hello.server_name.as_deref(), Some(text));
        assert!(hello.names_address());
    }
}

#[test]
fn sees_every_form_of_encrypted_hello() {
    // rustls reads the body of the settled extension, and refuses one that isn't well-formed.
    let outer = [&[0, 0, 1, 0, 1, 42][..], &vector16(&[7; 32]), &vector16(&[7; 144])].concat();
    for (kind, body, ech) in
        [(0xfe0d, &outer[..], true), (0xfe08, &[], true), (0xffce, &[], true), (0xfe0e, &[], false)]
    {
        assert_eq!(hello(&records(&message(&extension(kind, body)), 1 << 14)).ech, ech, "{kind:x}");
    }
    let empty = records(&message(&extension(0xfe0d, &[])), 1 << 14);
    assert_eq!(malformed(&empty), "a TLS server refuses the hello");
}

/// Names the other parser gives for these bytes alone, `Err` if it refuses them.
fn rustls_name(mut bytes: &[u8]) -> Result<Option<String>, ()> {
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut bytes).map_err(drop)?;
    let accepted = acceptor.accept().map_err(drop)?.ok_or(())?;
    Ok(accepted.client_hello().server_name().map(str::to_lowercase))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_gives_a_name_that_a_server_does_not_see(
        file in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = FIXTURES[file].0.1.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let verdict = sniff(&bytes);
        prop_assert_eq!(&sniff_bytewise(&bytes).0, &verdict);
        if let TlsSniff::Hello(hello) = verdict {
            let seen = if hello.names_address() { None } else { hello.server_name };
            // What it refuses for another reason, others may take.
            if let Ok(name) = rustls_name(&bytes) {
                let name = name.map(|name| name.trim_end_matches('.').to_owned());
                let seen = seen.map(|name| name.trim_end_matches('.').to_owned());
                prop_assert_eq!(name, seen);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_get_one_verdict(
        bytes in prop::collection::vec(any::<u8>(), 0..300), tls in any::<bool>(),
    ) {
        let bytes = if tls { [&[22, 3, 1, 1, 0, 1, 0, 0][..], &bytes].concat() } else { bytes };
        prop_assert_eq!(sniff_bytewise(&bytes).0, sniff(&bytes));
    }

    #[test]
    fn any_extension_list_gets_one_verdict(
        kinds in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..20)), 0..8),
    ) {
        let list: Vec<u8> = kinds.iter().flat_map(|(kind, body)| extension(*kind, body)).collect();
        let bytes = records(&message(&list), 50);
        prop_assert_eq!(sniff_bytewise(&bytes).0, sniff(&bytes));
    }
}

/// Single bytes, exhaustively over the front, where the structure is.
#[test]
fn no_single_byte_change_makes_the_parsers_differ() {
    let mut compared = 0;
    for at in 0..CURL.len().min(200) {
        for flip in [1, 2, 0x20, 0x80, 0xff] {
            let mut bytes = CURL.to_vec();
            bytes[at] ^= flip;
            if let (TlsSniff::Hello(hello), Ok(name)) = (sniff(&bytes), rustls_name(&bytes)) {
                assert_eq!(name, hello.server_name, "byte {at} ^ {flip:x}");
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared} were read by both");
}
