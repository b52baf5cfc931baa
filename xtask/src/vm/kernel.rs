//! Kernels for the guest: which there are, and how to have one unpacked below `target/vm`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{cargo, debian, debian::Missing};

/// Debian's packages of cloud kernels, in the words of `apt-cache search`.
const PACKAGES: &str = "^linux-image-[0-9].*-cloud-amd64$";
const PREFIX: &str = "linux-image-";
const SUFFIX: &str = "-cloud-amd64";

/// A kernel that is ready to be booted.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What `uname -r` will say.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// The folder that stands for `/` in `/lib/modules`.
    pub(super) root: PathBuf,
}

/// The folder where kernels and logs lie.
pub(super) fn folder() -> PathBuf {
    cargo::root().join("target/vm")
}

/// The kernel that `wanted` names: a version as `6.1` or `6.1.0-56`, or the path of a package.
pub(super) fn get(wanted: &str) -> anyhow::Result<Kernel> {
    fs::create_dir_all(folder()).with_context(|| format!("make {}", folder().display()))?;
    if wanted.ends_with(".deb") {
        let package = fs::canonicalize(wanted)
            .map_err(|error| Missing(format!("no kernel package at {wanted}: {error}")))?;
        let stem = package.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return unpacked(&stem, || Ok(package));
    }
    let name = resolve(wanted)?;
    unpacked(&name, || download(&name))
}

/// The newest package of the version that is wanted.
fn resolve(wanted: &str) -> anyhow::Result<String> {
    let mut packages = listed()?;
    if packages.is_empty() {
        // A machine that was just made has no package lists yet.
        debian::update()?;
        packages = listed()?;
    }
    newest(&packages, wanted).map(str::to_owned).ok_or_else(|| {
        let versions = series(&packages);
        let versions = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
        Missing(format!(
            "no kernel {wanted:?} here; give one that apt has ({versions}), or the path of a Debian package \
             linux-image-*.deb"
        ))
        .into()
    })
}

fn listed() -> anyhow::Result<Vec<String>> {
    let output = Command::new("apt-cache")
        .args(["search", "--names-only", PACKAGES])
        .output()
        .context("start apt-cache")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.split(' ').next());
    // Metapackages, as linux-image-6.12-cloud-amd64, hold no kernel.
    Ok(names.filter(|name| numbers(name).len() > 2).map(str::to_owned).collect())
}

/// What stands between the name's fixed ends: `6.1.0-56`.
fn version(package: &str) -> &str {
    let name = package.strip_prefix(PREFIX).unwrap_or(package);
    name.strip_suffix(SUFFIX).unwrap_or(name)
}

/// The numbers of a version, in their order: of `6.12.117+deb12` 6, 12, 117 and 12.
fn numbers(package: &str) -> Vec<u32> {
    version(package)
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// The newest of the packages whose version is `wanted` or begins with it.
fn newest<'a>(packages: &'a [String], wanted: &str) -> Option<&'a str> {
    packages
        .iter()
        .map(String::as_str)
        .filter(|package| {
            let rest = version(package).strip_prefix(wanted);
            rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        })
        .max_by_key(|package| numbers(package))
}

/// The first two numbers of each version, once.
fn series(packages: &[String]) -> Vec<String> {
    let mut pairs: Vec<_> = packages
        .iter()
        .filter_map(|package| numbers(package).first_chunk::<2>().copied())
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_iter().map(|[major, minor]| format!("{major}.{minor}")).collect()
}

/// Fetches a package; where it lies.
fn download(name: &str) -> anyhow::Result<PathBuf> {
    println!("+ apt-get download {name}");
    let into = folder().join(format!("{name}.download"));
    let _ = fs::remove_dir_all(&into);
    fs::create_dir(&into).with_context(|| format!("make {}", into.display()))?;
    if debian::download(name, &into).is_err() {
        // The lists may name a package that has since been replaced.
        debian::update()?;
        debian::download(name, &into)?;
    }
    let mut found = fs::read_dir(&into).context("read what was downloaded")?.flatten();
    let package = found.find(|entry| entry.path().extension().is_some_and(|end| end == "deb"));
    Ok(package.with_context(|| format!("apt-get download {name} left no package"))?.path())
}

/// The kernel of this name, unpacked now unless it was before.
fn unpacked(
    name: &str,
    package: impl FnOnce() -> anyhow::Result<PathBuf>,
) -> anyhow::Result<Kernel> {
    let root = folder().join(name);
    if !root.is_dir() {
        let package = package()?;
        // Under another name until it is whole.
        let half = folder().join(format!("{name}.half"));
        let _ = fs::remove_dir_all(&half);
        succeed(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&half))?;
        succeed(Command::new("depmod").arg("--basedir").arg(&half).arg(release(&half)?))?;
        fs::rename(&half, &root).with_context(|| format!("make {}", root.display()))?;
        let _ = fs::remove_dir_all(folder().join(format!("{name}.download")));
        // Whoever owns the repository must be able to clean up.
        let owner = format!("--reference={}", cargo::root().display());
        succeed(Command::new("chown").arg("--recursive").arg(owner).arg(folder()))?;
    }
    let release = release(&root)?;
    let image = root.join(format!("boot/vmlinuz-{release}"));
    if !image.is_file() {
        bail!(Missing(format!(
            "{name} has no boot/vmlinuz-{release}: give a package with a kernel"
        )));
    }
    Ok(Kernel { release, image, root })
}

/// The release of the kernel in this folder: the name of its folder of modules.
fn release(root: &Path) -> anyhow::Result<String> {
    let modules = root.join("lib/modules");
    let mut entries = fs::read_dir(&modules)
        .map_err(|_| Missing(format!("{} is no kernel with modules", root.display())))?
        .flatten();
    let first = entries.next().context("no folder in lib/modules")?;
    Ok(first.file_name().to_string_lossy().into_owned())
}

/// Runs a program that has to succeed.
pub(super) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages() -> Vec<String> {
        ["6.1.0-9", "6.1.0-56", "6.12.100+deb12", "6.12.117+deb12"]
            .map(|version| format!("{PREFIX}{version}{SUFFIX}"))
            .to_vec()
    }

    #[test]
    fn a_version_names_the_newest_package_of_its_series() {
        let packages = packages();
        assert_eq!(newest(&packages, "6.1"), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(newest(&packages, "6.1.0-9"), Some("linux-image-6.1.0-9-cloud-amd64"));
        assert_eq!(newest(&packages, "6.12"), Some("linux-image-6.12.117+deb12-cloud-amd64"));
        assert_eq!(newest(&packages, "6"), Some("linux-image-6.12.117+deb12-cloud-amd64"));
    }

    #[test]
    fn an_unknown_version_names_none() {
        for wanted in ["6.11", "5.10", "6.", "six", ".1"] {
            assert_eq!(newest(&packages(), wanted), None, "{wanted}");
        }
    }

    #[test]
    fn the_series_are_told_once_and_in_order() {
        assert_eq!(series(&packages()), ["6.1", "6.12"]);
    }
}
