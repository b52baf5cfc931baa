//! Packages: what is missing on this machine, and how to get it.

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

/// Something that this machine lacks; the text says how to get it.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether packages come from apt here.
pub(crate) fn has_apt() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .any(|value| value.trim_matches('"').split(' ').any(|word| word == "debian"));
    debian && find("apt-get").is_some()
}

/// The path of a program, from `PATH` and then from the folders where root's programs lie, which
/// an ordinary user's `PATH` may lack.
pub(crate) fn find(program: impl AsRef<Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = OsStr::new("/usr/sbin:/sbin:/usr/bin:/bin");
    env::split_paths(&path)
        .chain(env::split_paths(usual))
        .map(|folder| folder.join(program.as_ref()))
        .find(|candidate| candidate.is_file())
}

/// The command line that installs these packages, for a person to copy.
pub(crate) fn install_line(packages: &[&str]) -> String {
    let sudo = if is_root() { "" } else { "sudo " };
    format!("{sudo}apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// Installs packages. Needs root and apt, and says so.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let line = install_line(packages);
    if !has_apt() {
        let names = packages.join(" ");
        bail!(Missing(format!("no apt-get here: install what Debian calls {names} yourself")));
    }
    if !is_root() {
        bail!(Missing(format!("installing packages needs root; run: {line}")));
    }
    println!("+ {line}");
    if apt(&["install", "-y", "--no-install-recommends"], packages).is_ok() {
        return Ok(());
    }
    // A machine that was just made has no package lists yet.
    update()?;
    apt(&["install", "-y", "--no-install-recommends"], packages)
}

/// Fetches the lists of packages.
pub(crate) fn update() -> anyhow::Result<()> {
    apt(&["update"], &[])
}

/// Fetches a package into a folder, without installing it.
pub(crate) fn download(package: &str, into: &Path) -> anyhow::Result<()> {
    let status = Command::new("apt-get")
        // As root, for apt's own user may not write below a person's home.
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download", package])
        .current_dir(into)
        .stdin(std::process::Stdio::null())
        .status()
        .context("start apt-get")?;
    if !status.success() {
        bail!("apt-get download {package} failed ({status})");
    }
    Ok(())
}

/// As [`install`]; Debian starts the services that it installs, unless this file says no. Left as it
/// is where there is one already.
pub(crate) fn install_without_services(packages: &[&str]) -> anyhow::Result<()> {
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let own = is_root() && has_apt() && !policy.exists();
    if own {
        fs::write(policy, "#!/bin/sh\nexit 101\n").context("write /usr/sbin/policy-rc.d")?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
            .context("make /usr/sbin/policy-rc.d executable")?;
    }
    let installed = install(packages);
    if own {
        fs::remove_file(policy).context("remove /usr/sbin/policy-rc.d")?;
    }
    installed
}

fn apt(arguments: &[&str], packages: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("-qq")
        .args(arguments)
        .args(packages)
        .stdin(std::process::Stdio::null())
        .status()
        .context("start apt-get")?;
    if !status.success() {
        bail!("apt-get {} {} failed ({status})", arguments.join(" "), packages.join(" "));
    }
    Ok(())
}
