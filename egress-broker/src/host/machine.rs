//! What this machine offers: cgroup v2, a place for pins, a kernel new enough.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs},
};

use super::{
    mounts::{mount_of, mounts},
    rights::Rights,
};

/// Where cgroup v2 is on most systems.
pub const CGROUP2: &str = "/sys/fs/cgroup";
/// Where bpffs is when the host has mounted it.
pub const BPFFS: &str = "/sys/fs/bpf";
/// Where we mount one of our own otherwise: ours alone, so that nothing else of the host changes.
pub const OWN_BPFFS: &str = "/run/egress/bpf";
/// First kernel with what the hooks need: socket cookies of network namespaces in sockops.
pub const MINIMUM: (u32, u32) = (5, 15);

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
    /// Within a sandbox of ours.
    #[error(
        "this is inside of an `egress run`, which holds already all that is started here; a sandbox cannot make \
         another one: start the command as it is, without a second `egress run`"
    )]
    InSandbox,
    /// Root of a user namespace, which is not the machine's.
    #[error(
        "this root is one of a user namespace, as in a rootless container, and may not load programs; run \
         egress as the machine's own root, outside of the container"
    )]
    UserNamespace,
    /// Root with less than it needs.
    #[error(
        "this root lacks {lacking}, as in a container with default capabilities; run egress outside, around the \
         container, or start the container with `--privileged` (`egress doctor` says what each is for)"
    )]
    Lacking {
        /// Their names.
        lacking: String,
    },
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
        "no bpffs is mounted, and none can be mounted at {}{}",
        path.display(),
        remedy_of_bpffs(.source)
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
        Rights::check()?;
        check_version(&kernel_version())?;
        let mounts = mounts().map_err(HostError::MountTable)?;
        let cgroup2 =
            mount_of(&mounts, "cgroup2", CGROUP2, |path| is_really(path, CGROUP2_SUPER_MAGIC))
                .ok_or(HostError::NoCgroup2)?;
        let pins = match mount_of(&mounts, "bpf", BPFFS, |path| is_really(path, BPF_FS_MAGIC)) {
            Some(mounted) => mounted.join("egress"),
            None => mount_own()?.join("egress"),
        };
        make_private(&pins).map_err(|source| HostError::NoBpffs { path: pins.clone(), source })?;
        Ok(Self { cgroup2, pins })
    }
}

fn remedy_of_bpffs(error: &io::Error) -> String {
    match error.raw_os_error() {
        // mount(2): the file system is not configured in the kernel.
        Some(libc::ENODEV) => "; boot a kernel with CONFIG_BPF_SYSCALL".to_owned(),
        Some(libc::EROFS) => format!(
            "; mount it yourself (`mount -t bpf bpf {BPFFS}`), or make /run writable: in a container, hand the \
             machine's own in (`-v {BPFFS}:{BPFFS}`)"
        ),
        _ => format!(
            "; mount it yourself (`mount -t bpf bpf {BPFFS}`), outside of the container where this is one"
        ),
    }
}

/// As `uname -r` says; empty where the kernel does not tell.
pub fn kernel_version() -> String {
    nix::sys::utsname::uname()
        .map(|uname| uname.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// An unreadable version passes: the probes decide then.
/// # Errors
/// [`HostError::TooOld`].
pub fn check_version(release: &str) -> Result<(), HostError> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < MINIMUM => {
            Err(HostError::TooOld { found: release.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Whether the path still leads to that mount: another one may lie over it.
pub fn is_really(path: &Path, magic: FsType) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == magic)
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
    fn refuses_an_old_kernel_by_name() {
        assert!(check_version("5.15.0-91-generic").is_ok());
        assert!(check_version("6.1.0-18-amd64").is_ok());
        let error = check_version("5.10.0-28-amd64").unwrap_err().to_string();
        assert!(error.contains("5.10.0-28-amd64") && error.contains("5.15"), "{error}");
    }
}
