//! Whether this process has the machine's own rights; and where it is, when it has not.

use std::{fs, os::unix::fs::MetadataExt};

use caps::{CapSet, Capability};

use super::HostError;

/// Rights that a start needs, with what for.
pub const NEEDED: [(Capability, &str); 6] = [
    (Capability::CAP_BPF, "loading programs"),
    (Capability::CAP_NET_ADMIN, "attaching programs that refuse connections"),
    (Capability::CAP_SYS_ADMIN, "making the sandbox's namespaces and mounts"),
    (Capability::CAP_SETPCAP, "taking every right from the command"),
    (Capability::CAP_SETUID, "running the command as its user"),
    (Capability::CAP_SETGID, "running the command as its user"),
];

/// To bpf(2), CAP_SYS_ADMIN is as good as both of these: kept from the time before CAP_BPF.
const IMPLIED: [Capability; 2] = [Capability::CAP_BPF, Capability::CAP_NET_ADMIN];

/// The inode of the first user namespace, PROC_USER_INIT_INO of linux/proc_ns.h.
const FIRST_USER_NAMESPACE: u64 = 0xefff_fffd;

/// The name of a sandbox's first process.
const INIT_NAME: &str = "egress-init";

/// Where the kernel says how far it is locked; securityfs has to be mounted for it.
pub const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// What is known of this process before anything is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    pub(super) is_root: bool,
    /// Of [`NEEDED`], what it has not.
    pub(super) lacking: Vec<Capability>,
    /// Whether its user namespace is the machine's own.
    pub(super) is_first_namespace: bool,
    /// Whether its first process is that of a sandbox.
    pub(super) is_in_sandbox: bool,
}

/// Of [`NEEDED`], what `has` denies.
pub fn lacking(has: impl Fn(Capability) -> bool) -> Vec<(Capability, &'static str)> {
    let implied = |right| IMPLIED.contains(&right) && has(Capability::CAP_SYS_ADMIN);
    NEEDED.into_iter().filter(|(right, _)| !has(*right) && !implied(*right)).collect()
}

/// Whether the first process of this PID namespace calls itself what that of a sandbox does. For messages
/// alone: anybody may.
pub fn is_in_sandbox() -> bool {
    let comm = fs::read_to_string("/proc/1/comm").unwrap_or_default();
    comm.trim_end() == INIT_NAME
}

impl Rights {
    pub(super) fn of_this_process() -> Self {
        let has = |right| caps::has_cap(None, CapSet::Effective, right).unwrap_or(false);
        Self {
            is_root: nix::unistd::geteuid().is_root(),
            lacking: lacking(has).into_iter().map(|(right, _)| right).collect(),
            // What cannot be read decides nothing.
            is_first_namespace: fs::metadata("/proc/self/ns/user")
                .map_or(true, |data| data.ino() == FIRST_USER_NAMESPACE),
            is_in_sandbox: is_in_sandbox(),
        }
    }

    /// Whether this process has what it needs.
    ///
    /// # Errors
    /// The nearest reason why no sandbox can be made, whose remedy is the one that helps.
    pub fn check() -> Result<(), HostError> {
        Self::of_this_process().suffice()
    }

    fn suffice(&self) -> Result<(), HostError> {
        match self {
            Self { is_root: true, lacking, is_first_namespace: true, .. } if lacking.is_empty() => {
                Ok(())
            }
            // Before the others: whoever calls sudo there gets no further.
            Self { is_in_sandbox: true, .. } => Err(HostError::InSandbox),
            Self { is_root: false, .. } => Err(HostError::NotRoot),
            Self { is_first_namespace: false, .. } => Err(HostError::UserNamespace),
            Self { lacking, .. } => Err(HostError::Lacking { lacking: names(lacking) }),
        }
    }
}

fn names(capabilities: &[Capability]) -> String {
    capabilities.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What keeps bpf(2) from a process that has every right for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barred {
    /// Level of the kernel's lockdown; none where there is none, or it cannot be read.
    lockdown: Option<String>,
    /// Whether a seccomp filter is in force for this process.
    has_filter: bool,
}

impl Barred {
    /// Asked once bpf(2) has been refused.
    pub fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let filters =
            |line: &str| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2");
        let level =
            |text: String| chosen(&text).filter(|level| *level != "none").map(str::to_owned);
        Self {
            lockdown: fs::read_to_string(LOCKDOWN).ok().and_then(level),
            has_filter: status.lines().any(filters),
        }
    }
}

/// The word in brackets of `none [integrity] confidentiality`.
pub fn chosen(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
}

impl std::fmt::Display for Barred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "this root has the capabilities for bpf(2), and the kernel refuses it all the same: ",
        )?;
        if let Some(level) = &self.lockdown {
            write!(
                f,
                "lockdown is `{level}` ({LOCKDOWN}); boot with `lockdown=none`, or a kernel whose lockdown lets \
                 cgroup programs load"
            )?;
        }
        match (self.has_filter, &self.lockdown) {
            (true, lockdown) => write!(
                f,
                "{}a seccomp filter is in force, as in a container; start the container with `--security-opt \
                 seccomp=unconfined`, or egress outside of it",
                if lockdown.is_some() { "; and " } else { "" }
            ),
            (false, None) => {
                f.write_str("a security module may forbid it (`journalctl -k` says which)")
            }
            (false, Some(_)) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights() -> Rights {
        Rights {
            is_root: true,
            lacking: Vec::new(),
            is_first_namespace: true,
            is_in_sandbox: false,
        }
    }

    fn said(rights: &Rights) -> String {
        rights.suffice().unwrap_err().to_string()
    }

    #[test]
    fn each_place_is_told_apart() {
        rights().suffice().unwrap();
        let less = vec![Capability::CAP_SYS_ADMIN, Capability::CAP_BPF];
        let container = Rights { lacking: less.clone(), ..rights() };
        assert!(said(&container).contains("CAP_SYS_ADMIN, CAP_BPF"));
        assert!(said(&container).contains("container"));
        let user = Rights { is_root: false, lacking: less.clone(), ..rights() };
        assert!(said(&user).contains("sudo"));
        let rootless = Rights { is_first_namespace: false, ..rights() };
        assert!(said(&rootless).contains("user namespace"));
        for inside in
            [Rights { is_in_sandbox: true, ..user }, Rights { is_in_sandbox: true, ..container }]
        {
            assert!(said(&inside).contains("inside of an `egress run`"), "{inside:?}");
        }
        // Whoever calls its first process so and has every right may start one.
        Rights { is_in_sandbox: true, ..rights() }.suffice().unwrap();
    }

    #[test]
    fn sys_admin_stands_in_for_the_rights_that_bpf_asks_for() {
        assert_eq!(lacking(|right| !IMPLIED.contains(&right)), []);
        assert_eq!(lacking(|_| false), NEEDED);
        let names = lacking(|right| right != Capability::CAP_SYS_ADMIN);
        assert_eq!(names, NEEDED[2..3]);
    }

    #[test]
    fn what_bars_bpf_is_named_with_what_to_do() {
        let barred = |lockdown: Option<&str>, has_filter| {
            Barred { lockdown: lockdown.map(str::to_owned), has_filter }.to_string()
        };
        assert!(barred(None, false).contains("security module"));
        assert!(barred(None, true).contains("seccomp=unconfined"));
        let locked = barred(Some("confidentiality"), false);
        assert!(locked.contains("`confidentiality`") && locked.contains("lockdown=none"));
        assert!(!locked.contains("seccomp"));
        let both = barred(Some("integrity"), true);
        assert!(both.contains("`integrity`") && both.contains("; and a seccomp filter"));
    }

    #[test]
    fn lockdown_is_the_word_in_brackets() {
        assert_eq!(chosen("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(chosen("unheard of"), None);
    }
}
