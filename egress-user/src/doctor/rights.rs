//! What the caller may do, and what the machine's own locks leave of it.

use std::io;

use caps::{CapSet, Capability};

use super::{Finding, SUDO, read};
use crate::host::{HostError, LOCKDOWN, NEEDED, chosen, is_in_sandbox, lacking};

pub(super) fn all() -> Vec<Finding> {
    let has = |right: Capability| caps::has_cap(None, CapSet::Effective, right).unwrap_or(false);
    let is_root = nix::unistd::geteuid().is_root();
    let map = read("/proc/self/uid_map").unwrap_or_default();
    let lacking = lacking(has);
    let inside = (is_in_sandbox() && !lacking.is_empty()).then(in_sandbox);
    let held = raw_sockets(is_root, has(Capability::CAP_NET_RAW));
    let own = [root(is_root), capabilities(is_root, &lacking), held, user_namespace(&map)];
    inside.into_iter().chain(own).collect()
}

/// The others are as they are because of it.
fn in_sandbox() -> Finding {
    Finding::missing("place", "inside of an `egress run`").advise(HostError::InSandbox.to_string())
}

fn root(is_root: bool) -> Finding {
    if is_root {
        return Finding::ok("root", "yes");
    }
    Finding::missing("root", "no")
        .loses("everything: only root may attach programs to a cgroup")
        .advise(format!("{SUDO} (and `sudo egress run`: the command then runs as you)"))
}

fn capabilities(is_root: bool, lacking: &[(Capability, &str)]) -> Finding {
    const CHECK: &str = "capabilities";
    if lacking.is_empty() {
        return Finding::ok(CHECK, NEEDED.map(|(right, _)| right.to_string()).join(", "));
    }
    let names: Vec<_> = lacking.iter().map(|(right, _)| right.to_string()).collect();
    let mut what: Vec<_> = lacking.iter().map(|(_, what)| *what).collect();
    what.dedup();
    let finding = Finding::missing(CHECK, format!("without {}", names.join(", ")));
    if is_root {
        let advice = "this root was given fewer rights, as in a container: run egress on the host";
        finding.loses(what.join("; ")).advise(advice)
    } else {
        finding.advise(SUDO)
    }
}

/// Without them a sandbox starts, and holds the same.
fn raw_sockets(is_root: bool, has: bool) -> Finding {
    const CHECK: &str = "raw sockets";
    if has {
        return Finding::ok(CHECK, "yes: connect(2) answers as the network does");
    }
    let finding = Finding::warning(CHECK, format!("without {}", Capability::CAP_NET_RAW)).loses(
        "that connect(2) fails where the network refuses it: by way of the proxy it succeeds, and what fails \
         fails behind it",
    );
    finding.advise(if is_root {
        "give it that capability, as in `--cap-add NET_RAW`"
    } else {
        SUDO
    })
}

/// `map` as /proc/self/uid_map has it. Root of a user namespace has every capability there, and
/// none that the kernel asks for here.
fn user_namespace(map: &str) -> Finding {
    const CHECK: &str = "user namespace";
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    match map {
        "" => Finding::unknown(CHECK, "/proc/self/uid_map cannot be read"),
        _ if whole => Finding::ok(CHECK, "the machine's own"),
        _ => Finding::warning(CHECK, "not the machine's own")
            .loses("as a rule everything: root in here may not load programs")
            .advise("run egress on the host, outside of the container"),
    }
}

/// `text` as the file has it: `none [integrity] confidentiality`.
pub(super) fn lockdown(text: io::Result<String>) -> Finding {
    const CHECK: &str = "lockdown";
    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::unknown(
                CHECK,
                format!(
                    "no {LOCKDOWN}: securityfs is not mounted, or the kernel has no lockdown; \
                     the kernel object's line decides"
                ),
            );
        }
        Err(error) => {
            return Finding::unknown(CHECK, format!("{LOCKDOWN} cannot be read: {error}"))
                .advise(SUDO);
        }
    };
    match chosen(&text) {
        Some("none") => Finding::ok(CHECK, "none"),
        Some(level) => {
            Finding::ok(CHECK, format!("{level}; the programs that egress uses load under it"))
        }
        None => Finding::unknown(CHECK, format!("{LOCKDOWN} says {:?}", text.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn without_raw_sockets_a_sandbox_starts_all_the_same() {
        assert_eq!(raw_sockets(true, true).status, Status::Ok);
        for is_root in [true, false] {
            let without = raw_sockets(is_root, false);
            assert_eq!(without.status, Status::Warning);
            assert!(without.lost.is_some() && without.advice.is_some());
        }
    }

    #[test]
    fn without_rights_the_missing_ones_are_named_with_what_they_are_for() {
        assert_eq!(root(false).status, Status::Missing);
        let finding = capabilities(true, &NEEDED[1..2]);
        assert_eq!(finding.status, Status::Missing);
        assert!(finding.found.contains("CAP_NET_ADMIN"), "{finding:?}");
        assert!(finding.lost.unwrap().contains("attaching"));
        assert!(finding.advice.unwrap().contains("container"));
        assert_eq!(capabilities(true, &[]).status, Status::Ok);
    }

    #[test]
    fn root_of_a_user_namespace_is_told_so() {
        assert_eq!(user_namespace("0 0 4294967295").status, Status::Ok);
        assert_eq!(user_namespace("         0          0 4294967295").status, Status::Ok);
        assert_eq!(user_namespace("0 1000 1").status, Status::Warning);
        assert_eq!(user_namespace("").status, Status::Unknown);
    }

    #[test]
    fn lockdown_is_the_word_in_brackets() {
        let of = |text: &str| lockdown(Ok(text.to_owned()));
        assert_eq!(of("[none] integrity confidentiality\n").found, "none");
        assert!(of("none [integrity] confidentiality\n").found.starts_with("integrity"));
        assert_eq!(of("unheard of").status, Status::Unknown);
        let absent = lockdown(Err(io::ErrorKind::NotFound.into()));
        assert_eq!(absent.status, Status::Unknown);
        assert!(absent.found.contains(LOCKDOWN));
    }
}
