//! What of /tmp is hidden: directories in which a user's servers have their sockets. Each is replaced by an
//! empty one of the same owner and mode, so that a server of the same kind starts inside: tmux takes no
//! directory that others may enter, an X server none that it cannot write.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, lchown},
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};

use super::user::User;

const TMP: &str = "/tmp";

/// Beginnings of names that hold the sockets of a user's own servers: whoever may speak to a terminal
/// multiplexer or an agent has a process outside do things for him.
const HIDDEN: &[&str] =
    &[".X11-unix", ".ICE-unix", "tmux-", "screens", "uscreens", "ssh-", "dbus-"];

/// Makes the directory that the user's tmux would make at its first start: one that is there can be hidden,
/// and what a tmux outside puts there later is hidden with it.
pub(super) fn prepare(user: Option<&User>) {
    let (uid, gid) = user.map_or((0, 0), |user| (user.uid.as_raw(), user.gid.as_raw()));
    let directory = Path::new(TMP).join(format!("tmux-{uid}"));
    // Where it is there already, or cannot be made: so be it, for tmux too.
    if fs::DirBuilder::new().mode(0o700).create(&directory).is_ok() {
        let _ = lchown(&directory, Some(uid), Some(gid));
    }
}

/// What is to be hidden. Links are left alone: what they lead to is in the other lists or in /tmp itself.
pub(super) fn sockets() -> impl Iterator<Item = PathBuf> {
    let listed = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        HIDDEN.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes()))
            && entry.file_type().is_ok_and(|kind| !kind.is_symlink())
    };
    let entries = fs::read_dir(TMP).into_iter().flatten().flatten();
    entries.filter(listed).map(|entry| entry.path())
}

/// Puts an empty directory over one, of the same owner and mode.
pub(super) fn replace(directory: &Path) -> io::Result<()> {
    let data = fs::symlink_metadata(directory)?;
    let (mode, uid, gid) = (data.mode() & 0o7777, data.uid(), data.gid());
    let options = format!("mode={mode:o},uid={uid},gid={gid},size=1m,nr_inodes=1k");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("tmpfs"), directory, Some("tmpfs"), flags, Some(options.as_str()))?)
}
