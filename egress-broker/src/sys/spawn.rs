//! A program in a cgroup and in namespaces of its own: clone3(2) and execveat(2) with the calling thread
//! waiting in between, as posix_spawn(3) does it, which knows nothing of namespaces.
//!
//! The child shares this process's memory until it executes the program. Other threads go on meanwhile and
//! may hold any lock, so it makes system calls and nothing else.

use std::{
    ffi::{CString, c_char, c_void},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr::{from_ref, null, null_mut},
    sync::atomic::{AtomicI32, Ordering},
};

use nix::unistd::Pid;

/// What to execute, and where.
#[derive(Debug)]
pub struct Execution {
    /// The program, which need not be readable (O_PATH).
    pub program: OwnedFd,
    /// Its arguments, its own name first.
    pub arguments: Vec<CString>,
    /// The directory of the cgroup that it is born into: moving it there would wait for an RCU grace period
    /// (10 to 20 ms on Linux 6.18).
    pub cgroup: OwnedFd,
    /// The one descriptor that is close-on-exec here and not there; it keeps its number.
    pub kept: OwnedFd,
}

/// A child process.
#[derive(Debug)]
pub struct Child {
    /// Its id as this process sees it.
    pub id: Pid,
    /// A pidfd: readable once the process has ended (pidfd_open(2)).
    pub handle: OwnedFd,
}

/// What the child reads of the parent's memory, and writes.
struct Start {
    program: RawFd,
    kept: RawFd,
    /// Ends with null.
    arguments: *const *const c_char,
    /// Why the program was not executed; 0 when it was.
    errno: AtomicI32,
}

/// The child calls a few functions of the C library with small frames.
const STACK: usize = 64 << 10;

/// Executes a program in a new PID and mount namespace and in a cgroup, with this process's environment
/// and every signal blocked. The calling thread waits until the program has taken over.
///
/// # Errors
/// What clone3 or execveat gives.
pub fn spawn(execution: &Execution) -> io::Result<Child> {
    // linux/sched.h; libc's constant is of a type that the flag does not fit.
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let flags = libc::CLONE_VM
        | libc::CLONE_VFORK
        | libc::CLONE_PIDFD
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS;

    let mut words: Vec<_> = execution.arguments.iter().map(|word| word.as_ptr()).collect();
    words.push(null());
    let start = Start {
        program: execution.program.as_raw_fd(),
        kept: execution.kept.as_raw_fd(),
        arguments: words.as_ptr(),
        errno: AtomicI32::new(0),
    };
    // Aligned to the 16 bytes that both architectures ask of a stack.
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let mut handle: RawFd = -1;
    // SAFETY: a record of integers, for which zero means "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.cast_unsigned()) | CLONE_INTO_CGROUP;
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    arguments.cgroup = u64::from(execution.cgroup.as_raw_fd().cast_unsigned());
    arguments.pidfd = (&raw mut handle).expose_provenance() as u64;
    arguments.stack = stack.as_mut_ptr().expose_provenance() as u64;
    arguments.stack_size = STACK as u64;

    // No handler of this process may run in the child, in this process's memory.
    let mask = set_mask(u64::MAX)?;
    // SAFETY: the stack, the record and all that it points to live until the call returns, which is after the
    // child has left this memory; `execute` makes system calls only and does not return.
    let child = unsafe { clone_and_call(&arguments, execute, from_ref(&start).cast()) };
    set_mask(mask)?;
    if child < 0 {
        return Err(io::Error::from_raw_os_error(i32::try_from(-child).unwrap_or(libc::EINVAL)));
    }
    // SAFETY: the kernel has just made it, for this process and nobody else.
    let handle = unsafe { OwnedFd::from_raw_fd(handle) };
    let id = Pid::from_raw(i32::try_from(child).map_err(io::Error::other)?);
    match start.errno.load(Ordering::Relaxed) {
        0 => Ok(Child { id, handle }),
        errno => {
            // SAFETY: no record is asked for; the child has ended or is about to.
            unsafe { libc::waitpid(id.as_raw(), null_mut(), 0) };
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

/// Sets this thread's mask of blocked signals and gives the one before, by the system call: the C library
/// leaves out the signals that it uses itself.
pub(super) fn set_mask(mask: u64) -> io::Result<u64> {
    let mut before = 0_u64;
    // SAFETY: two live masks of the size that the kernel has, which is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            from_ref(&mask),
            &raw mut before,
            size_of::<u64>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(before) }
}

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

/// In the child.
extern "C" fn execute(start: *const c_void) -> ! {
    // SAFETY: the parent's record, which lives until this process has left the parent's memory. The
    // environment is changed by nobody: who does (`std::env::set_var`) answers for no thread reading it.
    unsafe {
        let start = &*start.cast::<Start>();
        // This process's own table of descriptors.
        if libc::fcntl(start.kept, libc::F_SETFD, 0) == 0 {
            libc::syscall(
                libc::SYS_execveat,
                start.program,
                c"".as_ptr(),
                start.arguments,
                environ,
                libc::AT_EMPTY_PATH,
            );
        }
        start.errno.store(*libc::__errno_location(), Ordering::Relaxed);
        libc::_exit(127)
    }
}

/// clone3, and in the child a call of `entry` on the new stack: the C library has no such function, and one
/// that returned in the child would return on a stack without frames. Gives the child's id, or an errno
/// below zero.
///
/// # Safety
/// `arguments` has a stack that nothing else uses and lets the parent wait (CLONE_VFORK); `data` is what `entry` expects.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_call(
    arguments: &libc::clone_args,
    entry: extern "C" fn(*const c_void) -> !,
    data: *const c_void,
) -> i64 {
    let result: i64;
    // SAFETY: the parent goes on behind the label with its own registers and stack; the system call changes
    // what is named as its output. The child goes to `entry`, its stack aligned, and never leaves it.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") from_ref(arguments),
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") data,
            in("r13") entry,
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_call(
    arguments: &libc::clone_args,
    entry: extern "C" fn(*const c_void) -> !,
    data: *const c_void,
) -> i64 {
    let result: i64;
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") from_ref(arguments) => result,
            in("x1") size_of::<libc::clone_args>(),
            in("x20") data,
            in("x21") entry,
        );
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_given_back() {
        // SIGUSR1, and 33, which the C library would leave out.
        let wanted = 1 << (libc::SIGUSR1 - 1) | 1 << 32;
        let before = set_mask(wanted).unwrap();
        assert_eq!(set_mask(before).unwrap(), wanted);
    }
}
