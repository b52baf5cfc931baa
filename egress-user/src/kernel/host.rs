//! What this machine offers: cgroup v2, a place for pins, a kernel new enough.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs},
};

/// Where bpffs is when the host has mounted it.
pub(super) const BPFFS: &str = "/sys/fs/bpf";
/// Where we mount one of our own otherwise: ours alone, so that nothing else of the host changes.
pub(super) const OWN_BPFFS: &str = "/run/egress/bpf";
/// First kernel with what the hooks need: socket cookies of network namespaces in sockops.
pub(super) const MINIMUM: (u32, u32) = (5, 15);

/// Places that a sandbox is made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Mount point of cgroup v2, from the mount table: on hybrid hosts it is not /sys/fs/cgroup.
    pub cgroup2: PathBuf,
    /// Directory for pins, on a bpffs.
    pub pins: PathBuf,
}

/// Why this machine cannot hold a sandbox, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Not root.
    #[error(
        "must be root to attach to a cgroup; run it again with sudo (the command then runs as you)"
    )]
    NotRoot,
    /// An old kernel.
    #[error(
        "Linux {found} is too old: egress needs {}.{} or newer; boot a newer kernel (Debian 12 has 6.1)",
        MINIMUM.0,
        MINIMUM.1
    )]
    TooOld {
        /// As `uname -r` says.
        found: String,
    },
    /// No cgroup v2.
    #[error(
        "no cgroup v2 is mounted; mount one with `mount -t cgroup2 none /sys/fs/cgroup/unified` \
         (make the directory first), or boot with systemd.unified_cgroup_hierarchy=1"
    )]
    NoCgroup2,
    /// The mount table cannot be read.
    #[error("read /proc/self/mountinfo; is /proc mounted?")]
    MountTable(#[source] io::Error),
    /// No bpffs, and none can be mounted.
    #[error(
        "no bpffs is mounted and none can be mounted at {}; try `mount -t bpf bpf {BPFFS}`",
        path.display()
    )]
    NoBpffs {
        /// Where it was tried.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Host {
    /// Looks at this machine; mounts a bpffs of our own when there is none.
    ///
    /// # Errors
    /// Each names what is missing and what to do.
    pub fn prepare() -> Result<Self, HostError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(HostError::NotRoot);
        }
        check_version(&release())?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(HostError::MountTable)?;
        let cgroup2 = mount_of(&mounts, "cgroup2")
            .filter(|path| is_really(path, CGROUP2_SUPER_MAGIC))
            .ok_or(HostError::NoCgroup2)?;
        let pins = match mount_of(&mounts, "bpf").filter(|path| is_really(path, BPF_FS_MAGIC)) {
            Some(mounted) => mounted.join("egress"),
            None => mount_own()?.join("egress"),
        };
        make_private(&pins).map_err(|source| HostError::NoBpffs { path: pins.clone(), source })?;
        Ok(Self { cgroup2, pins })
    }
}

pub(super) fn release() -> String {
    nix::sys::utsname::uname()
        .map(|uname| uname.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// An unreadable version passes: the probes decide then.
pub(super) fn check_version(release: &str) -> Result<(), HostError> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < MINIMUM => {
            Err(HostError::TooOld { found: release.to_owned() })
        }
        _ => Ok(()),
    }
}

/// A line of the mount table.
#[derive(Debug)]
pub struct Mounted<'a> {
    /// What of the file system is mounted.
    pub root: &'a str,
    /// Where.
    pub point: PathBuf,
    /// The file system's type.
    pub kind: &'a str,
}

/// The lines of a mountinfo file, a later mount at the same point hiding an earlier one.
pub fn mounts(mountinfo: &str) -> impl Iterator<Item = Mounted<'_>> {
    mountinfo.lines().filter_map(|line| {
        // proc_pid_mountinfo(5): fields, a lone dash, then the type.
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        Some(Mounted { root, point: unescape(point).into(), kind: rest.split(' ').next()? })
    })
}

/// First mount point of a file system type, preferring the usual place of bpffs.
pub(super) fn mount_of(mountinfo: &str, wanted: &str) -> Option<PathBuf> {
    let mut found = None;
    for mount in mounts(mountinfo).filter(|mount| mount.kind == wanted && mount.root == "/") {
        if mount.point == Path::new(BPFFS) {
            return Some(mount.point);
        }
        found.get_or_insert(mount.point);
    }
    found
}

/// Whether the path still leads to that mount: another one may lie over it.
pub(super) fn is_really(path: &Path, magic: FsType) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == magic)
}

/// The mount table writes space, tab, newline and backslash as octal escapes.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

fn mount_own() -> Result<PathBuf, HostError> {
    let path = PathBuf::from(OWN_BPFFS);
    let attempt = || {
        make_private(&path)?;
        mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), Some("mode=0700"))?;
        Ok(())
    };
    attempt().map_err(|source| HostError::NoBpffs { path: path.clone(), source })?;
    Ok(path)
}

/// Root's alone: removing a pin detaches.
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_cgroup2_on_a_hybrid_host() {
        let table = "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                     31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                     32 30 0:28 /a /mnt/with\\040space rw shared:4 - bpf bpf rw\n\
                     33 30 0:28 / /mnt/with\\040space rw shared:4 - bpf bpf rw\n";
        assert_eq!(mount_of(table, "cgroup2"), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount_of(table, "bpf"), Some("/mnt/with space".into()));
        assert_eq!(mount_of(table, "btrfs"), None);
    }

    #[test]
    fn refuses_an_old_kernel_by_name() {
        assert!(check_version("5.15.0-91-generic").is_ok());
        assert!(check_version("6.1.0-18-amd64").is_ok());
        let error = check_version("5.10.0-28-amd64").unwrap_err().to_string();
        assert!(error.contains("5.10.0-28-amd64") && error.contains("5.15"), "{error}");
    }
}
