//! The cgroup of a run: `egress/ID/box` below the root of cgroup v2.
//!
//! Programs are attached at `egress/ID`; the command lives in `box`, which is the root of its
//! cgroup namespace, so that the directory it is judged by is out of its sight.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::fcntl::{Flock, FlockArg};

use crate::{clock::boottime_ns, kernel::detach_pinned};

const PARENT: &str = "egress";
const BOX: &str = "box";

/// How long the processes of a dead run get to vanish after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Why a cgroup could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}; is the cgroup file system writable, and are you root outside any container?", path.display())]
pub struct CgroupError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CgroupError + 'a {
    move |source| CgroupError { what, path: path.to_owned(), source }
}

/// The cgroup of a live run. The lock on its directory says that it lives: the kernel drops it with
/// the process, so that the next run knows a dead one's remains.
#[derive(Debug)]
pub struct Cgroup {
    outer: PathBuf,
    name: String,
    _alive: Flock<File>,
}

impl Cgroup {
    /// Sweeps what dead runs left, then makes a cgroup for this one.
    ///
    /// # Errors
    /// When directories cannot be made or locked.
    pub fn create(cgroup2: &Path, pins: &Path) -> Result<Self, CgroupError> {
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
        // Held while sweeping and making, so that no other run sweeps a directory that is made but
        // not yet locked.
        let _turn =
            lock(&parent, FlockArg::LockExclusive).map_err(failed("lock the cgroup", &parent))?;
        sweep(&parent, pins);

        let name = format!("run-{}-{}", std::process::id(), boottime_ns());
        let outer = parent.join(&name);
        fs::create_dir(&outer).map_err(failed("make the cgroup", &outer))?;
        let alive = lock(&outer, FlockArg::LockExclusiveNonblock)
            .map_err(failed("lock the cgroup", &outer))?;
        let inner = outer.join(BOX);
        fs::create_dir(&inner).map_err(failed("make the cgroup", &inner))?;
        Ok(Self { outer, name, _alive: alive })
    }

    /// Where programs are attached.
    pub fn outer(&self) -> &Path {
        &self.outer
    }

    /// Where the command lives.
    pub fn inner(&self) -> PathBuf {
        self.outer.join(BOX)
    }

    /// A name that no other run of this boot has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is a run of this name, this one included.
    pub fn has_neighbour(&self, name: &str) -> bool {
        self.outer.parent().is_some_and(|parent| parent.join(name).is_dir())
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

    /// Kills what is left, and waits until nothing is; false when something does not die in time.
    pub fn kill(&self) -> bool {
        let deadline = Instant::now() + KILL_PATIENCE;
        let mut pause = Duration::from_micros(200);
        loop {
            let events = fs::read_to_string(self.outer.join("cgroup.events")).unwrap_or_default();
            if events.lines().any(|line| line == "populated 0") {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            // Linux 5.14; kills what forks meanwhile, too.
            let _ = fs::write(self.outer.join("cgroup.kill"), "1");
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Kills what is left and removes the directories; false when something does not die in time.
    pub fn remove(&self) -> bool {
        remove(&self.outer)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // What does not die now is swept by the next run.
        let _ = self.remove();
    }
}

fn lock(directory: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    Flock::lock(File::open(directory)?, how).map_err(|(_, errno)| errno.into())
}

/// Removes what runs left behind that died without tidying: their processes are dead or dying
/// (init dies with its run), their programs still attached, which is what kept them closed.
fn sweep(parent: &Path, pins: &Path) {
    for path in directories(parent) {
        if lock(&path, FlockArg::LockExclusiveNonblock).is_ok() {
            let _ = remove(&path);
        }
    }
    // Only now: the programs must hold for as long as a process could still run. Pins without a
    // cgroup: of those above, and of others that could not be released until now.
    for path in directories(pins) {
        let is_alive = path.file_name().is_none_or(|name| parent.join(name).exists());
        if !is_alive {
            let _ = detach_pinned(&path, None);
        }
    }
}

fn directories(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Kills every process below and removes the directories; false when some survive.
fn remove(outer: &Path) -> bool {
    let deadline = Instant::now() + KILL_PATIENCE;
    let mut pause = Duration::from_micros(200);
    loop {
        // Linux 5.14; kills what forks meanwhile, too.
        let _ = fs::write(outer.join("cgroup.kill"), "1");
        remove_tree(outer);
        if !outer.exists() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        // The kernel tells of an emptied cgroup only by an event on a file; at most a few rounds.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
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
