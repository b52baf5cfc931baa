//! Processes: a child in namespaces of its own, and commands prepared between fork and exec.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::{ffi::OsStringExt, process::CommandExt},
    },
    path::PathBuf,
    process::Command,
};

use nix::{
    sys::signal::{SigHandler, Signal, signal},
    unistd::Pid,
};

/// The two sides of [`clone_child`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloned {
    /// In the parent: the child's process id as the parent sees it.
    Parent(Pid),
    /// In the child.
    Child,
}

/// Gives the kernel back what the allocator keeps of freed memory: what loading leaves is 15 MiB, which
/// every run, and the process that is forked from it, would carry to its end.
pub fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer, and the allocator locks itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// fork(2) into a new PID and mount namespace, and into a cgroup: born there, the child need not be
/// moved, which would wait for an RCU grace period (10 to 20 ms on 6.18).
///
/// The caller must be single-threaded: in the child of a process with threads only
/// async-signal-safe calls would be allowed.
///
/// # Errors
/// EINVAL when there is more than one thread, or what clone3 gives.
pub fn clone_child(cgroup: BorrowedFd<'_>) -> io::Result<Cloned> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // linux/sched.h; libc's constant is of a type that the flag does not fit.
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
    // SAFETY: a record of integers, for which zero means "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(namespaces.cast_unsigned()) | CLONE_INTO_CGROUP;
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    // SAFETY: without CLONE_VM and with a null stack this is fork; there are no other threads, and
    // the kernel reads exactly the given size of a live record.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_ref(&arguments),
            size_of::<libc::clone_args>(),
        )
    };
    match result {
        0 => Ok(Cloned::Child),
        child if child > 0 => {
            Ok(Cloned::Parent(Pid::from_raw(i32::try_from(child).map_err(io::Error::other)?)))
        }
        _ => Err(io::Error::last_os_error()),
    }
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
