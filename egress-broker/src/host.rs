//! What a sandbox takes of the machine: cgroups, listeners on loopback, the mount table.

mod cgroup;
mod listeners;
mod machine;
pub mod mounts;
mod rights;
mod status_socket;
mod writer;

pub use cgroup::{Cgroup, CgroupError, Existing, Owned};
pub use listeners::{Family, ListenError, Listeners};
pub use machine::{BPFFS, CGROUP2, MINIMUM, OWN_BPFFS, check_version, is_really, kernel_version};
pub use machine::{Host, HostError};
pub use mounts::mount_of;
pub use mounts::{Mount, mount_at, mounts};
pub use rights::{Barred, Rights};
pub use rights::{LOCKDOWN, NEEDED, chosen, is_in_sandbox, lacking};
pub use status_socket::{STATUS_ENDING, STATUS_PLACE, StatusSocket};
pub use writer::Writer;
pub use writer::{Traced, ask_instead};
