//! The cgroup of a sandbox. One of our own is `egress/ID/box` below the root of cgroup v2: programs are attached
//! at `egress/ID`; the command lives in `box`, which is the root of its cgroup namespace, so that the directory
//! it is judged by is out of its sight. One that exists already, with processes of others, is only held.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::statfs::CGROUP2_SUPER_MAGIC,
};

use super::machine::is_really;
use crate::{clock::boottime_ns, kernel::detach_pinned};

const PARENT: &str = "egress";
const BOX: &str = "box";

/// How the names of owned ones begin; only these are swept.
const OWNED: &str = "run-";
/// How the names of those begin that are held of others, before their ids.
const EXISTING: &str = "held-";

/// The file that says whether a cgroup has processes.
const EVENTS: &str = "cgroup.events";

/// How long the processes of a dead run get to vanish after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Why a cgroup could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}{}", path.display(), remedy(.source))]
pub struct CgroupError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "; cgroup v2 is mounted read-only, as in a container: run egress outside, around the container, or \
             make it writable (`mount -o remount,rw` it, `--privileged` for the container)"
        }
        io::ErrorKind::PermissionDenied => {
            "; this cgroup is not yours to change: is root the machine's own, outside of any container?"
        }
        _ => "",
    }
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CgroupError + 'a {
    move |source| CgroupError { what, path: path.to_owned(), source }
}

/// The cgroup of a live sandbox. Dropping it kills nothing, and removes nothing that a process is in.
#[derive(Debug)]
pub enum Cgroup {
    /// Made by us, with all that will ever run in it.
    Owned(Owned),
    /// Made by others: nothing in it is ours to kill, nor it to remove.
    Existing(Existing),
}

/// A cgroup of our own.
#[derive(Debug)]
pub struct Owned {
    place: Place,
}

/// A cgroup of others.
#[derive(Debug)]
pub struct Existing {
    /// An empty cgroup of our own, which has the name and the lock.
    place: Place,
    path: PathBuf,
}

/// A directory below `egress`. The lock on it says that its sandbox lives: the kernel drops it with the process,
/// so that the next run knows a dead one's remains.
#[derive(Debug)]
struct Place {
    directory: PathBuf,
    name: String,
    _alive: Flock<File>,
}

impl Cgroup {
    /// Sweeps what dead runs left, then makes a cgroup for a new one.
    ///
    /// # Errors
    /// When directories cannot be made or locked.
    pub fn create(cgroup2: &Path, pins: &Path) -> Result<Self, CgroupError> {
        let (parent, _turn) = enter(cgroup2)?;
        sweep(&parent, pins);
        let name = format!("{OWNED}{}-{}", std::process::id(), boottime_ns());
        let place = Place::take(&parent, name)?;
        let inner = place.directory.join(BOX);
        fs::create_dir(&inner).map_err(failed("make the cgroup", &inner))?;
        Ok(Self::Owned(Owned { place }))
    }

    /// Holds a cgroup that exists, and that nobody else holds.
    ///
    /// # Errors
    /// When it is no cgroup, or is held already.
    pub fn hold(cgroup2: &Path, path: &Path) -> Result<Self, CgroupError> {
        let (parent, _turn) = enter(cgroup2)?;
        let path = fs::canonicalize(path).map_err(failed("find the cgroup", path))?;
        // The root has no such file: the whole machine would be held by it.
        let is_cgroup = is_really(&path, CGROUP2_SUPER_MAGIC) && path.join(EVENTS).exists();
        if !is_cgroup || path.starts_with(&parent) {
            let error = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(failed("hold what is no cgroup of others", &path)(error));
        }
        let data = fs::metadata(&path).map_err(failed("read the cgroup", &path))?;
        let place = Place::take(&parent, format!("{EXISTING}{}", data.ino()))?;
        Ok(Self::Existing(Existing { place, path }))
    }

    fn place(&self) -> &Place {
        match self {
            Self::Owned(Owned { place }) | Self::Existing(Existing { place, .. }) => place,
        }
    }

    /// Where programs are attached.
    pub fn outer(&self) -> &Path {
        match self {
            Self::Owned(Owned { place }) => &place.directory,
            Self::Existing(Existing { path, .. }) => path,
        }
    }

    /// Where the command lives.
    pub fn inner(&self) -> PathBuf {
        match self {
            Self::Owned(Owned { place }) => place.directory.join(BOX),
            Self::Existing(Existing { path, .. }) => path.clone(),
        }
    }

    /// A name that no other sandbox of this boot has.
    pub fn name(&self) -> &str {
        &self.place().name
    }

    /// Whether there is a run of this name, this one included.
    pub fn has_neighbour(&self, name: &str) -> bool {
        self.place().directory.parent().is_some_and(|parent| parent.join(name).is_dir())
    }

    /// The id that the kernel side knows `box` by: its inode number.
    ///
    /// # Errors
    /// When the directory is gone.
    pub fn id(&self) -> Result<u64, CgroupError> {
        let inner = self.inner();
        Ok(fs::metadata(&inner).map_err(failed("read the cgroup", &inner))?.ino())
    }

    /// The directory of `box`, for a process to be born into.
    ///
    /// # Errors
    /// When it is gone.
    pub fn open(&self) -> io::Result<File> {
        File::open(self.inner())
    }

    /// Waits until nothing is left of an owned one, which it kills; of others it kills nothing. Whether nothing
    /// is left.
    pub fn kill(&self) -> bool {
        let Self::Owned(Owned { place }) = self else { return is_empty(self.outer()) };
        let killed = || {
            let is_empty = is_empty(&place.directory);
            if !is_empty {
                kill_all(&place.directory);
            }
            is_empty
        };
        within(KILL_PATIENCE, killed)
    }

    /// Kills and removes an owned one; gives another up. False when something is left in it: programs that
    /// are taken from it then leave that unfiltered.
    pub fn remove(&self) -> bool {
        match self {
            Self::Owned(Owned { place }) => remove(&place.directory),
            Self::Existing(Existing { path, .. }) => is_empty(path),
        }
    }
}

impl Place {
    /// Makes the directory, or takes the one that a dead process left.
    fn take(parent: &Path, name: String) -> Result<Self, CgroupError> {
        let directory = parent.join(&name);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make the cgroup", &directory)(error));
            }
            _ => {}
        }
        let alive = lock(&directory, FlockArg::LockExclusiveNonblock)
            .map_err(failed("lock the cgroup", &directory))?;
        Ok(Self { directory, name, _alive: alive })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The kernel removes no cgroup with a process in it. What is left is swept by the next run.
        remove_tree(&self.directory);
    }
}

/// The directory of all sandboxes, locked: nobody else sweeps what is made but not locked yet.
fn enter(cgroup2: &Path) -> Result<(PathBuf, Flock<File>), CgroupError> {
    let parent = cgroup2.join(PARENT);
    match fs::create_dir(&parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("make the cgroup", &parent)(error));
        }
        _ => {}
    }
    // Root's alone: whoever can open the directory can lock it, and keep every run waiting.
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o700))
        .map_err(failed("close to other users the cgroup", &parent))?;
    let turn =
        lock(&parent, FlockArg::LockExclusive).map_err(failed("lock the cgroup", &parent))?;
    Ok((parent, turn))
}

fn lock(directory: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    Flock::lock(File::open(directory)?, how).map_err(|(_, errno)| errno.into())
}

/// Removes what runs left behind that died without tidying: their processes are dead or dying
/// (init dies with its run), their programs still attached, which is what kept them closed. What was held
/// of others stays as it is, closed: its processes live on.
fn sweep(parent: &Path, pins: &Path) {
    for (_, path) in owned(parent) {
        if lock(&path, FlockArg::LockExclusiveNonblock).is_ok() {
            let _ = remove(&path);
        }
    }
    // Only now: the programs must hold for as long as a process could still run. Pins without a
    // cgroup: of those above, and of others that could not be released until now.
    for (name, path) in owned(pins) {
        if !parent.join(name).exists() {
            let _ = detach_pinned(&path);
        }
    }
}

/// The directories of owned sandboxes, with their names.
fn owned(parent: &Path) -> Vec<(OsString, PathBuf)> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let named = entries.flatten().map(|entry| (entry.file_name(), entry.path()));
    named
        .filter(|(name, path)| {
            name.as_encoded_bytes().starts_with(OWNED.as_bytes()) && path.is_dir()
        })
        .collect()
}

/// Whether no process is in a cgroup or below; one that cannot be read is not.
fn is_empty(cgroup: &Path) -> bool {
    let events = fs::read_to_string(cgroup.join(EVENTS)).unwrap_or_default();
    events.lines().any(|line| line == "populated 0")
}

/// Kills what is in a cgroup and below, and what forks meanwhile, too (Linux 5.14).
fn kill_all(cgroup: &Path) {
    let _ = fs::write(cgroup.join("cgroup.kill"), "1");
}

/// Tries until it is done, for at most so long.
fn within(patience: Duration, is_done: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_micros(200);
    while !is_done() {
        if Instant::now() > deadline {
            return false;
        }
        // The kernel tells of an emptied cgroup only by an event on a file; at most a few rounds.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

/// Kills every process below and removes the directories; false when some survive.
fn remove(outer: &Path) -> bool {
    within(KILL_PATIENCE, || {
        kill_all(outer);
        remove_tree(outer);
        !outer.exists()
    })
}

/// Removes the directories from the leaves up; the sandbox may have made some of its own.
fn remove_tree(directory: &Path) {
    if let Ok(entries) = fs::read_dir(directory) {
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path());
            }
        }
    }
    let _ = fs::remove_dir(directory);
}
