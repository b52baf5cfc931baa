//! Descriptors that a sandboxed program must not inherit.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
};

use tokio::io::unix::AsyncFd;

use nix::sys::{
    socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname},
    stat::{SFlag, fstat},
};

/// Lets the running tokio runtime wait for a descriptor. Must be called inside a runtime.
///
/// # Errors
/// What epoll gives.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays open, and the same, for as long as the watch owns it.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

/// Closes what this process made itself (all of it close-on-exec) above stderr, but for `keep`.
/// For a forked child that will not execute anything.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn close_own(keep: &[RawFd]) -> io::Result<()> {
    for descriptor in open()?.into_iter().filter(|descriptor| !keep.contains(descriptor)) {
        // SAFETY: F_GETFD reads one flag; close of a descriptor that nothing in this forked child
        // will use again (its owners' destructors never run: the child leaves by exit).
        unsafe {
            let flags = libc::fcntl(descriptor, libc::F_GETFD);
            if flags >= 0 && flags & libc::FD_CLOEXEC != 0 {
                libc::close(descriptor);
            }
        }
    }
    Ok(())
}

/// Marks everything above stderr that is not a pipe as close-on-exec.
///
/// A socket made outside the sandbox is unseen by its hooks, a directory descriptor leads around
/// read-only mounts, and a bpf, cgroup or namespace descriptor is a way out by itself. Pipes stay:
/// shells pass them (`<(...)`, make's job server), and they reach no further than stdin does.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn close_inherited() -> io::Result<()> {
    for descriptor in open()? {
        if kind(descriptor) != Some(SFlag::S_IFIFO) {
            // SAFETY: changes one flag; a descriptor closed since gives EBADF, which is as good.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Every open descriptor above stderr.
fn open() -> io::Result<Vec<RawFd>> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            open.push(number);
        }
    }
    open.retain(|descriptor| *descriptor > 2);
    Ok(open)
}

/// What of stdin, stdout and stderr would be a way out that no hook sees, and why: a network socket,
/// or a directory, which leads around the mounts that hide things.
pub fn unsafe_stdio() -> Option<(&'static str, &'static str)> {
    const NAMES: [(RawFd, &str); 3] = [(0, "stdin"), (1, "stdout"), (2, "stderr")];
    NAMES.into_iter().find_map(|(descriptor, name)| match kind(descriptor)? {
        SFlag::S_IFDIR => Some((name, "a directory")),
        SFlag::S_IFSOCK => {
            let address = getsockname::<SockaddrStorage>(descriptor).ok();
            let unix = address.and_then(|address| address.family()) == Some(AddressFamily::Unix);
            (!unix).then_some((name, "a network socket"))
        }
        _ => None,
    })
}

fn kind(descriptor: RawFd) -> Option<SFlag> {
    // SAFETY: borrowed for this one call; fstat answers EBADF for a closed descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let mode = fstat(borrowed).ok()?.st_mode;
    Some(SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()))
}
