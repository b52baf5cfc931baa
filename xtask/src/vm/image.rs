//! The guest's initramfs: busybox, the few modules without which there is no root file system, and
//! two scripts. Everything else is the host's own root, shared.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use super::kernel::{Kernel, succeed};
use crate::debian;

/// Modules for the host's root, over virtiofs, and the layer above it. What the tests need more, the
/// kernel asks modprobe for.
const MODULES: [&str; 3] = ["virtio_pci", "virtiofs", "overlay"];
const INIT: &str = include_str!("init.sh");
const WORK: &str = include_str!("work.sh");

/// Writes the initramfs into `folder`, which is empty: a guest that does `work`, a shell script.
pub(super) fn write(kernel: &Kernel, work: &str, folder: &Path) -> anyhow::Result<()> {
    let root = folder.join("initramfs");
    for name in ["bin", "dev", "lower", "modules", "root", "upper"] {
        fs::create_dir_all(root.join(name)).context("make the initramfs")?;
    }
    let Some(busybox) = busybox() else { bail!("busybox is gone") };
    fs::copy(busybox, root.join("bin/busybox")).context("copy busybox")?;
    fs::write(root.join("init"), INIT).context("write init")?;
    succeed(Command::new("chmod").arg("0755").arg(root.join("init")))?;
    fs::write(root.join("work.sh"), format!("{work}\n{WORK}")).context("write work.sh")?;
    for (index, module) in modules(kernel)?.iter().enumerate() {
        put_module(Path::new(module), index, &root)?;
    }
    archive(&root, &folder.join("initramfs.cpio"))
}

/// The busybox that needs no libraries: the initramfs has none.
pub(super) fn busybox() -> Option<PathBuf> {
    let busybox = debian::find("busybox")?;
    let contents = fs::read(&busybox).ok()?;
    let linker = b"/ld-linux";
    // A dynamic program names its linker near its beginning.
    let head = contents.get(..4096).unwrap_or(&contents);
    (!head.windows(linker.len()).any(|part| part == linker)).then_some(busybox)
}

/// The files of the modules and of what they need, in the order of loading.
fn modules(kernel: &Kernel) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for module in MODULES {
        let output = Command::new("modprobe")
            .arg("--dirname")
            .arg(&kernel.root)
            .args(["--set-version", &kernel.release, "--show-depends", module])
            .output()
            .context("start modprobe")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("the kernel {} has no module {module}: {}", kernel.release, why.trim());
        }
        for file in loaded(&String::from_utf8_lossy(&output.stdout)) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// The files in what `modprobe --show-depends` says; modules that are built in have none.
fn loaded(said: &str) -> Vec<String> {
    said.lines()
        .filter_map(|line| line.strip_prefix("insmod "))
        .map(|file| file.trim().to_owned())
        .collect()
}

/// Puts a module into the initramfs, in plain form and under a name that keeps the order.
fn put_module(file: &Path, index: usize, root: &Path) -> anyhow::Result<()> {
    let to = root.join(format!("modules/{index:02}.ko"));
    let contents = if file.extension().is_some_and(|end| end == "xz") {
        let output = Command::new("xz").arg("-dc").arg(file).output().context("start xz")?;
        if !output.status.success() {
            bail!("xz cannot read {} ({})", file.display(), output.status);
        }
        output.stdout
    } else {
        fs::read(file).with_context(|| format!("read {}", file.display()))?
    };
    fs::write(&to, contents).with_context(|| format!("write {}", to.display()))
}

/// Packs a folder into the archive that kernels unpack.
fn archive(root: &Path, to: &Path) -> anyhow::Result<()> {
    let mut names = String::from(".\n");
    for folder in fs::read_dir(root).context("read the initramfs")?.flatten() {
        let name = folder.file_name();
        names += &format!("{}\n", name.display());
        if folder.path().is_dir() {
            for file in fs::read_dir(folder.path()).context("read the initramfs")?.flatten() {
                names += &format!("{}/{}\n", name.display(), file.file_name().display());
            }
        }
    }
    let mut cpio = Command::new("busybox")
        .args(["cpio", "-o", "-H", "newc"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(fs::File::create(to).with_context(|| format!("make {}", to.display()))?)
        .stderr(Stdio::null())
        .spawn()
        .context("start busybox cpio")?;
    // Dropped at the end of the statement, which ends the list.
    cpio.stdin
        .take()
        .context("cpio takes no list")?
        .write_all(names.as_bytes())
        .context("name the files")?;
    let status = cpio.wait().context("wait for cpio")?;
    if !status.success() {
        bail!("busybox cpio failed ({status})");
    }
    Ok(())
}

/// A word that the shell takes as it is.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_modules_need_no_file() {
        let said = "builtin virtio_pci\ninsmod /k/fuse.ko \ninsmod /k/virtiofs.ko.xz \n";
        assert_eq!(loaded(said), ["/k/fuse.ko", "/k/virtiofs.ko.xz"]);
    }

    #[test]
    fn the_shell_takes_quoted_words_as_they_are() {
        for word in ["plain", "two words", "it's", "$HOME `id` \\ \"", ""] {
            let script = format!("printf %s {}", quoted(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
