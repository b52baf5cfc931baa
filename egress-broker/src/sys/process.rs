//! Processes: signals to them, and commands prepared between fork and exec.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::{ffi::OsStringExt, process::CommandExt},
    },
    path::PathBuf,
    process::Command,
    time::Duration,
};

use nix::{
    sys::signal::{SigHandler, Signal, signal},
    unistd::{ForkResult, Pid, Uid},
};

use super::{descriptors::is_readable_within, held_socket::pidfd_open};

/// Gives the kernel back what the allocator keeps of freed memory: what loading leaves is 15 MiB, which
/// every run would carry to its end.
pub fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer, and the allocator locks itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Sends a signal to a process by its pidfd, and so never to another that got its id since.
///
/// # Errors
/// ESRCH when it has ended.
pub fn send_signal(process: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    // SAFETY: integers, and null for "as kill(2) would".
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal as libc::c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The path of this process's working directory, by the system call: the C library makes up for what
/// the kernel does not give by climbing `..`, and so finds paths of other mounts.
///
/// # Errors
/// ENOENT where no path leads there: it is removed, outside of this root, or in another mount
/// namespace. ENAMETOOLONG from PATH_MAX (4096) bytes on.
pub fn working_directory() -> io::Result<PathBuf> {
    let mut path = vec![0_u8; libc::PATH_MAX.unsigned_abs() as usize];
    // SAFETY: the kernel writes at most the given number of bytes to a live buffer.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) };
    let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
    // With the terminating zero.
    path.truncate(length.saturating_sub(1));
    // Otherwise it begins with "(unreachable)".
    if path.first() != Some(&b'/') {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

/// Undoes a disposition of SIGCHLD that the caller left us: where it is ignored, the kernel forgets
/// a child's end and tells nobody of it, and whoever waits for it waits for ever.
///
/// # Errors
/// What sigaction gives.
pub fn heed_children() -> io::Result<()> {
    // SAFETY: the default action runs no code of ours.
    let set = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    set.map(drop).map_err(io::Error::from)
}

/// Runs `prepare` in the child of `command`, just before it executes the program.
///
/// `prepare` may allocate: the only caller is the sandbox's init, which has one thread.
pub fn before_exec<F>(command: &mut Command, prepare: F)
where
    F: FnMut() -> io::Result<()> + Send + Sync + 'static,
{
    // SAFETY: the forking process has one thread, so the child may do whatever it could.
    unsafe { command.pre_exec(prepare) };
}

/// One more process with everything that this one has; none in it. This one must have one thread: of others the new
/// process would have the locks and not the work.
///
/// # Errors
/// What fork gives, and EBUSY where there are other threads.
pub fn fork() -> io::Result<Option<Pid>> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: with one thread the child may do whatever the parent could.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Waits for the end of a child, at most so long, and leaves it to be reaped. False where it lives on, or cannot be
/// watched.
pub fn ends_within(child: Pid, patience: Duration) -> bool {
    pidfd_open(child.as_raw()).is_ok_and(|child| is_readable_within(child.as_fd(), patience))
}

/// Whether a process of this user's lives (getpriority(2)).
pub fn has_processes(user: Uid) -> bool {
    // SAFETY: integers alone; the call tells an error from a priority below zero by errno.
    unsafe {
        *libc::__errno_location() = 0;
        libc::getpriority(libc::PRIO_USER, user.as_raw());
        *libc::__errno_location() != libc::ESRCH
    }
}

/// A number by lot.
pub fn random() -> u64 {
    let mut number = [0; 8];
    // SAFETY: the kernel writes at most as many bytes as there are.
    let written = unsafe { libc::getrandom(number.as_mut_ptr().cast(), number.len(), 0) };
    // So few bytes are given whole, or not at all by a kernel that refuses the call.
    if written == 8 { u64::from_ne_bytes(number) } else { std::process::id().into() }
}
