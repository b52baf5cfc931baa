//! Files that are read again while a command runs, and whether the command could have written them.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Component, Path},
    sync::OnceLock,
};

use nix::{
    fcntl::{AT_FDCWD, OFlag, openat, readlinkat},
    sys::stat::Mode,
    unistd::{Gid, Uid},
};

use crate::sys::{self, handed::FileId};

/// Most links on the way to a file, as in the kernel.
const MOST_LINKS: usize = 40;

/// Most steps on the way to a file.
const MOST_STEPS: usize = 256;

/// Who could write files while a sandbox runs: its command. One with capabilities is root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Writer {
    /// There is no command.
    #[default]
    Nobody,
    /// Root, who owns what the system is made of.
    Root,
    /// Another user.
    User {
        /// Its id.
        uid: Uid,
        /// Its own group.
        gid: Gid,
        /// The groups that it is in besides.
        groups: Vec<Gid>,
        /// Files that it was handed open for writing, whatever their permissions say.
        handed: Vec<FileId>,
    },
}

/// Whether the command could write one of these files and directories.
type Asked = Box<dyn Fn(&[BorrowedFd<'_>]) -> bool + Send + Sync>;

static ASKED_INSTEAD: OnceLock<Asked> = OnceLock::new();

/// From now on this process, which cannot become another user, has `ask` find out what its one command could write. The
/// first call counts.
pub fn ask_instead(ask: Asked) {
    ASKED_INSTEAD.get_or_init(|| ask);
}

impl Writer {
    /// Whether it could have written the file, or have put it there. What cannot be found out it could.
    pub fn could_write(&self, traced: &Traced) -> bool {
        match self {
            Self::Nobody => false,
            Self::Root => true,
            Self::User { uid, .. } if uid.is_root() => true,
            // Whichever this is, the command has it.
            Self::User { handed, .. }
                if FileId::of(&traced.file).is_none_or(|file| handed.contains(&file)) =>
            {
                true
            }
            Self::User { uid, gid, groups, .. } => {
                let all: Vec<BorrowedFd<'_>> =
                    traced.way.iter().map(AsFd::as_fd).chain([traced.file.as_fd()]).collect();
                if let Some(ask) = ASKED_INSTEAD.get() {
                    return ask(&all);
                }
                sys::access::writable_by(&all, *uid, *gid, groups)
                    .map_or(true, |writable| writable.contains(&true))
            }
        }
    }
}

/// A file that is open, and every directory that was gone through on the way to it: whoever writes one of
/// these could put another file there.
#[derive(Debug)]
pub struct Traced {
    /// The file, for reading.
    pub file: File,
    way: Vec<OwnedFd>,
}

impl Traced {
    /// Opens a regular file, each link on its way followed by itself.
    ///
    /// # Errors
    /// What open gives, and for anything but a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut way = vec![root()?];
        // The last one first.
        let mut left = components(path);
        let mut links = 0;
        while let Some(name) = left.pop() {
            let here = way.last().ok_or(io::ErrorKind::NotFound)?;
            if way.len() > MOST_STEPS {
                return Err(io::Error::from_raw_os_error(libc::ELOOP));
            }
            if name == "/" {
                way.push(root()?);
                continue;
            }
            let found = step(here.as_fd(), &name, OFlag::O_PATH)?;
            let kind = File::from(found.try_clone()?).metadata()?.file_type();
            if kind.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                let target = readlinkat(here, name.as_os_str())?;
                left.extend(components(Path::new(&target)));
            } else if kind.is_dir() {
                way.push(found);
            } else if kind.is_file() && left.is_empty() {
                // By its name again, as what was found cannot be read; another file may be there by now.
                let file =
                    File::from(step(here.as_fd(), &name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?);
                let (found, opened) = (File::from(found).metadata()?, file.metadata()?);
                if (found.dev(), found.ino()) != (opened.dev(), opened.ino()) {
                    return Err(io::Error::other("replaced while it was opened"));
                }
                return Ok(Self { file, way });
            } else {
                return Err(io::Error::other("neither a regular file nor a directory"));
            }
        }
        Err(io::Error::other("a directory"))
    }
}

fn root() -> io::Result<OwnedFd> {
    Ok(openat(AT_FDCWD, "/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
}

fn step(here: BorrowedFd<'_>, name: &OsStr, flags: OFlag) -> io::Result<OwnedFd> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(here, name, flags, Mode::empty())?)
}

/// The steps of a path, the last one first; `/` leads back to the root.
fn components(path: &Path) -> Vec<OsString> {
    let step = |component: Component<'_>| match component {
        Component::CurDir | Component::Prefix(_) => None,
        step => Some(step.as_os_str().to_owned()),
    };
    path.components().rev().filter_map(step).collect()
}

#[cfg(test)]
mod tests;
