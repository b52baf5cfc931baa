//! A sandbox's life: its cgroup, its init, its listeners, and what is left of it afterwards.

mod cgroup;
mod elsewhere;
mod init;
mod isolate;
mod place;
mod probe;
mod rights;
mod signals;
mod user;

pub use cgroup::{Cgroup, CgroupError};
pub use init::{Command, Init, InitError, exit};
pub use probe::{PROBE_GREETING, PROBE_TARGET, ProbeError};
pub use signals::{Arrived, Signals};
pub use user::{User, UserError};
