//! What `egress doctor` tells: everything that a sandbox needs of this machine, looked at without
//! changing it.
//!
//! Where a start would fail for a reason, the same reason stands here with the same words; what
//! only works less well than it could is a warning that names what goes unenforced.

mod network;
mod rights;
mod sandbox;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::statfs::{BPF_FS_MAGIC, CGROUP2_SUPER_MAGIC},
    unistd::{AccessFlags, access},
};

use crate::{
    host::{
        BPFFS, CGROUP2, HostError, LOCKDOWN, MINIMUM, Mount, OWN_BPFFS, check_version, is_really,
        kernel_version, mount_of, mounts,
    },
    kernel::Loaded,
    text::{Printable, with_causes},
    worker::{self, DivideError},
};

/// How one check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Ok,
    /// A sandbox starts, and holds less than it would with this.
    Warning,
    /// No sandbox starts without this.
    Missing,
    /// Could not be looked at; the finding says why.
    Unknown,
}

impl Status {
    /// The word that people and programs read.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Missing => "missing",
            Status::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub check: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What is not enforced, or does not work, because of it; none when nothing.
    pub lost: Option<String>,
    /// What to do about it; none when there is nothing to do.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, found: found.into(), lost: None, advice: None }
    }

    fn warning(check: &'static str, found: impl Into<String>) -> Self {
        Self { status: Status::Warning, ..Self::ok(check, found) }
    }

    fn missing(check: &'static str, found: impl Into<String>) -> Self {
        Self { status: Status::Missing, ..Self::ok(check, found) }
    }

    fn unknown(check: &'static str, found: impl Into<String>) -> Self {
        Self { status: Status::Unknown, ..Self::ok(check, found) }
    }

    fn loses(self, lost: impl Into<String>) -> Self {
        Self { lost: Some(lost.into()), ..self }
    }

    fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

/// Everything that was looked at, in the order in which a start needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// One for each check, whatever came out.
    pub findings: Vec<Finding>,
}

impl Survey {
    /// Looks at this machine, in the namespaces and with the rights of the caller. As root it loads
    /// the kernel object and lets it go again; nothing is attached, mounted or made.
    pub fn take() -> Self {
        let mounts = mounts();
        let is_root = nix::unistd::geteuid().is_root();
        let mut findings = vec![version(&kernel_version())];
        findings.push(broker(worker::program()));
        findings.extend(rights::all());
        match &mounts {
            Ok(mounts) => findings.extend([
                cgroup2(mounts, is_root),
                bpffs(mounts, is_root),
                root_mount(mounts),
            ]),
            Err(error) => findings.push(
                Finding::missing("mount table", format!("read /proc/self/mountinfo: {error}"))
                    .advise("mount -t proc proc /proc"),
            ),
        }
        findings.push(rights::lockdown(fs::read_to_string(LOCKDOWN)));
        findings.extend(object(is_root));
        findings.extend(sandbox::all());
        findings.extend(network::all());
        Self { findings }
    }

    /// Whether nothing is missing that a start needs.
    pub fn is_able(&self) -> bool {
        self.missing().is_empty()
    }

    /// The names of the checks whose outcome bars a start.
    pub fn missing(&self) -> Vec<&'static str> {
        let barring = |finding: &&Finding| finding.status == Status::Missing;
        self.findings.iter().filter(barring).map(|finding| finding.check).collect()
    }
}

fn version(release: &str) -> Finding {
    let found = format!("Linux {release}; {}.{} or later is needed", MINIMUM.0, MINIMUM.1);
    match check_version(release) {
        Ok(()) if release.is_empty() => Finding::unknown("kernel", "no version to be read"),
        Ok(()) => Finding::ok("kernel", found),
        Err(_) => Finding::missing("kernel", found)
            .loses("connections cannot be told apart where they arrive")
            .advise("boot a newer kernel: Debian 12 has 6.1, and newer ones in bookworm-backports"),
    }
}

/// The other program of a run. A program of the library's has its rights itself, and needs none.
fn broker(program: Result<PathBuf, DivideError>) -> Finding {
    const CHECK: &str = "egress-broker";
    match program {
        Ok(path) => Finding::ok(CHECK, format!("at {}", path.display())),
        Err(error @ DivideError::Missing { .. }) => Finding::missing(CHECK, error.to_string())
            .loses("everything: it is the process of `egress run` that has its rights")
            .advise("install `egress-broker` of the same version into the folder of `egress`"),
        Err(error) => Finding::unknown(CHECK, with_causes(&error)),
    }
}

fn cgroup2(mounts: &[Mount], is_root: bool) -> Finding {
    const CHECK: &str = "cgroup v2";
    let Some(path) =
        mount_of(mounts, "cgroup2", CGROUP2, |path| is_really(path, CGROUP2_SUPER_MAGIC))
    else {
        return Finding::missing(CHECK, "not mounted")
            .loses("everything: the cgroup is what the kernel knows a sandbox by")
            .advise(HostError::NoCgroup2.to_string());
    };
    // On hybrid hosts controllers are in version 1, which is nothing to us: we use none.
    let kind = match mount_of(mounts, "cgroup", CGROUP2, |_| true) {
        Some(_) => "hybrid: version 1 is mounted as well, which does not matter",
        None => "version 2 alone",
    };
    let found = format!("at {} ({kind})", path.display());
    match access(&path, AccessFlags::W_OK) {
        Err(errno) if is_root => {
            Finding::missing(CHECK, format!("{found}, and not writable: {errno}"))
                .loses("everything: no cgroup can be made for a sandbox")
                .advise(format!(
                    "mount -o remount,rw {}; inside a container, run egress on the host",
                    path.display()
                ))
        }
        _ => Finding::ok(CHECK, found),
    }
}

fn bpffs(mounts: &[Mount], is_root: bool) -> Finding {
    const CHECK: &str = "bpffs";
    // egress's own is root's alone: others have to take the table's word for it.
    let is_there = |path: &Path| is_really(path, BPF_FS_MAGIC) || !is_root;
    let mounted = mount_of(mounts, "bpf", BPFFS, is_there);
    let systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    match mounted {
        Some(path) => Finding::ok(CHECK, format!("at {}", path.display())),
        None if knows(&systems, "bpf") => {
            Finding::ok(CHECK, format!("not mounted; egress will mount its own at {OWN_BPFFS}"))
        }
        None => Finding::missing(CHECK, "the kernel does not know it (/proc/filesystems)")
            .loses("that a killed egress leaves its programs in force")
            .advise(format!(
                "boot a kernel with CONFIG_BPF_SYSCALL, then: mount -t bpf bpf {BPFFS}"
            )),
    }
}

/// A directory that chroot(8) made the root is in no table, and mounts cannot be made private there.
fn root_mount(mounts: &[Mount]) -> Finding {
    const CHECK: &str = "root mount";
    if mounts.iter().any(|mount| mount.point == Path::new("/")) {
        return Finding::ok(CHECK, "/ is a mount point");
    }
    Finding::missing(CHECK, "/ is no mount point, as in a plain chroot")
        .loses("everything: a sandbox cannot have mounts of its own")
        .advise("outside, before the chroot: mount --bind DIRECTORY DIRECTORY")
}

/// Whether the kernel's table of file systems names one.
fn knows(filesystems: &str, name: &str) -> bool {
    filesystems.lines().filter_map(|line| line.split('\t').next_back()).any(|word| word == name)
}

/// Loading proves more than any list of features: what loads here will load at a start.
fn object(is_root: bool) -> Vec<Finding> {
    const CHECK: &str = "kernel object";
    const ERRNO: &str = "bpf_set_retval";
    if !is_root {
        let why = "only root may load programs, so this was not tried";
        return [CHECK, ERRNO].map(|check| Finding::unknown(check, why).advise(SUDO)).into();
    }
    match Loaded::load() {
        Ok(loaded) => {
            let count = egress_common::abi::PROGRAMS.len();
            let errno = if loaded.chooses_errno() {
                Finding::ok(ERRNO, "refusals have the errno that fits them")
            } else {
                Finding::warning(ERRNO, "not in this kernel (Linux 5.18)").loses(
                    "nothing; refused kinds of sockets say EPERM instead of EPROTONOSUPPORT, and \
                         destinations whatever `refusal_errno` says",
                )
            };
            vec![Finding::ok(CHECK, format!("all {count} programs load")), errno]
        }
        Err(error) => vec![
            Finding::missing(CHECK, with_causes(&error))
                .loses("everything: all of its programs are required")
                .advise(
                    "with `not permitted`, see the lines on rights and lockdown; a kernel needs \
                     CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF",
                ),
            Finding::unknown(ERRNO, "the kernel object did not load"),
        ],
    }
}

/// What to do where root is needed.
const SUDO: &str = "sudo egress doctor";

/// What a file of the kernel's says, without the line's end; none where it cannot be read.
fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// For a person: a line for each finding, what it costs and what to do below it, and the verdict.
impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { check, status, found, lost, advice } in &self.findings {
            // Paths and what the kernel's files say are in it.
            let safe = |text: &str| Printable::from(text);
            writeln!(f, "{:<8} {check:<16} {}", status.name(), safe(found))?;
            if let Some(lost) = lost {
                writeln!(f, "{:<25} without it: {}", "", safe(lost))?;
            }
            if let Some(advice) = advice {
                writeln!(f, "{:<25} to do: {}", "", safe(advice))?;
            }
        }
        match self.missing().as_slice() {
            [] => writeln!(f, "\nable: `egress run` can hold a program here"),
            missing => writeln!(f, "\nnot able; missing: {}", missing.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
