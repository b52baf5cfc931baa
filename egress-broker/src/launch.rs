//! From a process made anew to the command: its namespaces, its privileges, its signals, and the proof that
//! the path works before it starts.

mod capabilities;
mod command;
pub mod entry;
mod environment;
mod init;
mod isolate;
mod launcher;
mod message;
mod note;
mod other_paths;
mod privileges;
mod probe;
mod signals;
mod stdio;
mod temporary;
mod terminal;
mod user;
mod working_directory;

pub use capabilities::{CONTAINER, Capabilities};
pub use command::{Command, exit};
pub use init::{Init, InitError, set_executable};
pub use note::Note;
pub use probe::{PROBE_GREETING, PROBE_TARGET, ProbeError};
pub use signals::{Arrived, Signals};
pub use stdio::{StdioError, check_stdio, check_stdio_devices};
pub use terminal::Terminal;
pub use user::{FIRST_WORKER, LAST_WORKER, User, UserError};
