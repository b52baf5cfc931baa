//! Descriptors that a sandboxed program must not inherit.

use std::{
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use egress_common::device::{DeviceKey, kind};
use tokio::io::unix::AsyncFd;

use nix::sys::{
    socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname},
    stat::{SFlag, fstat},
    statfs::{Statfs, fstatfs},
};
use nix::unistd::{dup2_stdin, dup2_stdout};

/// Lets the running tokio runtime wait for a descriptor. Must be called inside a runtime.
///
/// # Errors
/// What epoll gives.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays open, and the same, for as long as the watch owns it.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

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
pub fn wait_for_any(descriptors: [BorrowedFd<'_>; 2]) -> io::Result<()> {
    let mut polls = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: two live records, which the kernel fills; no time limit.
    match unsafe { libc::poll(polls.as_mut_ptr(), 2, -1) } {
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
        if type_of_file(descriptor) != Some(SFlag::S_IFIFO) || is_path(descriptor) {
            // SAFETY: changes one flag; a descriptor closed since gives EBADF, which is as good.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// How many this process has.
///
/// # Errors
/// When /proc/self/fd cannot be read.
pub fn count() -> io::Result<usize> {
    Ok(open()?.len() + 3)
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
        SFlag::S_IFREG if of_kernel(descriptor) => {
            Some("a file of the kernel's (/proc, /sys, cgroups and the like)")
        }
        SFlag::S_IFREG | SFlag::S_IFIFO | SFlag::S_IFCHR | SFlag::S_IFBLK => None,
        // Processes, namespaces, event queues, rings, programs and maps of bpf.
        _ => Some("an object of the kernel's that is no file"),
    }
}

/// File systems whose files are not data but handles on the kernel or on other processes
/// (linux/magic.h).
const OF_KERNEL: [u64; 24] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
    0x6e73_6673, // nsfs
    0x5049_4446, // pidfs
    0x0904_1934, // anonymous inodes
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x4249_4e4d, // binfmt_misc
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
    0x6573_5543, // fusectl
    0x0765_5821, // resctrl
    0xabba_1974, // xenfs
    0x6c6f_6f70, // binder
    0x1980_0202, // mqueue
];

fn of_kernel(descriptor: RawFd) -> bool {
    // SAFETY: borrowed for this one call.
    let stat = fstatfs(unsafe { BorrowedFd::borrow_raw(descriptor) });
    // What cannot be told is taken for one.
    !stat.is_ok_and(|stat| !OF_KERNEL.contains(&type_of(&stat)))
}

/// The magic number, which has another type on every platform.
#[allow(clippy::unnecessary_cast, reason = "the type differs by platform")]
fn type_of(stat: &Statfs) -> u64 {
    u64::from(stat.filesystem_type().0 as u32)
}

fn is_path(descriptor: RawFd) -> bool {
    // SAFETY: F_GETFL reads flags; a closed descriptor gives EBADF.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    flags >= 0 && flags & libc::O_PATH != 0
}

fn type_of_file(descriptor: RawFd) -> Option<SFlag> {
    // SAFETY: borrowed for this one call; fstat answers EBADF for a closed descriptor.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let mode = fstat(borrowed).ok()?.st_mode;
    Some(SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()))
}
