//! Who may use whom (docs/architecture.md): read from the sources, so that a shortcut between
//! rooms fails here before anybody relies on it.
#![expect(clippy::unwrap_used, reason = "a test's helpers stop it by panicking")]

#[path = "rooms/source.rs"]
mod source;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Most lines that a source file may have. Aim at 350.
const LINES: usize = 400;

/// The folders with Rust in them.
const FOLDERS: [&str; 6] =
    ["egress-common", "egress-broker", "egress-ebpf", "egress-user", "xtask", "benches"];

/// Sources of user space.
const USER_SPACE: [&str; 2] = ["egress-broker/src", "egress-user/src"];

/// Files, or folders ending in `/`, where `unsafe` may stand.
const UNSAFE: [&str; 7] = [
    "egress-common/src/pod.rs",
    "egress-ebpf/src/context.rs",
    "egress-ebpf/src/context/",
    "egress-broker/src/sys.rs",
    "egress-broker/src/sys/",
    "egress-user/src/sys.rs",
    "egress-user/tests/support/",
];

/// Crates of the language itself.
const LANGUAGE: [&str; 3] = ["std", "core", "alloc"];

/// What of the standard library does I/O or reads a clock.
const IMPURE: [&str; 8] = [
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::env",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
];

/// A module of egress-user that does no I/O and reads no clock: its name, and the crates and the other modules
/// that it may use.
type Pure = (&'static str, &'static [&'static str], &'static [&'static str]);

const PURE: [Pure; 4] = [
    // What it uses of `egress_common` is in `policy_knows_no_kernel_types`.
    ("policy", &["egress_common", "foldhash", "idna", "ipnet", "psl", "thiserror"], &[]),
    ("sniff", &["egress_common", "httparse", "loona_hpack", "rustls", "thiserror"], &[]),
    // `time` is the standard library's, whose name within braces looks like that of the crate.
    ("pins", &["egress_common", "thiserror", "time"], &["policy"]),
    ("judge", &["egress_common"], &["pins", "policy", "record", "sniff"]),
];

/// What writes to the terminal or to whoever started us.
const PRINTING: [&str; 7] = ["print", "println", "eprint", "eprintln", "dbg", "stdout", "stderr"];

#[test]
fn pure_rooms_use_only_what_they_may() {
    let dependencies = dependencies();
    for (room, crates, rooms) in PURE {
        for (file, code) in sources_of(room) {
            // Tests may read fixtures and use what tests use.
            let is_test = is_test(&file);
            for (head, next) in source::paths(&code) {
                assert!(head != "egress_user", "{file} names its own crate: write crate::");
                if head == "crate" {
                    let may = next == room || rooms.contains(&next.as_str());
                    assert!(is_test || may, "{file} uses crate::{next}");
                } else if dependencies.contains(&head) && !is_test {
                    assert!(crates.contains(&head.as_str()), "{file} uses {head}");
                }
            }
            for impure in IMPURE {
                assert!(
                    is_test || !code.contains(impure),
                    "{file} uses {impure}: this room does no I/O"
                );
            }
        }
    }
}

#[test]
fn policy_knows_no_kernel_types() {
    // Its tests neither: what the kernel is told is for `pins` and `kernel` to make of it.
    for (file, code) in sources_of("policy") {
        for (head, next) in source::paths(&code) {
            assert!(head != "egress_common" || next == "Reason", "{file} uses {head}::{next}");
        }
    }
}

#[test]
fn one_room_tells_the_kernels_time() {
    for (file, code) in USER_SPACE.into_iter().flat_map(sources) {
        if file == "egress-broker/src/clock.rs" {
            continue;
        }
        let words: BTreeSet<&str> = source::words(&code).collect();
        assert!(!words.contains("CLOCK_BOOTTIME"), "{file} reads the clock itself: use clock");
        assert!(!code.contains("fn boottime_ns"), "{file} has a clock of its own: use clock");
        for uses in code.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
            assert!(!uses.contains("boottime_ns"), "{file} gives the clock on: use clock");
        }
    }
}

#[test]
fn kernel_knows_no_dns() {
    for (file, code) in sources_of("kernel") {
        for (head, next) in source::paths(&code) {
            assert!(head != "crate" || next != "dns", "{file} uses crate::dns");
        }
    }
}

#[test]
fn nothing_but_cli_prints() {
    for (file, code) in USER_SPACE.into_iter().flat_map(sources) {
        let is_cli = file.starts_with("egress-user/src/cli") || file == "egress-broker/src/cli.rs";
        // `worker::misbehave` is in builds for tests alone, and writes nothing but by the log.
        if is_cli || is_test(&file) || file.ends_with("worker/misbehave.rs") {
            continue;
        }
        let found = source::words(&code).find(|word| PRINTING.contains(word));
        assert!(found.is_none(), "{file} prints: {found:?}");
    }
}

#[test]
fn sys_uses_nothing_of_ours() {
    for (file, code) in sources_of("sys") {
        for (head, next) in source::paths(&code) {
            // The contract's records pass through here; nothing else of ours does.
            let ours = head == "crate" && next != "sys";
            assert!(!ours, "{file} uses {head}::{next}");
        }
    }
}

#[test]
fn no_room_is_left_by_super() {
    let modules = modules();
    for room in PURE.iter().map(|(room, ..)| *room).chain(["sys"]) {
        for (file, code) in sources_of(room) {
            for (count, next) in source::supers(&code) {
                // `super` in policy/host.rs is policy; another one is the root of the crate.
                let inside = count <= depth(&file);
                let ours = next != room && modules.contains(&next);
                assert!(inside || !ours, "{file} leaves its room: super::{next}");
            }
        }
    }
}

#[test]
fn nothing_uses_cli() {
    for (file, code) in sources("egress-user/src") {
        // main.rs is the edge that starts it.
        if file.starts_with("egress-user/src/cli") || file == "egress-user/src/main.rs" {
            continue;
        }
        for (head, next) in source::paths(&code) {
            assert!(head != "cli" && !(head == "crate" && next == "cli"), "{file} uses cli");
        }
    }
}

#[test]
fn unsafe_stands_only_in_its_places() {
    for (file, code) in FOLDERS.into_iter().flat_map(sources) {
        let inside = |place: &str| file == place || place.ends_with('/') && file.starts_with(place);
        // `#[unsafe(no_mangle)]` and its like give a symbol its name; they hold no pointer code.
        let code = code.replace("#[unsafe(", "#[attribute(");
        let found = source::words(&code).any(|word| word == "unsafe");
        let allowed = UNSAFE.into_iter().any(inside);
        assert!(allowed || !found, "{file} has unsafe code; it may stand in {UNSAFE:?}");
    }
}

#[test]
fn files_stay_short() {
    for file in FOLDERS.iter().flat_map(|folder| files(&root().join(folder))) {
        let count = fs::read_to_string(&file).unwrap().lines().count();
        assert!(count <= LINES, "{} has {count} lines; split it", file.display());
    }
}

/// Arguments, specification, wait, print: what is more belongs into the library.
#[test]
fn the_command_run_is_thin() {
    let file = root().join("egress-user/src/cli/run.rs");
    let count = fs::read_to_string(file).unwrap().lines().count();
    assert!(count < 150, "cli/run.rs has {count} lines; a sandbox's life is `sandbox`'s");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every dependency of the workspace, as code spells it.
fn dependencies() -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    table
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .filter(|name| !LANGUAGE.contains(&name.as_str()))
        .collect()
}

/// The top-level modules of user space.
fn modules() -> BTreeSet<String> {
    let places =
        USER_SPACE.into_iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    places
        .map(|place| place.unwrap().path().file_stem().unwrap().to_string_lossy().into())
        .collect()
}

/// How many times `super` may be written in a file before it leads to the root of the crate: 0 times
/// in `policy/mod.rs`, once in `policy/host.rs`.
fn depth(file: &str) -> usize {
    let inside = inside(file).trim_end_matches(".rs");
    inside.trim_end_matches("/mod").matches('/').count()
}

/// `tests.rs`, what lies in `tests/`, and worlds that tests are made of.
fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("/tests/") || file.ends_with("/support.rs")
}

/// The code of a module of user space, which is a file or a folder or both, in one package or in both.
fn sources_of(module: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = USER_SPACE.into_iter().flat_map(sources).collect();
    found.retain(|(file, _)| {
        let inside = inside(file);
        inside == format!("{module}.rs") || inside.starts_with(&format!("{module}/"))
    });
    assert!(!found.is_empty(), "user space has no module {module}");
    found
}

/// A file's path from its package's sources on.
fn inside(file: &str) -> &str {
    USER_SPACE
        .into_iter()
        .find_map(|folder| file.strip_prefix(folder))
        .unwrap_or(file)
        .trim_start_matches('/')
}

/// (path from the repository's root, code without comments and literals) of all Rust files below.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = root();
    let named = |file: PathBuf| {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name, source::code(&fs::read_to_string(&file).unwrap()))
    };
    files(&root.join(folder)).into_iter().map(named).collect()
}

/// All Rust files at or below a folder, build output left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(files(&path));
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}
