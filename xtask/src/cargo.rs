//! Calling cargo from a program that cargo itself started.

use std::{
    env, fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use nix::unistd::{Uid, User};

use crate::debian::{self, Missing};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's home, where registry sources and installed programs lie.
pub(crate) fn home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
}

/// The cargo that started this program, in the repository's root.
pub(crate) fn command() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root());
    forget_package(&mut command);
    command
}

/// Cargo, in the repository's root, as the repository's owner: root that builds in somebody's
/// checkout, as under sudo, would leave files in `target/` that this person cannot replace.
///
/// # Errors
/// When the owner is unknown here, or `target/` belongs to somebody else already.
pub(crate) fn command_of_owner() -> anyhow::Result<Command> {
    let root = root();
    let uid = owner(&root)?;
    if !debian::is_root() || uid.is_root() {
        return Ok(command());
    }
    let user = User::from_uid(uid)
        .with_context(|| format!("look up the user {uid}, who owns {}", root.display()))?;
    let Some(user) = user else {
        bail!(Missing(format!(
            "{} belongs to the user id {uid}, which has no name here; run: chown -R root {0}",
            root.display()
        )));
    };
    for folder in [root.join("target"), root.join("target/debug")] {
        if folder.exists() && owner(&folder)? != uid {
            bail!(Missing(format!(
                "{} was built by another user than {name}, who owns the repository; run: sudo chown -R {name} {}",
                folder.display(),
                root.join("target").display(),
                name = user.name,
            )));
        }
    }
    let own = own_cargo(&user.dir);
    let mut command = Command::new(if own.is_file() { own.as_os_str() } else { "cargo".as_ref() });
    command.current_dir(&root);
    forget_package(&mut command);
    if env::var_os("CARGO").is_some() {
        // Root's cargo started us, and told where root keeps its toolchains.
        command.env_remove("CARGO_HOME").env_remove("RUSTUP_HOME");
    }
    for key in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT"] {
        command.env_remove(key);
    }
    command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    command.env("HOME", &user.dir).env("USER", &user.name).env("LOGNAME", &user.name);
    Ok(command)
}

/// Where rustup puts cargo for the person who lives in `home`.
pub(crate) fn own_cargo(home: &Path) -> PathBuf {
    home.join(".cargo/bin/cargo")
}

fn owner(path: &Path) -> anyhow::Result<Uid> {
    let about = fs::metadata(path).with_context(|| format!("read who owns {}", path.display()))?;
    Ok(Uid::from_raw(about.uid()))
}

/// Removes what `cargo run` told this program about its own package.
///
/// Build scripts (ring's among them) ask to be run again when `CARGO_MANIFEST_DIR` and its like
/// change, so handing these on would rebuild half of the graph at each change between
/// `cargo xtask test` and `cargo test`.
pub(crate) fn forget_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if of_package || text == "CARGO_PRIMARY_PACKAGE" || text == "OUT_DIR" {
            command.env_remove(&name);
        }
    }
}
