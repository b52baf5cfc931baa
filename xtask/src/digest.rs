//! The record beside the kernel object: which sources it was built from, and with what.
//!
//! `egress-user/tests/object.rs` includes this very file, so that the command that writes the
//! record and the test that reads it cannot disagree.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use ring::digest::{Context, SHA256, digest};

/// The kernel object, from the repository's root.
pub(crate) const OBJECT: &str = "egress-ebpf/egress.bpf.o";

/// The record, from the repository's root.
pub(crate) const RECORD: &str = "egress-ebpf/egress.bpf.o.digest";

/// What the object is built from: the kernel side, and the contract crate that it shares with the
/// user side. Folders are taken whole.
const SOURCES: [&str; 5] = [
    "egress-common/Cargo.toml",
    "egress-common/src",
    "egress-ebpf/Cargo.lock",
    "egress-ebpf/Cargo.toml",
    "egress-ebpf/src",
];

/// What is written beside the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// SHA-256 over the sources, see [`of_sources`].
    pub(crate) sources: String,
    /// SHA-256 of the object.
    pub(crate) object: String,
    /// First line of `rustc --version`.
    pub(crate) rustc: String,
    /// LLVM of that rustc.
    pub(crate) llvm: String,
    /// First line of `bpf-linker --version`.
    pub(crate) linker: String,
}

impl Record {
    /// Reads the text that [`Record`]'s `Display` writes; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Record, String> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
                .ok_or_else(|| format!("no line `{name}: ...`"))
        };
        Ok(Record {
            sources: field("sources")?,
            object: field("object")?,
            rustc: field("rustc")?,
            llvm: field("llvm")?,
            linker: field("bpf-linker")?,
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `cargo xtask build-ebpf`; see docs/kernel-build.md.")?;
        writeln!(f, "sources: {}", self.sources)?;
        writeln!(f, "object: {}", self.object)?;
        writeln!(f, "rustc: {}", self.rustc)?;
        writeln!(f, "llvm: {}", self.llvm)?;
        writeln!(f, "bpf-linker: {}", self.linker)
    }
}

/// SHA-256 over the sources below `root`, in hexadecimal.
///
/// Each file goes in as the length of its path, its path, the length of its contents, its
/// contents (lengths as eight bytes, big-endian), in the order of the paths: no two sets of
/// files give the same bytes.
pub(crate) fn of_sources(root: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    let mut named = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        named.push((name, file));
    }
    named.sort();
    let mut context = Context::new(&SHA256);
    for (name, file) in named {
        framed(&mut context, name.as_bytes());
        framed(&mut context, &read(&file)?);
    }
    Ok(hex(context.finish().as_ref()))
}

/// SHA-256 of these bytes, in hexadecimal.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// All files at or below `path`.
fn collect(path: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        into.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), into)?;
    }
    Ok(())
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    fs::read(file)
        .map_err(|error| io::Error::new(error.kind(), format!("read {}: {error}", file.display())))
}

fn framed(context: &mut Context, bytes: &[u8]) {
    context.update(&(bytes.len() as u64).to_be_bytes());
    context.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
