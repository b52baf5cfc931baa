//! Where the command stands. A working directory is a way past every mount that isolation makes: it
//! stays on the mount that it was entered by, and `..` goes on from there. So the sandbox's init
//! leaves it, and the command stands in the same path, looked up anew among the sandbox's mounts.

use std::{io, path::PathBuf};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2},
    unistd::{chdir, fchdir},
};

use crate::sys;

/// A working directory, by its path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
}

/// Why the command cannot stand where its caller does.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// Removed, outside of this root, or of another mount namespace.
    #[error(
        "no path leads to the working directory: it is removed, or lies outside of this root; \
         start egress in another directory"
    )]
    NoPath(#[source] io::Error),
    /// It could not be left.
    #[error("leave the working directory")]
    Leave(#[source] io::Error),
    /// It is hidden, or the path leads to something else by now.
    #[error(
        "the working directory {} is hidden from the command, or has been replaced; start egress in \
         another directory",
        path.display()
    )]
    Hidden {
        /// Where the caller stands.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Its user may not go there.
    #[error("enter the working directory {}; start egress in another directory", path.display())]
    Enter {
        /// Where the caller stands.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Place {
    /// The working directory of this process, which stands in `/` from then on.
    ///
    /// # Errors
    /// When no path leads there.
    pub(super) fn leave() -> Result<Self, PlaceError> {
        let path = sys::process::working_directory().map_err(PlaceError::NoPath)?;
        chdir("/").map_err(|errno| PlaceError::Leave(errno.into()))?;
        Ok(Self { path })
    }

    /// Goes there, with the rights of the caller.
    ///
    /// The path has no links: one that has been put there since would choose another directory, with
    /// root's rights.
    pub(super) fn enter(&self) -> Result<(), Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
        fchdir(openat2(AT_FDCWD, &self.path, how)?)
    }

    /// Whether root may be barred where a user is not: home directories over NFS, FUSE mounts.
    pub(super) fn is_barred(errno: Errno) -> bool {
        matches!(errno, Errno::EACCES | Errno::EPERM)
    }

    /// In words.
    pub(super) fn error(&self, errno: Errno) -> PlaceError {
        let (path, source) = (self.path.clone(), errno.into());
        match errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => PlaceError::Hidden { path, source },
            _ => PlaceError::Enter { path, source },
        }
    }
}
