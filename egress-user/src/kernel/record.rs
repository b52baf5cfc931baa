//! The one writer of a sandbox's kernel record. What several parts of user space know of it is put
//! together under one lock: nobody writes from a copy that another has changed since.

use std::sync::{Arc, Mutex, PoisonError};

use egress_common::sandbox::{Sandbox, flags};

use super::{KernelError, Maps};
use crate::policy::RefusalErrno;

/// Writes one sandbox's record.
pub struct SandboxRecord {
    /// [`Sandbox::id`].
    pub id: u64,
    maps: Arc<Maps>,
    now: Mutex<Now>,
}

/// What a policy says of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Said {
    /// [`flags::PUBLIC`].
    pub is_public: bool,
    /// [`flags::ECH`].
    pub allows_ech: bool,
    /// [`flags::DIRECT`].
    pub may_be_direct: bool,
    /// [`flags::OWN_LOOPBACK`].
    pub own_loopback: bool,
    /// [`flags::INBOUND`].
    pub inbound: bool,
    /// [`Sandbox::refusal_errno`].
    pub refusal_errno: RefusalErrno,
}

/// As Linux numbers it; what it gives by itself is 0.
const fn number(errno: RefusalErrno) -> u32 {
    let errno = match errno {
        RefusalErrno::NotPermitted => 0,
        RefusalErrno::Refused => libc::ECONNREFUSED,
        RefusalErrno::HostUnreachable => libc::EHOSTUNREACH,
    };
    errno.cast_unsigned()
}

struct Now {
    record: Sandbox,
    /// [`SandboxRecord::set_policy`] has been here: until then the record has no flag.
    is_open: bool,
    may_be_direct: bool,
    was_diverted: bool,
    holds: bool,
}

impl SandboxRecord {
    /// Makes the kernel know a sandbox, without any flag: from now on its cgroup is judged by its pins and
    /// rules alone.
    ///
    /// # Errors
    /// When there are as many sandboxes as the object has room for.
    pub fn new(maps: Arc<Maps>, record: Sandbox) -> Result<Self, KernelError> {
        let record = Sandbox { flags: 0, ..record };
        maps.add_sandbox(record)?;
        Ok(Self { id: record.id, maps, now: Mutex::new(Now::new(record)) })
    }

    /// Writes what the policy says; connections are direct no more once one was diverted.
    ///
    /// # Errors
    /// When the kernel refuses it, which keeps the record of before, or the sandbox has ended.
    pub fn set_policy(&self, said: Said) -> Result<(), KernelError> {
        self.change(|now| now.set_policy(said))
    }

    /// The machine has changed a direct connection's packets: from now on all take the proxy, whatever
    /// policy comes.
    ///
    /// # Errors
    /// When the kernel refuses it, and connections are direct as before, or the sandbox has ended.
    pub fn set_diverted(&self) -> Result<(), KernelError> {
        self.change(|now| now.was_diverted = true)
    }

    /// From here on SYNs to the proxy are held, once the policy's flags are there; user space answers them.
    pub fn set_holds(&self) {
        self.lock().holds = true;
    }

    fn change(&self, how: impl FnOnce(&mut Now)) -> Result<(), KernelError> {
        let mut now = self.lock();
        how(&mut now);
        now.record.flags = now.flags();
        // Under the lock: two changes arrive in the order in which they were made.
        self.maps.change_sandbox(now.record)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn new(record: Sandbox) -> Self {
        Self { record, is_open: false, may_be_direct: false, was_diverted: false, holds: false }
    }

    fn set_policy(&mut self, said: Said) {
        self.record.flags = 0;
        for (is_said, flag) in [
            (said.is_public, flags::PUBLIC),
            (said.allows_ech, flags::ECH),
            (said.own_loopback, flags::OWN_LOOPBACK),
            (said.inbound, flags::INBOUND),
        ] {
            if is_said {
                self.record.flags |= flag;
            }
        }
        self.record.refusal_errno = number(said.refusal_errno);
        self.is_open = true;
        self.may_be_direct = said.may_be_direct;
    }

    fn flags(&self) -> u32 {
        let mut others = self.record.flags & !(flags::DIRECT | flags::HOLD);
        if self.is_open && self.holds {
            others |= flags::HOLD;
        }
        let direct = self.is_open && self.may_be_direct && !self.was_diverted;
        if direct { others | flags::DIRECT } else { others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Said = Said {
        is_public: true,
        allows_ech: true,
        may_be_direct: true,
        own_loopback: false,
        inbound: false,
        refusal_errno: RefusalErrno::HostUnreachable,
    };

    fn after(changes: &[&dyn Fn(&mut Now)]) -> u32 {
        let mut now = Now::new(Sandbox { id: 1, ..Sandbox::NONE });
        for change in changes {
            change(&mut now);
            now.record.flags = now.flags();
        }
        now.record.flags
    }

    #[test]
    fn neither_writer_undoes_the_other() {
        let policy = |now: &mut Now| now.set_policy(OPEN);
        let diverted = |now: &mut Now| now.was_diverted = true;
        assert_eq!(after(&[]), 0);
        assert_eq!(after(&[&policy]), flags::PUBLIC | flags::ECH | flags::DIRECT);
        // Diverted: what the policy says of other things stays.
        assert_eq!(after(&[&policy, &diverted]), flags::PUBLIC | flags::ECH);
        // Another policy: what the machine does to packets stays.
        assert_eq!(after(&[&policy, &diverted, &policy]), flags::PUBLIC | flags::ECH);
        // What holds SYNs stays, whatever comes, and begins with the policy.
        let holds = |now: &mut Now| now.holds = true;
        assert_eq!(after(&[&holds]), 0);
        let all = flags::PUBLIC | flags::ECH | flags::HOLD;
        assert_eq!(after(&[&holds, &policy, &diverted, &policy]), all);
        // Diverted while nothing is open opens nothing.
        assert_eq!(after(&[&diverted]), 0);
    }

    #[test]
    fn a_policy_takes_back_what_another_gave() {
        let open = |now: &mut Now| now.set_policy(OPEN);
        let closed = |now: &mut Now| now.set_policy(Said::default());
        assert_eq!(after(&[&open, &closed]), 0);
        assert_eq!(after(&[&closed, &open]), flags::PUBLIC | flags::ECH | flags::DIRECT);
    }

    #[test]
    fn a_sandbox_refuses_as_its_policy_says() {
        let mut now = Now::new(Sandbox { id: 1, ..Sandbox::NONE });
        assert_eq!(now.record.refusal_errno, 0);
        now.set_policy(OPEN);
        assert_eq!(now.record.refusal_errno, 113);
        now.set_policy(Said { refusal_errno: RefusalErrno::Refused, ..OPEN });
        assert_eq!(now.record.refusal_errno, 111);
        now.set_policy(Said::default());
        assert_eq!((now.record.refusal_errno, now.flags()), (0, 0));
        now.set_policy(Said { own_loopback: true, ..Said::default() });
        assert_eq!(now.flags(), flags::OWN_LOOPBACK);
        now.set_policy(Said { inbound: true, ..Said::default() });
        assert_eq!(now.flags(), flags::INBOUND);
    }
}
