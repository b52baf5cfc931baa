//! Files that a role may open.
//!
//! A reader opens none: what it needs of the machine was read before (certificates, hosts file), is read by the thread
//! for that ([`super::FILES`]: the resolver's configuration), or is open already (maps, sockets). So there is no path to
//! allow it, and Landlock has no exceptions. Its list of system calls has none by which files are opened, either: that
//! holds on kernels without Landlock.

use std::io;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};

use super::Role;

/// The newest that this was tried with: Linux 6.12.
const NEWEST: ABI = ABI::V6;

/// Closes everything that the role does not open, with what the kernel has of Landlock; also abstract unix sockets of, and
/// signals to, everybody else. Needs no_new_privs.
pub(super) fn close(role: Role) -> io::Result<()> {
    // Landlock would keep it from looking into any process that is not confined by it. Its list opens for reading alone.
    if role == Role::Sockets {
        return Ok(());
    }
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let ruleset = match role {
        Role::Reader | Role::Ender | Role::Sockets => ruleset,
        // The file and the links on its way are found anew each time, wherever they lead.
        Role::Files => {
            let root = PathFd::new("/").map_err(io::Error::other)?;
            let read = AccessFs::ReadFile | AccessFs::ReadDir;
            ruleset.add_rule(PathBeneath::new(root, read)).map_err(io::Error::other)?
        }
    };
    ruleset.no_new_privs(false).restrict_self().map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io, thread};

    use super::*;

    fn opened_in(role: Role, path: &'static str) -> Option<i32> {
        let confined = thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            close(role).unwrap();
            let opened = File::options().read(true).write(role == Role::Files).open(path);
            opened.err().and_then(|error| error.raw_os_error())
        });
        confined.join().unwrap()
    }

    /// By Landlock alone: without the list of system calls.
    #[test]
    fn no_file_is_opened_by_who_reads_and_none_for_writing_by_anybody() {
        if crate::sys::landlock::abi().is_err() {
            return;
        }
        assert_eq!(opened_in(Role::Reader, "/etc/passwd"), Some(libc::EACCES));
        assert_eq!(opened_in(Role::Ender, "/proc/self/status"), Some(libc::EACCES));
        assert_eq!(opened_in(Role::Files, "/dev/null"), Some(libc::EACCES));
        let reads = thread::spawn(|| -> io::Result<()> {
            nix::sys::prctl::set_no_new_privs()?;
            close(Role::Files)?;
            File::open("/etc/passwd").map(drop)
        });
        reads.join().unwrap().unwrap();
    }
}
