//! From a forked child to the command: its namespaces, its privileges, its signals, and the proof that
//! the path works before it starts.

mod init;
mod isolate;
mod other_paths;
mod privileges;
mod probe;
mod signals;
mod user;
mod working_directory;

pub use init::{Command, Init, InitError, exit};
pub use probe::{PROBE_GREETING, PROBE_TARGET, ProbeError};
pub use signals::{Arrived, Signals};
pub use user::{User, UserError};
