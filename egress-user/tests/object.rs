//! The committed kernel object was built from the sources beside it, carries BTF, and does not
//! tell where it was built.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers stop it by panicking"
)]

#[path = "../../xtask/src/digest.rs"]
mod digest;
#[path = "object/stack.rs"]
mod stack;

use std::{
    fs,
    path::{Path, PathBuf},
};

use digest::{OBJECT, RECORD, Record};

/// What to do about every failure here.
const STALE: &str = "stale: run cargo xtask build-ebpf";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn object() -> Vec<u8> {
    fs::read(root().join(OBJECT)).unwrap_or_else(|error| panic!("{OBJECT}: {error}; {STALE}"))
}

fn record() -> (String, Record) {
    let text = fs::read_to_string(root().join(RECORD));
    let text = text.unwrap_or_else(|error| panic!("{RECORD}: {error}; {STALE}"));
    let record = Record::parse(&text).unwrap_or_else(|error| panic!("{RECORD}: {error}; {STALE}"));
    (text, record)
}

#[test]
fn was_built_from_these_sources() {
    let sources = digest::of_sources(&root());
    let sources = sources.unwrap_or_else(|error| panic!("{error}; {STALE}"));
    assert_eq!(record().1.sources, sources, "{STALE}");
}

#[test]
fn is_the_object_that_the_record_is_about() {
    assert_eq!(record().1.object, digest::of_bytes(&object()), "{STALE}");
}

#[test]
fn the_record_holds_nothing_but_what_is_read() {
    let (text, record) = record();
    assert_eq!(text, record.to_string(), "{STALE}");
}

#[test]
fn carries_btf() {
    let names = section_names(&object());
    for wanted in [".BTF", ".BTF.ext"] {
        assert!(names.iter().any(|name| name == wanted), "no {wanted} in {names:?}; {STALE}");
    }
}

#[test]
fn holds_no_host_paths() {
    // What stands for the compiler's, cargo's and the repository's folders (docs/kernel-build.md).
    const KNOWN: [&str; 3] = ["/rust", "/cargo", "/egress"];
    for text in object().split(|byte| !(b'!'..=b'~').contains(byte)) {
        let text = String::from_utf8_lossy(text);
        // Bytes of code may look like a shorter one.
        let is_path = text.len() > 8 && text.starts_with('/') && text[1..].contains('/');
        let is_known = KNOWN.iter().any(|known| text.starts_with(&format!("{known}/")));
        assert!(!is_path || is_known, "{OBJECT} holds the path {text}");
    }
}

/// `MAX_BPF_STACK` of linux/filter.h. `cargo xtask vm` shows that 6.1 loads the object; this shows without it that a
/// function has grown.
#[test]
fn no_program_needs_more_stack_than_linux_has() {
    let functions = stack::Functions::of(&object());
    for program in egress_common::abi::PROGRAMS {
        let (depth, chain) = functions.deepest(program.name);
        let chain: Vec<_> = chain.iter().map(|one| format!("{} {}", one.name, one.depth)).collect();
        assert!(depth <= 512, "{} takes {depth} bytes: {chain:#?}", program.name);
    }
}

/// The reckoning sees frames and calls at all.
#[test]
fn what_keeps_and_calls_more_takes_more_stack() {
    let functions = stack::Functions::of(&object());
    let depth = |name| functions.deepest(name).0;
    assert!(depth("egress_packet") > depth("egress_sockops"), "the packet hook calls the most");
    assert!(depth("egress_sockops") > 256, "its frame holds the record of a socket");
    assert_eq!(depth("egress_peer4"), 32, "it keeps nothing");
}

/// Names of an ELF64 little-endian object's sections.
fn section_names(object: &[u8]) -> Vec<String> {
    assert_eq!(object[..6], *b"\x7fELF\x02\x01", "{OBJECT} is no little-endian ELF64");
    let half = |at: usize| usize::from(u16::from_le_bytes([object[at], object[at + 1]]));
    let word = |at: usize| u32::from_le_bytes(object[at..at + 4].try_into().unwrap()) as usize;
    let long = |at: usize| {
        usize::try_from(u64::from_le_bytes(object[at..at + 8].try_into().unwrap())).unwrap()
    };
    // e_shoff, e_shentsize, e_shnum, e_shstrndx; then sh_name and sh_offset of each header.
    let (headers, size, count, names) = (long(0x28), half(0x3a), half(0x3c), half(0x3e));
    let strings = long(headers + names * size + 0x18);
    (0..count)
        .map(|index| strings + word(headers + index * size))
        .map(|start| {
            let end = start + object[start..].iter().position(|byte| *byte == 0).unwrap();
            String::from_utf8_lossy(&object[start..end]).into_owned()
        })
        .collect()
}
