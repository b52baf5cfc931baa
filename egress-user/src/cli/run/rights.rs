//! As whom the command runs, and with which capabilities.

use std::{ffi::OsStr, path::Path};

use clap::{Args, ValueEnum};
use egress_user::{
    launch::{Capabilities, User},
    text::Printable,
};
use nix::unistd::geteuid;

use super::{Failure, told::ToldArgs};

#[derive(Debug, Args)]
pub(super) struct RightsArgs {
    /// Run the command as this user: a login name, a number, or UID:GID. A number needs no entry in the
    /// user database: its group is then the one of the same number, its home is `/`
    #[arg(long, value_name = "USER")]
    pub(super) user: Option<String>,
    /// What a command that runs as root may do besides (none unless told). `container`: chown,
    /// dac_override, fowner, fsetid, setuid, setgid, setpcap, kill, net_bind_service, sys_chroot,
    /// setfcap, audit_write, as in a container; apt-get, chown, su and tar need them, and set-user-ID
    /// programs work with it. No network, mount, device, tracing or bpf capability is ever given
    #[arg(long, value_name = "SET", value_enum)]
    capabilities: Option<Set>,
}

/// [`Capabilities`], as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Set {
    None,
    Container,
}

/// What was chosen.
pub(super) struct Rights {
    pub(super) user: Option<User>,
    pub(super) capabilities: Capabilities,
}

/// Programs that nobody runs but as root: whoever starts one by sudo means to.
const ROOTS_PROGRAMS: [&str; 18] = [
    "adduser", "apk", "apt", "apt-get", "aptitude", "chown", "dnf", "dpkg", "groupadd", "microdnf",
    "pacman", "rpm", "snap", "su", "useradd", "usermod", "yum", "zypper",
];

impl RightsArgs {
    /// Says what the command cannot do as the user that it runs as, unless the caller has chosen that.
    pub(super) fn choose(&self, program: &OsStr, told: ToldArgs) -> Result<Rights, Failure> {
        let user = self.user()?;
        let is_root = user.as_ref().map_or_else(geteuid, |user| user.uid).is_root();
        let capabilities = match self.capabilities {
            Some(Set::Container) if !is_root => return Err(not_root(user.as_ref())),
            Some(Set::Container) => Capabilities::Container,
            Some(Set::None) | None => Capabilities::None,
        };
        if is_root && self.capabilities.is_none() {
            let or_user = match self.user {
                None => "; `--user NAME` runs it as NAME",
                Some(_) => "",
            };
            told.note(&format!(
                "running as root, without capabilities: chown, su, apt-get and other users' directories need \
                 `--capabilities container`{or_user}"
            ));
        }
        if let (None, Some(user)) = (&self.user, user.as_ref().filter(|user| !user.uid.is_root()))
            && let Some(program) = roots_program(program)
        {
            told.note(&format!(
                "the command runs as {}, who called sudo; {program} needs `--user root --capabilities container`",
                Printable::of_bytes(user.name.to_bytes())
            ));
        }
        Ok(Rights { user, capabilities })
    }

    /// As whom it runs; none = as the caller.
    pub(super) fn user(&self) -> Result<Option<User>, Failure> {
        let sudo_uid = std::env::var("SUDO_UID").ok();
        User::choose(self.user.as_deref(), sudo_uid.as_deref()).map_err(Failure::usage)
    }
}

/// The program's name, when it is one of [`ROOTS_PROGRAMS`].
fn roots_program(program: &OsStr) -> Option<&'static str> {
    let name = Path::new(program).file_name()?;
    ROOTS_PROGRAMS.into_iter().find(|known| name == *known)
}

/// Another user would have capabilities only by set-user-ID programs, which nobody means.
fn not_root(user: Option<&User>) -> Failure {
    let name = match user {
        Some(user) => format!("{}", Printable::of_bytes(user.name.to_bytes())),
        None => geteuid().to_string(),
    };
    Failure::usage(format!(
        "`--capabilities container` is for a command that runs as root, and this one would run as {name}; add \
         `--user root`, or leave it out"
    ))
}
