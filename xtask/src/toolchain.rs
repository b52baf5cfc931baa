//! The compilers that can build the kernel side.
//!
//! Stable Rust has no `core` for `bpfel-unknown-none`, so `core` is built from its sources. Two
//! toolchains carry them: a rustup nightly with `rust-src`, and Debian's `rustc-web` with
//! `rust-web-src`. Both link with bpf-linker, which must be built against the same LLVM.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::{
    cargo,
    debian::{self, Missing},
};

/// The version of bpf-linker that `--install` installs.
const LINKER_VERSION: &str = "0.13.0";

/// Debian's packages; the LLVM must be the one that Debian's rustc was built with.
const PACKAGES: [&str; 5] =
    ["rustc-web", "cargo-web", "rust-web-src", "llvm-22-dev", "build-essential"];

/// Where `llvm-22-dev` puts LLVM.
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// Set for cargo when it is to call this executable in place of rustc.
const WRAPPER: &str = "EGRESS_XTASK_RUSTC_WRAPPER";

/// Where a compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Origin {
    /// Debian's rustc-web, cargo-web, rust-web-src
    Debian,
    /// rustup's nightly with rust-src
    Rustup,
}

/// A compiler that can build the kernel side, with its linker.
#[derive(Debug)]
pub(crate) struct Toolchain {
    origin: Origin,
    sysroot: PathBuf,
    linker: PathBuf,
    /// First line of `rustc --version --verbose`.
    pub(crate) rustc_version: String,
    /// The LLVM in it.
    pub(crate) llvm_version: String,
    /// First line of `bpf-linker --version`.
    pub(crate) linker_version: String,
}

impl Toolchain {
    /// Finds a toolchain: Debian's first, since its LLVM is the one that `--install` builds
    /// bpf-linker against. `wanted` takes only that one.
    ///
    /// # Errors
    /// [`Missing`], saying how to get one, when there is none.
    pub(crate) fn find(wanted: Option<Origin>) -> anyhow::Result<Toolchain> {
        let mut lacking = Vec::new();
        for origin in [Origin::Debian, Origin::Rustup] {
            if wanted.is_some_and(|wanted| wanted != origin) {
                continue;
            }
            match Toolchain::of(origin)? {
                Ok(toolchain) => return Ok(toolchain),
                Err(lack) => lacking.push(lack),
            }
        }
        bail!(Missing(format!(
            "the kernel side needs a compiler with core's sources, and bpf-linker:\n  {}\n\
             Either of these gives both; on Debian as root, `cargo xtask build-ebpf --install` \
             does the first one:\n\
             \n  Debian:  {}\n           {}\n\
             \n  rustup:  rustup toolchain install nightly --component rust-src\n           \
             cargo install bpf-linker --version {LINKER_VERSION}   \
             (against the LLVM that `rustup run nightly rustc -vV` names)",
            lacking.join("\n  "),
            debian::install_line(&PACKAGES),
            linker_line(),
        )))
    }

    /// The toolchain of this origin, or what it lacks.
    fn of(origin: Origin) -> anyhow::Result<Result<Toolchain, String>> {
        let Some(sysroot) = origin.sysroot() else {
            return Ok(Err(format!("{}: no such rustc here", origin.name())));
        };
        if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
            let place = sysroot.display();
            return Ok(Err(format!("{}: no sources of core in {place}", origin.name())));
        }
        let Some(linker) = linker() else {
            return Ok(Err(format!("{}: no bpf-linker in PATH or cargo's bin", origin.name())));
        };
        let about = output(origin.rustc().arg("--version").arg("--verbose"))?;
        let line = |prefix: &str| about.lines().find_map(|line| line.strip_prefix(prefix));
        let linker_version = output(Command::new(&linker).arg("--version"))?;
        Ok(Ok(Toolchain {
            origin,
            sysroot,
            rustc_version: about.lines().next().unwrap_or("unknown").to_owned(),
            llvm_version: line("LLVM version: ").unwrap_or("unknown").to_owned(),
            linker_version: linker_version.lines().next().unwrap_or("unknown").to_owned(),
            linker,
        }))
    }

    /// Installs Debian's toolchain and bpf-linker, as far as they are missing.
    pub(crate) fn install() -> anyhow::Result<()> {
        let present = Origin::Debian
            .sysroot()
            .is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir());
        if present && linker().is_some() {
            return Ok(());
        }
        if !present || !Path::new(LLVM_PREFIX).is_dir() {
            debian::install(&PACKAGES)?;
        }
        if linker().is_none() {
            println!("+ {}", linker_line());
            let mut path = OsString::from(format!("{LLVM_PREFIX}/bin:"));
            path.push(env::var_os("PATH").unwrap_or_default());
            let status = cargo::command()
                .args(["install", "bpf-linker", "--locked", "--version", LINKER_VERSION])
                .args(["--no-default-features", "--features", "llvm-22"])
                .env("LLVM_PREFIX", LLVM_PREFIX)
                .env("PATH", path)
                .status()
                .context("start cargo install bpf-linker")?;
            if !status.success() {
                bail!("cargo install bpf-linker failed ({status}); see its output above");
            }
        }
        Ok(())
    }

    /// Builds the kernel side of the repository at `root` into `target`; the object's path.
    pub(crate) fn build(&self, root: &Path, target: &Path) -> anyhow::Result<PathBuf> {
        let me = env::current_exe().context("find this executable")?;
        // First, since the flags name the folders that the sources are unpacked in.
        let mut fetch = self.origin.cargo();
        fetch.current_dir(root.join("egress-ebpf")).args(["fetch", "--locked"]);
        cargo::forget_package(&mut fetch);
        let status = fetch.status().context("start cargo")?;
        if !status.success() {
            bail!("fetching the dependencies of egress-ebpf failed ({status})");
        }
        let mut command = self.origin.cargo();
        command
            .current_dir(root.join("egress-ebpf"))
            .args(["build", "--release", "--locked", "--target", "bpfel-unknown-none"])
            .args(["-Zbuild-std=core", "--target-dir"])
            .arg(target)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags(root))
            .env("RUSTC_WRAPPER", me)
            .env(WRAPPER, "1")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .env_remove("CARGO_BUILD_RUSTFLAGS")
            .env_remove("RUSTC_WORKSPACE_WRAPPER");
        cargo::forget_package(&mut command);
        let mut path = env::var_os("PATH").unwrap_or_default();
        if let Some(folder) = self.linker.parent() {
            path.push(":");
            path.push(folder);
        }
        let status = command.env("PATH", path).status().context("start cargo")?;
        if !status.success() {
            bail!(
                "building egress-ebpf failed ({status}), with {}; if bpf-linker could not read \
                 the bitcode, it was built against another LLVM than {}",
                self.rustc_version,
                self.llvm_version
            );
        }
        Ok(target.join("bpfel-unknown-none/release/egress-ebpf"))
    }

    /// rustc's flags, in cargo's encoding (separated by 0x1f, so that paths may hold spaces).
    ///
    /// BTF needs debug information. The last prefix that matches wins, so what may lie inside
    /// another comes later.
    fn flags(&self, root: &Path) -> OsString {
        let mut flags = OsString::from("-Cdebuginfo=2\x1f-Clink-arg=--btf");
        let mut remap = |from: &Path, to: &str| {
            flags.push("\x1f--remap-path-prefix=");
            flags.push(from);
            flags.push("=");
            flags.push(to);
        };
        remap(&self.sysroot, "/rust");
        // Debian's sources of core are a link to elsewhere, and rustc records where that leads.
        if let Ok(library) = self.sysroot.join("lib/rustlib/src/rust").canonicalize() {
            remap(&library, "/rust/lib/rustlib/src/rust");
        }
        if let Some(home) = cargo::home() {
            remap(&home, "/cargo");
            // Named after the registry, or its mirror: with either the bytes are the same.
            for folder in fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten() {
                remap(&folder.path(), "/cargo/src");
            }
        }
        remap(root, "/egress");
        flags
    }
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Origin::Debian => "Debian's rustc-web",
            Origin::Rustup => "rustup's nightly",
        }
    }

    fn rustc(self) -> Command {
        match self {
            Origin::Debian => Command::new("/usr/bin/rustc"),
            Origin::Rustup => rustup(["run", "nightly", "rustc"]),
        }
    }

    fn cargo(self) -> Command {
        match self {
            Origin::Debian => {
                let mut cargo = Command::new("/usr/bin/cargo");
                // -Zbuild-std on a release compiler.
                cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc");
                cargo
            }
            Origin::Rustup => rustup(["run", "nightly", "cargo"]),
        }
    }

    fn sysroot(self) -> Option<PathBuf> {
        let found = self.rustc().arg("--print").arg("sysroot").output().ok()?;
        let path = String::from_utf8(found.stdout).ok()?;
        found.status.success().then(|| PathBuf::from(path.trim()))
    }
}

fn rustup(arguments: [&str; 3]) -> Command {
    let mut command = Command::new("rustup");
    // Set by the cargo that started us; `rustup run` must not obey it.
    command.args(arguments).env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    command
}

fn linker() -> Option<PathBuf> {
    let installed = cargo::home().map(|home| home.join("bin/bpf-linker"));
    debian::find("bpf-linker").or(installed.filter(|path| path.is_file()))
}

fn linker_line() -> String {
    format!(
        "LLVM_PREFIX={LLVM_PREFIX} PATH={LLVM_PREFIX}/bin:$PATH cargo install bpf-linker --locked \
         --version {LINKER_VERSION} --no-default-features --features llvm-22"
    )
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let found = command.output().with_context(|| format!("start {command:?}"))?;
    if !found.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&found.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&found.stdout).into_owned())
}

/// When cargo called this executable in place of rustc: runs rustc, and gives its exit code.
///
/// cargo derives the crate id of egress-common, which lies outside the kernel side's workspace,
/// from the absolute path of the repository; it goes into symbol names and into the order of
/// functions. A fixed id makes the object the same wherever the repository lies.
pub(crate) fn wrapped_rustc() -> Option<ExitCode> {
    env::var_os(WRAPPER)?;
    let mut arguments = env::args_os().skip(1);
    let rustc = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let name = arguments
        .windows(2)
        .find(|pair| pair[0] == "--crate-name")
        .map(|pair| pair[1].to_string_lossy().into_owned());
    let ours = name.filter(|name| name.starts_with("egress_"));
    let arguments = arguments.into_iter().map(|argument| match (&ours, metadata(&argument)) {
        (Some(name), true) => OsString::from(format!("metadata={name}")),
        _ => argument,
    });
    let error = Command::new(&rustc).args(arguments).exec();
    eprintln!("xtask: start {}: {error}", rustc.to_string_lossy());
    Some(ExitCode::FAILURE)
}

fn metadata(argument: &OsStr) -> bool {
    argument.to_string_lossy().starts_with("metadata=")
}
