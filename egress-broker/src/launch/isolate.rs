//! The mounts of a sandbox: its own /proc, no way to write to the kernel's controls, and none of the
//! sockets by which a local service would do what the sandbox may not.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::symlink},
    },
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sys::stat::{Mode, umask},
};

use super::{other_paths::Elsewhere, temporary, user::User};
use crate::{
    host::{Mount, mounts},
    sys::mounts::read_only_recursively,
};

/// Where services put their sockets. `/var/run` is a link to `/run` on most systems.
const RUN: &[&str] = &["/run", "/var/run"];

/// What of it leads around the policy: services that connect, resolve names, or start programs on
/// the caller's behalf.
const NOT_IN_RUN: &[&str] = &[
    "WSL",
    "acpid.socket",
    "avahi-daemon",
    "buildkit",
    "containerd",
    "cri-dockerd.sock",
    "crio",
    "cups",
    "dbus",
    "docker",
    "docker.sock",
    "egress",
    "incus",
    "k0s",
    "k3s",
    "libvirt",
    "lxd",
    "nscd",
    "podman",
    "rpcbind.sock",
    "screen",
    "snapd-snap.socket",
    "snapd.socket",
    "systemd",
    "tailscale",
    "tmux",
    "tor",
    "uscreens",
    "user",
];

/// Directories elsewhere of the same kind; each is hidden by an empty, read-only tmpfs.
const HIDDEN_DIRECTORIES: &[&str] =
    &["/var/lib/lxd", "/var/lib/incus", "/var/snap/lxd", "/sys/fs/bpf"];

/// File systems of the kernel's controls, which are writable for their owner wherever they are
/// mounted.
const CONTROLS: &[&str] = &[
    "binfmt_misc",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "efivarfs",
    "fusectl",
    "nfsd",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
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

/// Runs in the sandbox's mount and PID namespaces, as root; `cgroup` is the sandbox's own, `user` whom the
/// command runs as.
///
/// # Errors
/// When something cannot be hidden: the sandbox does not start then.
pub(super) fn isolate(cgroup: &Path, user: Option<&User>) -> Result<(), IsolateError> {
    // What is made here is for the command's user to see, whatever mask the caller has.
    let mask = umask(Mode::from_bits_truncate(0o022));
    let isolated = isolate_all(cgroup, user);
    umask(mask);
    isolated
}

fn isolate_all(cgroup: &Path, user: Option<&User>) -> Result<(), IsolateError> {
    let none = None::<&str>;
    let recursive = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    step("make private the mounts below", "/", mount(none, "/", none, recursive, none))?;

    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step("mount", "/proc", mount(Some("proc"), "/proc", Some("proc"), flags, none))?;

    close_controls(cgroup)?;
    let resolver = Resolver::read();
    temporary::prepare(user);
    hide_all()?;
    for run in RUN.iter().map(Path::new) {
        if fs::symlink_metadata(run).is_ok_and(|data| data.is_dir()) {
            close_run(run, resolver.as_ref())?;
        }
    }
    for file in MASKED.iter().map(Path::new).filter(|file| file.exists()) {
        step("hide", file, bind("/dev/null", file))?;
    }
    for path in READ_ONLY.iter().map(Path::new).filter(|path| path.exists()) {
        step("bind", path, bind(path, path))?;
        step("make read-only", path, read_only_recursively(path))?;
    }
    Ok(())
}

/// Hides these, wherever they, something of them, or what they lie in is mounted; of a directory of /tmp
/// there is an empty one instead.
fn hide_all() -> Result<(), IsolateError> {
    let hidden = HIDDEN_DIRECTORIES.iter().map(|path| (PathBuf::from(path), false));
    let mut all = BTreeMap::new();
    // Found before the first is hidden: a covered path is no longer the same file as its others.
    for (path, is_replaced) in hidden.chain(temporary::sockets().map(|path| (path, true))) {
        // The mount table has no links.
        let path = match fs::canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => step("find", &path, found)?,
        };
        let elsewhere = step("look for other mounts of", &path, Elsewhere::of(&path, |_| true))?;
        let parts = elsewhere.parts.into_iter().map(|part| (part, false));
        let whole = elsewhere.whole.into_iter().chain([path]).map(|path| (path, is_replaced));
        all.extend(parts.chain(whole));
    }
    all.iter().try_for_each(|(path, is_replaced)| hide(path, *is_replaced))
}

/// Hides a directory or a file. One that is gone is hidden already, with a directory above.
fn hide(path: &Path, is_replaced: bool) -> Result<(), IsolateError> {
    let Ok(data) = fs::symlink_metadata(path) else { return Ok(()) };
    let hidden = match (data.is_dir(), is_replaced) {
        (true, true) => temporary::replace(path),
        (true, false) => hide_directory(path),
        (false, _) => bind("/dev/null", path),
    };
    step("hide", path, hidden)
}

/// Replaces /run, wherever it is mounted, and hides what of it is mounted elsewhere.
fn close_run(run: &Path, resolver: Option<&Resolver>) -> Result<(), IsolateError> {
    let elsewhere = Elsewhere::of(run, |name| NOT_IN_RUN.iter().any(|hidden| name == *hidden));
    let elsewhere = step("look for other mounts of", run, elsewhere)?;
    // First: what is bound from the old directory takes along what lies over it.
    elsewhere.parts.iter().try_for_each(|part| hide(part, false))?;
    for path in elsewhere.whole.iter().map(PathBuf::as_path).chain([run]) {
        if path == run || path.is_dir() {
            step("replace", path, own_run(path, resolver))?;
        }
    }
    Ok(())
}

/// What is done about a mount of the kernel's own file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Hidden,
    /// The sandbox's own cgroup is put over it.
    OwnCgroup,
    ReadOnly,
}

/// Closes the kernel's controls wherever the host has mounted them: a second mount of cgroup v2 lets
/// root without capabilities move itself out, a second /proc shows the processes outside.
fn close_controls(cgroup: &Path) -> Result<(), IsolateError> {
    let table = step("read the mount table of", "/proc/self", mounts())?;
    // By descriptor: the path goes through the first of the mounts that it is bound over.
    let own = step("open", cgroup, File::open(cgroup))?;
    let own_path = format!("/proc/self/fd/{}", own.as_raw_fd());
    for mount in &table {
        let (point, Some(closed)) = (&mount.point, how_to_close(mount)) else { continue };
        // What is not seen has no path that leads there: the command cannot unmount what hides it.
        if !step("look at the mount", point, mount.is_seen())? {
            continue;
        }
        let is_directory = fs::symlink_metadata(point).is_ok_and(|data| data.is_dir());
        let done = match closed {
            Closed::Hidden | Closed::OwnCgroup if !is_directory => bind("/dev/null", point),
            Closed::Hidden => hide_directory(point),
            Closed::OwnCgroup => bind(&own_path, point).and_then(|()| read_only_recursively(point)),
            Closed::ReadOnly => read_only_recursively(point),
        };
        // The kernel takes a mount away when what it lies on is removed, here too.
        if done.is_err() && mount.is_seen().is_ok_and(|is_seen| !is_seen) {
            continue;
        }
        step("close the mount", point, done)?;
    }
    Ok(())
}

fn how_to_close(mount: &Mount) -> Option<Closed> {
    let kind = mount.kind.to_str()?;
    match kind {
        "proc" if mount.point == Path::new("/proc") => None,
        "proc" | "bpf" => Some(Closed::Hidden),
        // Seen from the sandbox's cgroup namespace, what is above it begins with dots. The sandbox
        // gets its own cgroup instead, which its namespace calls the root; a single file of another
        // group is hidden.
        "cgroup2" if mount.root.as_bytes().starts_with(b"/..") => Some(Closed::OwnCgroup),
        _ if CONTROLS.contains(&kind) => Some(Closed::ReadOnly),
        _ => None,
    }
}

/// Replaces a directory by one with the same entries but for [`NOT_IN_RUN`].
///
/// Not by covering these: a cover goes away with what it covers, when a service outside restarts and
/// makes its socket anew. What is made outside later does not appear here at all.
fn own_run(directory: &Path, resolver: Option<&Resolver>) -> io::Result<()> {
    let old = File::open(directory)?;
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), directory, Some("tmpfs"), flags, Some("mode=0755,size=16m"))?;
    for entry in entries {
        let name = entry.file_name();
        if NOT_IN_RUN.iter().any(|hidden| name == *hidden) {
            continue;
        }
        let from = PathBuf::from(format!("/proc/self/fd/{}", old.as_raw_fd())).join(&name);
        let to = directory.join(&name);
        // What has gone away meanwhile is left out.
        let Ok(data) = fs::symlink_metadata(&from) else { continue };
        if data.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
            continue;
        }
        if data.is_dir() {
            fs::create_dir(&to)?;
        } else {
            File::create(&to)?;
        }
        match bind(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            bound => bound?,
        }
    }
    resolver.map_or(Ok(()), |resolver| resolver.restore_below(directory))
}

fn bind(from: impl AsRef<Path>, to: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(from.as_ref()), to, None::<&str>, flags, None::<&str>)?)
}

fn hide_directory(directory: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), directory, Some("tmpfs"), flags, Some("mode=0755,size=64k"))?;
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
        if !self.path.starts_with(directory) || self.path.exists() {
            return Ok(());
        }
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&self.path, &self.text)
    }
}
