//! What is to run in a sandbox.

use std::{ffi::OsString, io};

use super::{capabilities::Capabilities, user::User};
use crate::{host::Writer, sys::handed::writable_files};

/// What to run. Environment, working directory, umask, limits, signals and standard streams are this
/// process's, as it was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program, looked up in PATH when it has no slash.
    pub program: OsString,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// As whom; none = as the caller, root.
    pub user: Option<User>,
    /// What it may do beyond that.
    pub capabilities: Capabilities,
}

impl Command {
    /// Who the command is to the machine's files, with those that this process hands it. A set-user-ID program
    /// makes root of any user where it has capabilities.
    ///
    /// # Errors
    /// When the list of open files cannot be read.
    pub fn writer(&self) -> io::Result<Writer> {
        let user = self.user.as_ref().filter(|user| !user.uid.is_root());
        Ok(match (user, self.capabilities) {
            (Some(User { uid, gid, groups, .. }), Capabilities::None) => {
                let handed = writable_files()?;
                Writer::User { uid: *uid, gid: *gid, groups: groups.clone(), handed }
            }
            (None, _) | (_, Capabilities::Container) => Writer::Root,
        })
    }
}

/// Exit codes of `run` that are not the command's own.
pub mod exit {
    /// The command succeeded, and something was refused (`--fail-on-refusal`).
    pub const REFUSED: u8 = 3;
    /// The sandbox could not be started.
    pub const NOT_STARTED: u8 = 125;
    /// The command is not executable.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
}
