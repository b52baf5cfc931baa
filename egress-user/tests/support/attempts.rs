//! System calls by which a thread would get more than it has, each so that it changes nothing where it is let through:
//! its other arguments are of nobody.
use std::io;

use libc::{c_int, c_long};

/// What is tried, and how.
pub(crate) struct Attempt {
    pub(crate) what: &'static str,
    call: c_long,
    arguments: [c_long; 6],
}

impl Attempt {
    /// The errno; 0 where it succeeds.
    pub(crate) fn errno(&self) -> i32 {
        let [a, b, c, d, e, f] = self.arguments;
        // SAFETY: every pointer among the arguments is null, leads to no memory at all, or to text that lives as long as
        // the program, which the kernel only reads.
        let result = unsafe { libc::syscall(self.call, a, b, c, d, e, f) };
        // What was let through and made a descriptor is not to be another test's.
        let makes = [libc::SYS_openat, libc::SYS_socket, libc::SYS_memfd_create, libc::SYS_fsopen];
        if let Ok(made @ 3..) = c_int::try_from(result)
            && makes.contains(&self.call)
        {
            // SAFETY: the kernel has just made it, and nobody has it.
            unsafe { libc::close(made) };
        }
        if result >= 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(0) }
    }
}

/// An address where nothing is.
const NOWHERE: c_long = 1;

fn attempt(what: &'static str, call: c_long, arguments: &[c_long]) -> Attempt {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    Attempt { what, call, arguments: all }
}

fn text(text: &'static std::ffi::CStr) -> c_long {
    text.as_ptr() as c_long
}

fn long(value: c_int) -> c_long {
    value.into()
}

/// All of them.
pub(crate) fn all() -> Vec<Attempt> {
    let here = long(libc::AT_FDCWD);
    let none = text(c"/nonexistent");
    let shadow = text(c"/etc/shadow");
    let exclusive = long(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY);
    let (stream, raw) = (long(libc::SOCK_STREAM), long(libc::SOCK_RAW));
    let executable = long(libc::PROT_READ | libc::PROT_EXEC);
    let anonymous = long(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let process = long(libc::SIGCHLD);
    vec![
        attempt("execute", libc::SYS_execve, &[none]),
        attempt("execute by descriptor", libc::SYS_execveat, &[-1, none]),
        // Flags that contradict each other, so that nothing is made of them.
        attempt(
            "start a process",
            libc::SYS_clone,
            &[process | long(libc::CLONE_FS | libc::CLONE_NEWNS)],
        ),
        attempt(
            "make a namespace with a thread",
            libc::SYS_clone,
            &[long(libc::CLONE_THREAD | libc::CLONE_NEWNET)],
        ),
        attempt("leave namespaces", libc::SYS_unshare, &[0]),
        attempt("enter a namespace", libc::SYS_setns, &[-1]),
        attempt("mount", libc::SYS_mount, &[0, none, 0, long(0x1000), 0]),
        attempt("unmount", libc::SYS_umount2, &[none]),
        attempt("open a file system", libc::SYS_fsopen, &[NOWHERE]),
        attempt("move a mount", libc::SYS_move_mount, &[-1, none, here, none]),
        attempt("change the root", libc::SYS_chroot, &[none]),
        attempt("trace", libc::SYS_ptrace, &[long(16), -1]),
        attempt("read another's memory", libc::SYS_process_vm_readv, &[-1, 0, 0, 0, 0, 1]),
        attempt("write another's memory", libc::SYS_process_vm_writev, &[-1, 0, 0, 0, 0, 1]),
        attempt("take another's descriptor", libc::SYS_pidfd_getfd, &[-1]),
        attempt("signal", libc::SYS_kill, &[i32::MAX.into(), 0]),
        attempt("signal a thread", libc::SYS_tgkill, &[i32::MAX.into(), i32::MAX.into(), 0]),
        attempt("load a program", libc::SYS_bpf, &[5, 0, 0]),
        attempt("make a map", libc::SYS_bpf, &[0, 0, 0]),
        attempt("pin", libc::SYS_bpf, &[6, 0, 0]),
        attempt("open a pin", libc::SYS_bpf, &[7, 0, 0]),
        attempt("attach", libc::SYS_bpf, &[8, 0, 0]),
        attempt("find a map by its id", libc::SYS_bpf, &[14, 0, 0]),
        attempt("attach by a link", libc::SYS_bpf, &[28, 0, 0]),
        attempt("open a file", libc::SYS_openat, &[here, shadow]),
        attempt("open a file by openat2", libc::SYS_openat2, &[here, none, NOWHERE, 24]),
        attempt("make a file", libc::SYS_openat, &[here, text(c"/etc/shadow"), exclusive]),
        attempt("open by a handle", libc::SYS_open_by_handle_at, &[-1, NOWHERE]),
        attempt("look for a file", libc::SYS_newfstatat, &[here, none, NOWHERE]),
        attempt("remove a file", libc::SYS_unlinkat, &[here, none]),
        attempt("rename a file", libc::SYS_renameat2, &[here, none, here, none]),
        attempt("make a directory", libc::SYS_mkdirat, &[here, text(c"/")]),
        attempt("give a file away", libc::SYS_fchownat, &[here, none]),
        attempt("use keys", libc::SYS_keyctl, &[i32::MAX.into()]),
        attempt("handle page faults", libc::SYS_userfaultfd, &[-1]),
        attempt("count events", libc::SYS_perf_event_open, &[NOWHERE]),
        attempt("load a module", libc::SYS_finit_module, &[-1, none]),
        attempt("make a ring", libc::SYS_io_uring_setup, &[0, NOWHERE]),
        attempt("change rights", libc::SYS_capset, &[NOWHERE]),
        attempt("become root", libc::SYS_setuid, &[0]),
        attempt("install a filter", libc::SYS_seccomp, &[long(99)]),
        attempt("become dumpable", libc::SYS_prctl, &[long(libc::PR_SET_DUMPABLE), 7]),
        attempt(
            "make memory that can be executed",
            libc::SYS_mmap,
            &[0, 4096, executable, anonymous, -1],
        ),
        attempt("make a file in memory", libc::SYS_memfd_create, &[NOWHERE]),
        attempt("listen", libc::SYS_listen, &[-1]),
        attempt("a unix socket", libc::SYS_socket, &[long(libc::AF_UNIX), stream]),
        attempt("a packet socket", libc::SYS_socket, &[long(libc::AF_PACKET), raw]),
        attempt("a raw socket", libc::SYS_socket, &[long(libc::AF_INET), raw, 1]),
        attempt(
            "a ping socket",
            libc::SYS_socket,
            &[long(libc::AF_INET), long(libc::SOCK_DGRAM), 1],
        ),
        attempt("netfilter's socket", libc::SYS_socket, &[long(libc::AF_NETLINK), raw, 12]),
        attempt("the sockets of others", libc::SYS_socket, &[long(libc::AF_NETLINK), raw, 4]),
        attempt("attach a filter to a socket", libc::SYS_setsockopt, &[-1, 1, 26, NOWHERE, 4]),
        attempt("choose a device", libc::SYS_setsockopt, &[-1, 1, 25, NOWHERE, 4]),
        attempt("write into a terminal", libc::SYS_ioctl, &[-1, 0x5412, NOWHERE]),
        attempt("own a descriptor's signals", libc::SYS_fcntl, &[-1, 8, 1]),
    ]
}

/// clone3(2) with nothing.
pub(crate) fn clone3() -> i32 {
    attempt("a thread by clone3", libc::SYS_clone3, &[0, 0]).errno()
}
