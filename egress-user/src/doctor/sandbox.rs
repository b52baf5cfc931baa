//! What the kernel offers for the command's own confinement, besides the programs.

use std::{io, path::Path};

use super::{Finding, read};
use crate::{
    confine::Offered,
    kernel::Devices,
    sys::{self, peer_devices::PeerDevices},
};

/// The Landlock ABI that can close abstract sockets and signals (Linux 6.12).
const SCOPES: u32 = 6;

/// What a seccomp filter of ours answers with.
const ACTIONS: [&str; 3] = ["kill_process", "errno", "allow"];

pub(super) fn all() -> Vec<Finding> {
    let unprivileged = Unprivileged {
        most: read("/proc/sys/user/max_user_namespaces"),
        debian: read("/proc/sys/kernel/unprivileged_userns_clone"),
        apparmor: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
    };
    vec![
        devices(Devices::known(Path::new("/proc"))),
        seccomp(read("/proc/sys/kernel/seccomp/actions_avail")),
        landlock(sys::landlock::abi()),
        confinement(&Offered::ask(), sys::landlock::abi().is_ok()),
        networks(sys::peer_devices::peer_devices()),
        unprivileged.finding(),
    ]
}

/// The hook itself is among the programs of the kernel object.
fn devices(known: io::Result<Devices>) -> Finding {
    const CHECK: &str = "devices";
    match known {
        Ok(devices) if devices.refused.is_empty() => Finding::ok(
            CHECK,
            "no driver here is one of a network; those that come later are refused",
        ),
        Ok(devices) => Finding::ok(
            CHECK,
            format!(
                "refused as networks: {}; drivers that come later are refused too",
                devices.refused.join(", ")
            ),
        ),
        Err(error) => Finding::warning(CHECK, format!("/proc/devices, /proc/misc: {error}"))
            .loses("nothing; a start reads them from a /proc of the sandbox's own")
            .advise("mount -t proc proc /proc, without subset=pid"),
    }
}

fn seccomp(actions: Option<String>) -> Finding {
    const CHECK: &str = "seccomp";
    let Some(actions) = actions else {
        return Finding::missing(CHECK, "not in this kernel, or /proc/sys is not readable")
            .loses("that io_uring and foreign kinds of sockets are closed to the command")
            .advise("boot a kernel with CONFIG_SECCOMP_FILTER");
    };
    let lacks = |action: &&str| !actions.split_whitespace().any(|word| word == *action);
    let lacking: Vec<_> = ACTIONS.into_iter().filter(lacks).collect();
    if lacking.is_empty() {
        return Finding::ok(CHECK, "filters work");
    }
    Finding::missing(CHECK, format!("without the actions {}", lacking.join(", ")))
        .loses("that io_uring and foreign kinds of sockets are closed to the command")
        .advise("boot a newer kernel")
}

fn landlock(abi: io::Result<u32>) -> Finding {
    const CHECK: &str = "Landlock";
    const LOST: &str =
        "that the abstract unix sockets of other programs in this network namespace are closed";
    match abi {
        Ok(abi) if abi >= SCOPES => {
            Finding::ok(CHECK, format!("ABI {abi}: abstract sockets and signals are scoped"))
        }
        Ok(abi) => Finding::warning(CHECK, format!("ABI {abi}, without scopes (Linux 6.12)"))
            .loses(LOST)
            .advise("boot Linux 6.12 or later, or start egress in a network namespace of its own"),
        Err(error) => Finding::warning(CHECK, format!("not available: {error}"))
            .loses(LOST)
            .advise("boot with `landlock` in lsm=, on Linux 6.12 or later"),
    }
}

/// Of egress itself: its threads that read what sandboxes, servers and name servers send.
fn confinement(offered: &io::Result<Offered>, has_landlock: bool) -> Finding {
    const CHECK: &str = "confinement";
    let files = match has_landlock {
        true => "no files (Landlock)",
        false => "no files (by their list of system calls alone, without Landlock)",
    };
    let of = |rights: &str| {
        format!(
            "threads that read foreign bytes have {rights}, a list of system calls, and {files}"
        )
    };
    match offered {
        Ok(Offered { maps_without_rights: true }) => Finding::ok(CHECK, of("no capability")),
        Ok(Offered { maps_without_rights: false }) => Finding::warning(CHECK, of("CAP_BPF alone"))
            .loses("nothing yet: their list lets them use open maps, and load or open none")
            .advise("boot Linux 5.19 or later, where open maps can be used without a capability"),
        Err(error) => {
            Finding::unknown(CHECK, format!("no thread could be started to ask in: {error}"))
        }
    }
}

/// Either way a sandbox holds; but programs that sandbox themselves (browsers) may want what is refused.
fn networks(peers: io::Result<PeerDevices>) -> Finding {
    const CHECK: &str = "own networks";
    match peers {
        Ok(PeerDevices::Guarded) => {
            Finding::ok(CHECK, "programs may make network namespaces, which reach nothing")
        }
        Ok(PeerDevices::Open) => Finding::warning(
            CHECK,
            "refused to programs: this kernel would let a network namespace of theirs have a device in \
             the machine's (CVE-2026-31692)",
        )
        .loses("nothing; a browser needs `--no-sandbox`")
        .advise("boot a kernel with the fix"),
        Ok(PeerDevices::Unknown) | Err(_) => {
            Finding::unknown(CHECK, "no user namespace could be made to ask from; refused to programs")
        }
    }
}

/// What says whether people without rights may make user namespaces.
struct Unprivileged {
    most: Option<String>,
    debian: Option<String>,
    apparmor: Option<String>,
}

impl Unprivileged {
    /// Information only: a sandbox holds in either case.
    fn finding(&self) -> Finding {
        let is = |value: &Option<String>, wanted: &str| value.as_deref() == Some(wanted);
        let barred = if is(&self.most, "0") {
            Some("user.max_user_namespaces is 0")
        } else if is(&self.debian, "0") {
            Some("kernel.unprivileged_userns_clone is 0")
        } else if is(&self.apparmor, "1") {
            Some("AppArmor restricts them")
        } else {
            None
        };
        let found = match (barred, &self.most) {
            (Some(why), _) => format!("not for unprivileged users: {why}"),
            (None, None) => "not in this kernel".to_owned(),
            (None, Some(_)) => "open to unprivileged users".to_owned(),
        };
        Finding::ok("user namespaces", format!("{found} (a sandbox holds either way)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn seccomp_needs_every_action_that_the_filter_uses() {
        let of = |text: &str| seccomp(Some(text.to_owned()));
        assert_eq!(of("kill_process kill_thread trap errno log allow").status, Status::Ok);
        let old = of("kill_thread trap errno allow");
        assert_eq!((old.status, old.found.contains("kill_process")), (Status::Missing, true));
        assert_eq!(seccomp(None).status, Status::Missing);
    }

    #[test]
    fn landlock_without_scopes_says_what_stays_open() {
        assert_eq!(landlock(Ok(6)).status, Status::Ok);
        for finding in [landlock(Ok(5)), landlock(Err(io::ErrorKind::Unsupported.into()))] {
            assert_eq!(finding.status, Status::Warning);
            assert!(finding.lost.unwrap().contains("abstract"));
        }
    }

    #[test]
    fn what_readers_keep_is_told() {
        let of = |maps_without_rights| confinement(&Ok(Offered { maps_without_rights }), true);
        assert_eq!(of(true).status, Status::Ok);
        assert!(of(true).found.contains("no capability"));
        assert_eq!(of(false).status, Status::Warning);
        assert!(of(false).found.contains("CAP_BPF"));
        let without = confinement(&Ok(Offered { maps_without_rights: true }), false);
        assert!(without.found.contains("without Landlock"));
    }

    #[test]
    fn user_namespaces_are_information() {
        let of = |most, debian, apparmor| {
            let text = |value: Option<&str>| value.map(str::to_owned);
            Unprivileged { most: text(most), debian: text(debian), apparmor: text(apparmor) }
                .finding()
        };
        assert!(of(Some("100"), None, None).found.starts_with("open"));
        assert!(of(Some("0"), Some("1"), None).found.contains("max_user_namespaces"));
        assert!(of(Some("100"), Some("0"), None).found.contains("unprivileged_userns_clone"));
        assert!(of(Some("100"), Some("1"), Some("1")).found.contains("AppArmor"));
        assert!(of(None, None, None).found.starts_with("not in this kernel"));
        assert_eq!(of(None, None, None).status, Status::Ok);
    }
}
