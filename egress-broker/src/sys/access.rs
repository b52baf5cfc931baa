//! What a user may write, in the words of the kernel: modes, owners, groups and access lists alike.

use std::{io, os::fd::BorrowedFd};

use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::stat::fstat,
    unistd::{AccessFlags, Gid, Uid, faccessat, setfsgid, setfsuid},
};

/// For each file or directory, whether this user, in these groups and without capabilities, could change
/// what is in it, or make it so: an owner may give itself the right. What cannot be found out could be.
///
/// Asked in a thread of its own, which becomes the user for file access alone: no process of the user's may
/// signal or trace it.
///
/// # Errors
/// When the thread cannot be started, or cannot become the user.
pub fn writable_by(
    files: &[BorrowedFd<'_>],
    uid: Uid,
    gid: Gid,
    groups: &[Gid],
) -> io::Result<Vec<bool>> {
    let ask = || {
        become_user(uid, gid, groups)?;
        Ok(files.iter().map(|file| is_writable(*file, uid)).collect())
    };
    std::thread::scope(|scope| {
        let asking =
            std::thread::Builder::new().name("access".to_owned()).spawn_scoped(scope, ask)?;
        asking.join().map_err(|_| io::Error::other("the thread that asks has died"))?
    })
}

/// The calling thread alone.
fn become_user(uid: Uid, gid: Gid, groups: &[Gid]) -> io::Result<()> {
    setfsgid(gid);
    let numbers: Vec<libc::gid_t> = groups.iter().map(|group| group.as_raw()).collect();
    // Not by libc's function, which changes every thread of the process.
    // SAFETY: the kernel reads as many numbers as there are, from a live list.
    let set = unsafe { libc::syscall(libc::SYS_setgroups, numbers.len(), numbers.as_ptr()) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // Takes the capabilities about files with it. Neither call says whether it worked but by what the
    // next one finds.
    setfsuid(uid);
    if setfsuid(uid) != uid || setfsgid(gid) != gid {
        return Err(io::Error::other("cannot become the user for a question"));
    }
    Ok(())
}

fn is_writable(file: BorrowedFd<'_>, uid: Uid) -> bool {
    // By an owner's chmod(2).
    let Ok(stat) = fstat(file) else { return true };
    if stat.st_uid == uid.as_raw() {
        return true;
    }
    let flags = AtFlags::AT_EACCESS | AtFlags::AT_EMPTY_PATH;
    match faccessat(file, c"", AccessFlags::W_OK, flags) {
        Err(Errno::EACCES) => false,
        // Read-only here, and perhaps not where the same files are mounted again. With an access list the
        // group's bits are the most that any of its entries gives.
        Err(Errno::EROFS) => stat.st_mode & 0o022 != 0,
        Ok(()) | Err(_) => true,
    }
}
