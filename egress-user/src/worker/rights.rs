//! Giving up every right.

use std::io;

use caps::{CapSet, Capability, CapsHashSet};
use egress_broker::launch::{FIRST_WORKER, LAST_WORKER};
use nix::{
    sys::{
        prctl,
        resource::{RLIM_INFINITY, Resource, setrlimit},
    },
    unistd::{Gid, Uid, getresuid, setgroups, setresgid, setresuid},
};

use crate::{confine::Offered, sys};

/// How often another id is drawn.
const DRAWS: usize = 64;

/// Makes this process one of a user of its own, without a capability, a group, or a way to any: for good. It must have
/// one thread. Where the kernel gives nobody elements of maps without CAP_BPF ([`Offered`]), that one stays.
///
/// # Errors
/// What was refused; the process must read nothing then.
pub(super) fn give_up() -> io::Result<()> {
    let user = free_user()?;
    let mut kept = CapsHashSet::new();
    if !Offered::ask()?.maps_without_rights {
        kept.insert(Capability::CAP_BPF);
    }
    // Threads are counted for each user: a command that becomes any user is not to keep this one's from starting.
    let _ = setrlimit(Resource::RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY);
    sys::bounding_set::keep(|number| kept.iter().any(|right| right.index() == number))?;
    prctl::set_keepcaps(!kept.is_empty())?;
    setgroups(&[])?;
    let group = Gid::from_raw(user.as_raw());
    setresgid(group, group, group)?;
    // Takes the capabilities with it, where none is to be kept.
    setresuid(user, user, user)?;
    let none = CapsHashSet::new();
    for (set, value) in [
        (CapSet::Ambient, &none),
        (CapSet::Inheritable, &none),
        (CapSet::Effective, &kept),
        (CapSet::Permitted, &kept),
    ] {
        caps::set(None, set, value).map_err(io::Error::other)?;
    }
    prctl::set_keepcaps(false)?;
    prctl::set_no_new_privs()?;
    // No other process of whichever user reads its memory, its descriptors or its environment.
    prctl::set_dumpable(false)?;
    let ids = getresuid()?;
    let left = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    match left == kept && [ids.real, ids.effective, ids.saved] == [user; 3] {
        true => Ok(()),
        false => Err(io::Error::other("rights are left")),
    }
}

/// An id that no process and no entry of /etc/passwd has.
fn free_user() -> io::Result<Uid> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    for _ in 0..DRAWS {
        let span = u64::from(LAST_WORKER - FIRST_WORKER) + 1;
        let offset = u32::try_from(sys::process::random() % span).unwrap_or(0);
        let user = Uid::from_raw(FIRST_WORKER + offset);
        if !is_in(&passwd, user) && !sys::process::has_processes(user) {
            return Ok(user);
        }
    }
    Err(io::Error::other("every user id of workers is in use"))
}

/// Whether an entry of this passwd(5) has the id.
fn is_in(passwd: &str, user: Uid) -> bool {
    let id = user.to_string();
    passwd.lines().any(|line| line.split(':').nth(2) == Some(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_somebody_is_not_taken() {
        let user = Uid::from_raw(FIRST_WORKER);
        assert!(is_in(&format!("root:x:0:0::/:/bin/sh\nx:x:{FIRST_WORKER}:0::/:/bin/sh\n"), user));
        assert!(!is_in(&format!("x:x:1:{FIRST_WORKER}::/:/bin/sh"), user));
        let free = free_user().expect("a free one").as_raw();
        assert!((FIRST_WORKER..=LAST_WORKER).contains(&free), "{free}");
        assert!(sys::process::has_processes(nix::unistd::getuid()));
    }
}
