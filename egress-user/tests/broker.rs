//! What `egress-broker` is made of: nothing that reads what others wrote.

use std::{collections::BTreeSet, fs, process::Command};

/// Everything in its graph, with what each is for. A crate that is added here parses nothing but our own kernel object,
/// or is none that runs (macros).
const KNOWN: [&str; 31] = [
    // Ours.
    "egress-broker",
    "egress-common",
    // The loader of our kernel object, and what it needs for that: ELF, BTF, tables.
    "aya",
    "aya-obj",
    "assert_matches",
    "bytes",
    "crc32fast",
    "equivalent",
    "foldhash",
    "hashbrown",
    "indexmap",
    "log",
    "memchr",
    "object",
    "once_cell",
    "scopeguard",
    // System calls.
    "bitflags",
    "caps",
    "cfg-if",
    "enumflags2",
    "landlock",
    "libc",
    "memoffset",
    "nix",
    // Errors, and events that nobody hears.
    "pin-project-lite",
    "thiserror",
    "tracing",
    "tracing-core",
    // Macros.
    "enumflags2_derive",
    "thiserror-impl",
    "tracing-attributes",
];

/// What macros are made of, which is not linked.
const OF_MACROS: [&str; 4] = ["proc-macro2", "quote", "syn", "unicode-ident"];

/// What reads foreign bytes in `egress`, as their code's symbols and paths have it.
const PARSERS: [&str; 9] = [
    "tokio",
    "rustls",
    "hickory_proto",
    "httparse",
    "loona_hpack",
    "toml",
    "serde_json",
    "jsonc_parser",
    "saphyr_parser",
];

#[test]
fn its_graph_has_no_parser() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../egress-broker/Cargo.toml");
    let mut tree = Command::new(cargo);
    tree.args([
        "tree",
        "--offline",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--manifest-path",
        manifest,
    ]);
    let out = tree.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let found: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(found.contains("aya"), "{text}");
    let known: BTreeSet<_> = KNOWN.into_iter().chain(OF_MACROS).collect();
    let unknown: Vec<_> = found.difference(&known).collect();
    assert!(unknown.is_empty(), "what do these read? {unknown:?}");
}

#[test]
fn its_program_has_no_parser() {
    let parsers_of = |program: &str| -> BTreeSet<&str> {
        let bytes = fs::read(program).unwrap();
        // Mangled symbols have a name's length before it; paths of panics have the package's folder.
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        PARSERS
            .into_iter()
            .filter(|name| {
                has(&format!("{}{name}", name.len()))
                    || has(&format!("/{}-", name.replace('_', "-")))
            })
            .collect()
    };
    assert!(parsers_of(env!("CARGO_BIN_EXE_egress")).len() >= 6, "symbols are still read");
    assert_eq!(parsers_of(env!("CARGO_BIN_EXE_egress-broker")), BTreeSet::new());
}
