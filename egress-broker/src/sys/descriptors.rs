//! Open descriptors: waiting for them, and what a standard stream must not be.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use egress_common::device::{DeviceKey, kind};
use nix::sys::{
    socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname},
    stat::{SFlag, fstat},
};
use nix::unistd::{dup2_stdin, dup2_stdout};

use super::file_systems::is_of_kernel;

/// Whether something can be read, or accepted, without waiting: what the kernel says now, and not what
/// an event loop has heard of. Where the kernel does not say, false.
pub fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    is_readable_within(descriptor, Duration::ZERO)
}

/// The same, after waiting for at most so long, in milliseconds.
pub fn is_readable_within(descriptor: BorrowedFd<'_>, patience: Duration) -> bool {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one live record, which the kernel fills.
    unsafe { libc::poll(&raw mut poll, 1, patience) > 0 }
}

/// Whether something can be written without waiting, or there is an error, as [`is_readable`].
pub fn is_writable(descriptor: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one live record, which the kernel fills; no waiting.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 }
}

/// Waits until something can be written, or nobody reads any more.
pub fn wait_to_write(descriptor: impl AsFd) {
    let descriptor = descriptor.as_fd().as_raw_fd();
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one live record, which the kernel fills; no time limit.
    unsafe { libc::poll(&raw mut poll, 1, -1) };
}

/// Lets go of stdin and stdout, so that their other ends see that the command has ended.
pub fn leave_output() {
    let Ok(nothing) = std::fs::File::options().read(true).write(true).open("/dev/null") else {
        return;
    };
    // Where it fails they are let go of at the end.
    let _ = dup2_stdin(&nothing);
    let _ = dup2_stdout(&nothing);
}

/// Waits until one of these can be read, or its other end is gone.
///
/// # Errors
/// What poll gives.
pub fn wait_for_any<const N: usize>(descriptors: [BorrowedFd<'_>; N]) -> io::Result<()> {
    let mut polls = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let count = libc::nfds_t::try_from(N).map_err(io::Error::other)?;
    // SAFETY: so many live records, which the kernel fills; no time limit.
    match unsafe { libc::poll(polls.as_mut_ptr(), count, -1) } {
        0.. => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
    }
}

/// The socket of the unix family that whoever executed this program left open under a number, close-on-exec
/// from now on; none when there is no such, or it is one of stdin, stdout and stderr.
///
/// To be called once, before anything else of this process owns descriptors.
pub fn adopt_socket(number: RawFd) -> Option<UnixStream> {
    if number <= 2 || type_of_file(number) != Some(SFlag::S_IFSOCK) || way_out(number).is_some() {
        return None;
    }
    // SAFETY: open, as was just asked, and owned by nobody in this process.
    let socket = unsafe {
        libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC);
        OwnedFd::from_raw_fd(number)
    };
    Some(socket.into())
}

/// Closes what this process was handed above stderr: everything that is not close-on-exec.
///
/// To be called while nothing of this process owns such a descriptor.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn close_inherited() -> io::Result<()> {
    for number in open()? {
        // SAFETY: reads flags, and closes what nobody in this process owns: what is made here is close-on-exec.
        unsafe {
            let flags = libc::fcntl(number, libc::F_GETFD);
            if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
                libc::close(number);
            }
        }
    }
    Ok(())
}

/// What whoever executed this program left open under a number, close-on-exec from now on; none where nothing is, or it
/// is one of stdin, stdout and stderr.
///
/// To be called once for each, before anything else of this process owns descriptors.
pub fn adopt(number: RawFd) -> Option<OwnedFd> {
    if number <= 2 || type_of_file(number).is_none() {
        return None;
    }
    // SAFETY: open, as was just asked, and owned by nobody in this process.
    unsafe {
        libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC);
        Some(OwnedFd::from_raw_fd(number))
    }
}

/// Leaves a descriptor open for the program that this process is about to execute, and gives its number there.
///
/// # Errors
/// What fcntl gives.
pub fn hand_on(descriptor: BorrowedFd<'_>) -> io::Result<RawFd> {
    // SAFETY: changes one flag of a live descriptor.
    match unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) } {
        0.. => Ok(descriptor.as_raw_fd()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many this process has.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn count() -> io::Result<usize> {
    Ok(open()?.len() + 3)
}

/// Every open descriptor above stderr.
pub(super) fn open() -> io::Result<Vec<RawFd>> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            open.push(number);
        }
    }
    open.retain(|descriptor| *descriptor > 2);
    Ok(open)
}

const STDIO: [(RawFd, &str); 3] = [(0, "stdin"), (1, "stdout"), (2, "stderr")];

/// What of stdin, stdout and stderr would be a way out that no hook and no mount sees, and why.
pub fn unsafe_stdio() -> Option<(&'static str, &'static str)> {
    STDIO.into_iter().find_map(|(descriptor, name)| Some((name, way_out(descriptor)?)))
}

/// The devices among stdin, stdout and stderr.
pub fn devices_of_stdio() -> Vec<(&'static str, DeviceKey)> {
    let device = |(descriptor, name): (RawFd, &'static str)| {
        // SAFETY: borrowed for this one call; fstat answers EBADF for a closed descriptor.
        let stat = fstat(unsafe { BorrowedFd::borrow_raw(descriptor) }).ok()?;
        let kind = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFCHR => kind::CHARACTER,
            SFlag::S_IFBLK => kind::BLOCK,
            _ => return None,
        };
        let (major, minor) = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
        Some((name, DeviceKey { kind, major, minor }))
    };
    STDIO.into_iter().filter_map(device).collect()
}

/// What about an open descriptor leads out of a sandbox; none for files, terminals and the like,
/// pipes, and sockets of the unix family.
fn way_out(descriptor: RawFd) -> Option<&'static str> {
    let kind = type_of_file(descriptor)?;
    // Not opened: `/proc/self/fd/N` leads from it to where its path may be hidden.
    if is_path(descriptor) {
        return Some("a path only (O_PATH)");
    }
    match kind {
        SFlag::S_IFDIR => Some("a directory"),
        SFlag::S_IFSOCK => {
            let address = getsockname::<SockaddrStorage>(descriptor).ok();
            let unix = address.and_then(|address| address.family()) == Some(AddressFamily::Unix);
            (!unix).then_some("a network socket")
        }
        // `/proc/self/fd/N` opens it anew, for writing too, by the mount that it was opened by: the
        // read-only one of the sandbox is another.
        SFlag::S_IFREG if is_of_kernel(descriptor) => {
            Some("a file of the kernel's (/proc, /sys, cgroups and the like)")
        }
        SFlag::S_IFREG | SFlag::S_IFIFO | SFlag::S_IFCHR | SFlag::S_IFBLK => None,
        // Processes, namespaces, event queues, rings, programs and maps of bpf.
        _ => Some("an object of the kernel's that is no file"),
    }
}

pub(super) fn is_path(descriptor: RawFd) -> bool {
    // SAFETY: F_GETFL reads flags; a closed descriptor gives EBADF.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_PATH != 0
}

pub(super) fn type_of_file(descriptor: RawFd) -> Option<SFlag> {
    // SAFETY: borrowed for this one call; fstat answers EBADF for a closed descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let mode = fstat(borrowed).ok()?.st_mode;
    Some(SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()))
}
