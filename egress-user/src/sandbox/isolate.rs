//! The mounts of a sandbox: its own /proc, no way to write to the kernel's controls, and none of the
//! sockets by which a local service would do what the sandbox may not.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};

use crate::sys::mounts::read_only_recursively;

/// Directories whose sockets lead around the policy; each is hidden by an empty, read-only tmpfs.
const HIDDEN_DIRECTORIES: &[&str] = &[
    "/run/user",
    "/run/dbus",
    "/run/systemd",
    "/run/nscd",
    "/run/docker",
    "/run/containerd",
    "/run/podman",
    "/run/crio",
    "/run/libvirt",
    "/run/avahi-daemon",
    "/run/cups",
    "/run/lxd",
    "/run/incus",
    "/run/egress",
    "/run/screen",
    "/run/tmux",
    "/run/uuidd",
    "/var/lib/lxd",
    "/var/lib/incus",
    "/var/snap/lxd",
    "/var/run/nscd",
    "/sys/fs/bpf",
];

/// Names of entries of /tmp that hold the sockets of a user's own servers: whoever may speak to a
/// terminal multiplexer or an agent has a process outside do things for him.
const HIDDEN_IN_TMP: &[&str] = &[".X11-unix", ".ICE-unix", "tmux-", "ssh-", "screens", "dbus-"];

/// Sockets that stand by themselves; each is covered by /dev/null.
const HIDDEN_FILES: &[&str] = &[
    "/run/docker.sock",
    "/run/snapd.socket",
    "/run/snapd-snap.socket",
    "/run/rpcbind.sock",
    "/run/cri-dockerd.sock",
    "/run/acpid.socket",
];

/// What a root without capabilities could still write to, as its owner.
const READ_ONLY: &[&str] = &["/sys", "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"];

/// What a root without capabilities could still read, as its owner.
const MASKED: &[&str] = &["/proc/kcore", "/proc/kallsyms", "/proc/keys"];

/// Which mount could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
pub(super) struct IsolateError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn step<T>(
    what: &'static str,
    path: impl AsRef<Path>,
    result: Result<T, impl Into<io::Error>>,
) -> Result<T, IsolateError> {
    let path = path.as_ref();
    result.map_err(|source| IsolateError { what, path: path.to_owned(), source: source.into() })
}

/// Runs in the sandbox's mount and PID namespaces, as root.
///
/// # Errors
/// When something cannot be hidden: the sandbox does not start then.
pub(super) fn isolate() -> Result<(), IsolateError> {
    let none = None::<&str>;
    let recursive = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    step("make private the mounts below", "/", mount(none, "/", none, recursive, none))?;

    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step("mount", "/proc", mount(Some("proc"), "/proc", Some("proc"), flags, none))?;

    let resolver = Resolver::read();
    let fixed = HIDDEN_DIRECTORIES.iter().chain(HIDDEN_FILES).chain(MASKED).map(PathBuf::from);
    for path in fixed.chain(sockets_in_tmp()) {
        // Followed links (/var/run) would hide the target again; harmless.
        if path.is_dir() {
            step("hide", &path, hide_directory(&path, resolver.as_ref()))?;
        } else if path.exists() {
            step("hide", &path, bind("/dev/null", &path))?;
        }
    }
    for path in READ_ONLY.iter().map(Path::new).filter(|path| path.exists()) {
        step("bind", path, bind(path, path))?;
        step("make read-only", path, read_only_recursively(path))?;
    }
    Ok(())
}

/// What of /tmp is to be hidden. Entries that are links are left alone: what they lead to is in the
/// other lists or in /tmp itself.
fn sockets_in_tmp() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir("/tmp") else { return Vec::new() };
    let hidden = |name: &str| HIDDEN_IN_TMP.iter().any(|prefix| name.starts_with(prefix));
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .filter(|entry| entry.file_name().to_str().is_some_and(hidden))
        .map(|entry| entry.path())
        .collect()
}

fn bind(from: impl AsRef<Path>, to: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(from.as_ref()), to, None::<&str>, flags, None::<&str>)?)
}

fn hide_directory(directory: &Path, resolver: Option<&Resolver>) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), directory, Some("tmpfs"), flags, Some("mode=0755,size=64k"))?;
    if let Some(resolver) = resolver {
        resolver.restore_below(directory)?;
    }
    read_only_recursively(directory)
}

/// The file behind /etc/resolv.conf, which on systemd hosts lies in a directory that is hidden.
struct Resolver {
    path: PathBuf,
    text: Vec<u8>,
}

impl Resolver {
    fn read() -> Option<Self> {
        let path = fs::canonicalize("/etc/resolv.conf").ok()?;
        let text = fs::read(&path).ok()?;
        Some(Self { path, text })
    }

    fn restore_below(&self, directory: &Path) -> io::Result<()> {
        if !self.path.starts_with(directory) {
            return Ok(());
        }
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&self.path, &self.text)
    }
}
