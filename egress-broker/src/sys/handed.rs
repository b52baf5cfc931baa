//! Descriptors above stderr that a sandboxed program is handed, and those that it is not.
//!
//! A socket made outside the sandbox is unseen by its hooks, a directory leads around read-only mounts, and a
//! bpf, cgroup or namespace descriptor is a way out by itself. Pipes stay: shells pass them (`<(...)`, make's
//! job server), and they reach no further than stdin does. Regular files stay where they are data alone: a log,
//! a here-document. What is not known is not handed on.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, RawFd},
        unix::fs::MetadataExt,
    },
};

use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    stat::{SFlag, fstat},
};

use super::{
    descriptors::{is_path, open, type_of_file},
    file_systems::{TMPFS, is_of_data, of},
};

/// A descriptor that was inherited and is not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Its number.
    pub number: RawFd,
    /// Of a regular file, why not.
    pub file: Option<NotData>,
}

/// Why a regular file is not taken for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotData {
    /// Its file system, by its magic number (statfs(2)), is none whose files are known to be data; 0 where
    /// the kernel does not tell.
    FileSystem(u64),
    /// Memory that another process may have as well, without a path (memfd_create(2)): some services take
    /// their orders by it.
    SharedMemory,
}

/// A file, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of an open file; none where the kernel does not tell.
    pub fn of(file: &File) -> Option<Self> {
        let data = file.metadata().ok()?;
        Some(Self { device: data.dev(), inode: data.ino() })
    }
}

/// Marks as close-on-exec whatever is not handed on.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn close_the_rest() -> io::Result<()> {
    for number in open()? {
        if judge(number).is_some() {
            // SAFETY: changes one flag; a descriptor closed since gives EBADF, which is as good.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// What this process was given and does not hand on, by number.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn closed() -> io::Result<Vec<Closed>> {
    let mut closed: Vec<_> =
        open()?.into_iter().filter(|number| is_inherited(*number)).filter_map(judge).collect();
    closed.sort_unstable_by_key(|one| one.number);
    Ok(closed)
}

/// The regular files that a program gets of this process open for writing, standard streams among them.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn writable_files() -> io::Result<Vec<FileId>> {
    let inherited = open()?.into_iter().chain(0..3).filter(|number| is_inherited(*number));
    Ok(inherited.filter_map(written_file).collect())
}

/// Why it is not handed on; none when it is.
fn judge(number: RawFd) -> Option<Closed> {
    let closed = |file| Some(Closed { number, file });
    match type_of_file(number) {
        _ if is_path(number) => closed(None),
        Some(SFlag::S_IFIFO) => None,
        Some(SFlag::S_IFREG) => match of(number).unwrap_or(0) {
            TMPFS if is_shared_memory(number) => closed(Some(NotData::SharedMemory)),
            kind if is_of_data(kind) => None,
            kind => closed(Some(NotData::FileSystem(kind))),
        },
        _ => closed(None),
    }
}

/// Whether it lies in the one tmpfs that the kernel mounts for itself.
fn is_shared_memory(number: RawFd) -> bool {
    let own = memfd_create(c"egress", MFdFlags::MFD_CLOEXEC).ok();
    let kernels = own.and_then(|own| fstat(own.as_fd()).ok());
    // SAFETY: borrowed for this one call; fstat answers EBADF for a closed descriptor.
    let stat = fstat(unsafe { BorrowedFd::borrow_raw(number) });
    match (kernels, stat) {
        (Some(kernels), Ok(stat)) => stat.st_dev == kernels.st_dev,
        (None, Ok(stat)) => stat.st_nlink == 0,
        (_, Err(_)) => true,
    }
}

fn is_inherited(number: RawFd) -> bool {
    // SAFETY: F_GETFD reads flags; a closed descriptor gives EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

fn written_file(number: RawFd) -> Option<FileId> {
    // SAFETY: F_GETFL reads flags; a closed descriptor gives EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFL) };
    if flags < 0 || flags & libc::O_ACCMODE == libc::O_RDONLY {
        return None;
    }
    // SAFETY: as in `is_shared_memory`.
    let stat = fstat(unsafe { BorrowedFd::borrow_raw(number) }).ok()?;
    let is_file = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG;
    is_file.then_some(FileId { device: stat.st_dev, inode: stat.st_ino })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn file(of: &File) -> Option<Closed> {
        judge(of.as_raw_fd())
    }

    #[test]
    fn a_file_with_or_without_a_name_is_handed_on() {
        let named = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(file(named.as_file()), None);
        let unnamed = tempfile::tempfile().unwrap();
        assert_eq!(file(&unnamed), None);
        let in_memory = tempfile::tempfile_in("/dev/shm").unwrap();
        assert_eq!(file(&in_memory), None);
    }

    #[test]
    fn what_is_more_than_data_is_not() {
        let why = |of: &File| file(of).expect("not handed on").file;
        let kernels = File::open("/proc/self/status").unwrap();
        assert_eq!(why(&kernels), Some(NotData::FileSystem(0x9fa0)));
        assert_eq!(why(&File::open("/dev/null").unwrap()), None);
        assert_eq!(why(&File::open("/").unwrap()), None);
        let shared = memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap();
        assert_eq!(why(&shared.into()), Some(NotData::SharedMemory));
    }

    #[test]
    fn a_descriptor_that_is_closed_is_not_handed_on() {
        let number = {
            let one = File::open("/dev/null").unwrap();
            one.as_raw_fd() + 5000
        };
        assert!(judge(number).is_some());
        assert_eq!(written_file(number), None);
    }

    #[test]
    fn only_what_is_open_for_writing_can_be_written() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let written = written_file(named.as_file().as_raw_fd());
        assert!(written.is_some());
        assert_eq!(written, FileId::of(&File::open(named.path()).unwrap()));
        assert_eq!(written_file(File::open(named.path()).unwrap().as_raw_fd()), None);
    }
}
