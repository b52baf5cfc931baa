//! Which capabilities the command has.

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::sched::CloneFlags;

/// What the command may do beyond the rights of its user (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capabilities {
    /// Nothing, even as root; and no program that it executes gains anything.
    #[default]
    None,
    /// What containers have, as far as it is about files, users and processes of the sandbox. Set-user-ID
    /// programs work, and no program gains what is not in this set: the bounding set has no more.
    Container,
}

/// The default set of Docker and podman without NET_RAW and MKNOD. By none of them sockets, devices, mounts,
/// programs of the kernel or other processes' memory come into reach; a test counts those that do.
pub const CONTAINER: [Capability; 12] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_SETUID,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_KILL,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_SYS_CHROOT,
    Capability::CAP_SETFCAP,
    Capability::CAP_AUDIT_WRITE,
];

impl Capabilities {
    /// The namespaces that the command gets because of them. Whoever may become any user owns every user's
    /// shared memory and message queues by System V (sysvipc(7)): programs outside have theirs apart.
    pub(super) fn namespaces(self) -> CloneFlags {
        match self {
            Self::None => CloneFlags::empty(),
            Self::Container => CloneFlags::CLONE_NEWIPC,
        }
    }

    /// What of them this process has itself, and so can hand on.
    ///
    /// # Errors
    /// What capget(2) gives.
    pub(super) fn kept(self) -> Result<CapsHashSet, CapsError> {
        match self {
            Self::None => Ok(CapsHashSet::new()),
            Self::Container => {
                let own = caps::read(None, CapSet::Permitted)?;
                Ok(CONTAINER.into_iter().filter(|capability| own.contains(capability)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is a way to the network, to the kernel, or to what is hidden.
    const NEVER: [Capability; 14] = [
        Capability::CAP_NET_ADMIN,
        Capability::CAP_NET_RAW,
        Capability::CAP_NET_BROADCAST,
        Capability::CAP_SYS_ADMIN,
        Capability::CAP_BPF,
        Capability::CAP_PERFMON,
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_MKNOD,
        Capability::CAP_SYS_MODULE,
        Capability::CAP_SYS_RAWIO,
        Capability::CAP_SYS_BOOT,
        Capability::CAP_DAC_READ_SEARCH,
        Capability::CAP_SYSLOG,
        Capability::CAP_CHECKPOINT_RESTORE,
    ];

    #[test]
    fn no_set_has_a_way_around() {
        for capability in NEVER {
            assert!(!CONTAINER.contains(&capability), "{capability}");
            assert!(!Capabilities::Container.kept().unwrap().contains(&capability));
        }
        assert!(Capabilities::None.kept().unwrap().is_empty());
        assert_eq!(Capabilities::default(), Capabilities::None);
    }
}
