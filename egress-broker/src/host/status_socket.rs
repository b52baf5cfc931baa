//! The socket by which root asks how a sandbox stands: a directory of root's own, one socket a run.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

/// Directory of the sockets, one a run: `ID.sock`.
pub const STATUS_PLACE: &str = "/run/egress/status";

/// Ending of a socket's name.
pub const STATUS_ENDING: &str = ".sock";

/// The path of one; dropping it takes it away.
#[derive(Debug)]
pub struct StatusSocket {
    path: PathBuf,
}

impl StatusSocket {
    /// Listens in `place`, which becomes the caller's alone, and removes the sockets of runs that are no longer
    /// `is_alive`.
    ///
    /// # Errors
    /// When the directory or the socket cannot be made.
    pub fn open(
        place: &Path,
        id: &str,
        is_alive: impl Fn(&str) -> bool,
    ) -> io::Result<(Self, UnixListener)> {
        own(place)?;
        sweep(place, is_alive);
        let path = place.join(format!("{id}{STATUS_ENDING}"));
        let listener = UnixListener::bind(&path)?;
        let socket = Self { path };
        fs::set_permissions(&socket.path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok((socket, listener))
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        // What stays is swept by the next run.
        let _ = fs::remove_file(&self.path);
    }
}

/// The directory is made, or taken when it is ours, so that nobody else reaches a socket in it, not
/// even between its making and its mode.
fn own(place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let data = fs::symlink_metadata(place)?;
    if !data.is_dir() || data.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("{} belongs to somebody else", place.display())));
    }
    fs::set_permissions(place, fs::Permissions::from_mode(0o700))
}

fn sweep(place: &Path, is_alive: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(STATUS_ENDING));
        if id.is_some_and(|id| !is_alive(id)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
