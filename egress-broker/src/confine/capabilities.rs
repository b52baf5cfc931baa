//! Which capabilities a role keeps.

use std::{io, sync::OnceLock, thread};

use caps::{CapSet, Capability, CapsHashSet};

use super::Role;
use crate::sys::{bounding_set, bpf};

/// Each with what for.
const fn needed(role: Role) -> &'static [Capability] {
    match role {
        Role::Reader => &[],
        // SOCK_DESTROY (sock_diag(7)): asked of whoever opened the socket, and of whoever sends.
        Role::Ender => &[Capability::CAP_NET_ADMIN],
        // To find out whether the command could have written a file it becomes the command's user for a question; and
        // the file may be another user's.
        Role::Files => {
            &[Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_DAC_READ_SEARCH]
        }
        // pidfd_getfd(2) asks for the rights of a debugger over the program, whose descriptors another user lists;
        // the sockets' repair mode (TCP_REPAIR) is the network's administrator's.
        Role::Sockets => &[
            Capability::CAP_SYS_PTRACE,
            Capability::CAP_DAC_READ_SEARCH,
            Capability::CAP_NET_ADMIN,
        ],
    }
}

/// Takes all others from the calling thread.
pub(super) fn keep(role: Role) -> io::Result<()> {
    let mut kept: CapsHashSet = needed(role).iter().copied().collect();
    if matches!(role, Role::Reader | Role::Ender) && needs_bpf()? {
        kept.insert(Capability::CAP_BPF);
    }
    take_all_but(&kept)
}

fn take_all_but(kept: &CapsHashSet) -> io::Result<()> {
    let own = caps::read(None, CapSet::Permitted).map_err(io::Error::other)?;
    let kept: CapsHashSet = kept.intersection(&own).copied().collect();
    // First, as it takes CAP_SETPCAP: what is not in the bounding set can never come back.
    bounding_set::keep(|number| kept.iter().any(|capability| capability.index() == number))?;
    hold(&kept)
}

/// Leaves the calling thread these and no others, and hands none on.
pub(crate) fn hold(kept: &CapsHashSet) -> io::Result<()> {
    caps::clear(None, CapSet::Ambient).map_err(io::Error::other)?;
    for (set, value) in [
        (CapSet::Inheritable, &CapsHashSet::new()),
        (CapSet::Effective, kept),
        (CapSet::Permitted, kept),
    ] {
        caps::set(None, set, value).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Whether whoever uses the elements of a map by its descriptor needs CAP_BPF: before Linux 5.19, where
/// `kernel.unprivileged_bpf_disabled` is set. Found out once, by trying.
pub(super) fn needs_bpf() -> io::Result<bool> {
    static NEEDED: OnceLock<bool> = OnceLock::new();
    if let Some(needed) = NEEDED.get() {
        return Ok(*needed);
    }
    let ask = || {
        caps::clear(None, CapSet::Effective).map_err(io::Error::other)?;
        io::Result::Ok(bpf::is_refused_without_rights())
    };
    // In a thread of its own, whose rights end with it.
    let needed = thread::scope(|scope| {
        let asking = thread::Builder::new().spawn_scoped(scope, ask)?;
        asking.join().map_err(|_| io::Error::other("the thread that asks has died"))?
    })?;
    Ok(*NEEDED.get_or_init(|| needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_foreign_bytes_needs_no_capability() {
        assert!(needed(Role::Reader).is_empty());
        // Nor does anybody need one by which the others could be had back.
        let ways_back = [
            Capability::CAP_SYS_ADMIN,
            Capability::CAP_SYS_PTRACE,
            Capability::CAP_SETPCAP,
            Capability::CAP_DAC_OVERRIDE,
            Capability::CAP_SYS_MODULE,
        ];
        for role in Role::ALL {
            // Its list has neither ptrace(2) nor what writes to another's memory.
            let is_known =
                |way: &Capability| role == Role::Sockets && *way == Capability::CAP_SYS_PTRACE;
            let back = |way: &&Capability| needed(role).contains(way) && !is_known(way);
            assert_eq!(ways_back.iter().find(back), None, "{role:?}");
        }
    }
}
