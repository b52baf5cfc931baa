//! What is to run in a sandbox.

use std::ffi::OsString;

use super::user::User;

/// What to run. Environment, working directory, umask, limits, signals and standard streams are this
/// process's, as it was started.
#[derive(Clone, Debug)]
pub struct Command {
    /// Program, looked up in PATH when it has no slash.
    pub program: OsString,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// As whom; none = as the caller, root without capabilities.
    pub user: Option<User>,
}

/// Exit codes of `run` that are not the command's own.
pub mod exit {
    /// The sandbox could not be started.
    pub const NOT_STARTED: u8 = 125;
    /// The command is not executable.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
}
