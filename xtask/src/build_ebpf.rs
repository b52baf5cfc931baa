//! `cargo xtask build-ebpf`: the kernel object and the record beside it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    cargo,
    digest::{self, Record},
    toolchain::{Origin, Toolchain},
};

#[derive(Args)]
pub(crate) struct Options {
    /// Install the toolchain first where it is missing (Debian, as root)
    #[arg(long)]
    install: bool,
    /// Write nothing: build from nothing in a folder of its own, and compare with the committed
    /// object
    #[arg(long)]
    check: bool,
    /// Use this toolchain; otherwise Debian's, then rustup's
    #[arg(long, value_enum)]
    toolchain: Option<Origin>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let root = cargo::root();
    if !root.join("egress-ebpf/Cargo.toml").is_file() {
        bail!("{} has no egress-ebpf: nothing to build", root.display());
    }
    if options.install && options.toolchain != Some(Origin::Rustup) {
        Toolchain::install()?;
    }
    let toolchain = Toolchain::find(options.toolchain)?;
    println!(
        "building the kernel object with {} (LLVM {}), {}",
        toolchain.rustc_version, toolchain.llvm_version, toolchain.linker_version
    );
    let target = root.join("egress-ebpf/target");
    if options.check {
        let target = target.join("check");
        forget(&target)?;
        let (object, record) = build(&toolchain, &root, &target)?;
        let code = compare(&root, &object, &record)?;
        forget(&target)?;
        return Ok(code);
    }
    let (object, record) = build(&toolchain, &root, &target)?;
    write(&root.join(digest::OBJECT), &object)?;
    write(&root.join(digest::RECORD), record.to_string().as_bytes())?;
    println!("wrote {} ({} bytes) and its digest", digest::OBJECT, object.len());
    Ok(ExitCode::SUCCESS)
}

/// Builds into `target`; the object's bytes and what to record of them.
fn build(toolchain: &Toolchain, root: &Path, target: &Path) -> anyhow::Result<(Vec<u8>, Record)> {
    // Before the build, so that a source edited meanwhile leaves a record that does not match.
    let sources = digest::of_sources(root)?;
    let path = toolchain.build(root, target)?;
    let object = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    refuse_host_paths(&object, root)?;
    if !contains(&object, b".BTF\0") {
        bail!("{} has no BTF: was bpf-linker called with --btf?", path.display());
    }
    let record = Record {
        sources,
        object: digest::of_bytes(&object),
        rustc: toolchain.rustc_version.clone(),
        llvm: toolchain.llvm_version.clone(),
        linker: toolchain.linker_version.clone(),
    };
    Ok((object, record))
}

/// Says how the object that was just built differs from the committed one.
///
/// Other compilers give other objects, which is no fault. The same compilers and the same sources
/// must give the same bytes.
fn compare(root: &Path, object: &[u8], built: &Record) -> anyhow::Result<ExitCode> {
    let committed = root.join(digest::OBJECT);
    let bytes = fs::read(&committed)
        .with_context(|| format!("read {}: run cargo xtask build-ebpf", committed.display()))?;
    if bytes == object {
        println!("byte-identical to {} (sha256 {})", digest::OBJECT, built.object);
        return Ok(ExitCode::SUCCESS);
    }
    let path = root.join(digest::RECORD);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("read {}: run cargo xtask build-ebpf", path.display()))?;
    let recorded = Record::parse(&text).map_err(|error| {
        anyhow::anyhow!("{}: {error}: run cargo xtask build-ebpf", path.display())
    })?;
    println!("not byte-identical to {}:", digest::OBJECT);
    let rows = [
        ("sources", &recorded.sources, &built.sources),
        ("object", &recorded.object, &built.object),
        ("rustc", &recorded.rustc, &built.rustc),
        ("llvm", &recorded.llvm, &built.llvm),
        ("bpf-linker", &recorded.linker, &built.linker),
    ];
    for (what, then, now) in rows {
        if then == now {
            println!("  {what}: {then}, the same");
        } else {
            println!("  {what}: committed {then}, here {now}");
        }
    }
    if recorded.sources != built.sources {
        println!("stale: run cargo xtask build-ebpf and commit the result");
        return Ok(ExitCode::FAILURE);
    }
    if rows[2..].iter().any(|(_, then, now)| then != now) {
        println!("built with other versions, so this is expected; the build itself succeeded");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "same sources, same versions, other bytes: the object was not built from these sources"
    );
    Ok(ExitCode::FAILURE)
}

/// Fails when the object tells where it was built.
fn refuse_host_paths(object: &[u8], root: &Path) -> anyhow::Result<()> {
    let home = env::var_os("HOME").map(PathBuf::from);
    let places = [Some(root.to_path_buf()), home, cargo::home()];
    for place in places.into_iter().flatten() {
        let text = place.to_string_lossy().into_owned();
        // A home of `/`, and folders that bear the names that stand for them in the object.
        if text.len() < 2 || ["/egress", "/cargo", "/rust"].contains(&text.as_str()) {
            continue;
        }
        if contains(object, text.as_bytes()) {
            bail!("the object holds the host path {text}: a --remap-path-prefix is missing");
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // Whole or not at all: a build that is interrupted must not leave half an object.
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes).with_context(|| format!("write {}", fresh.display()))?;
    fs::rename(&fresh, path).with_context(|| format!("write {}", path.display()))
}

fn forget(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
