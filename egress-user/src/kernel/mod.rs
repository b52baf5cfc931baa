//! The kernel side, as user space holds it: the object, its maps, its events, and what the host
//! must offer.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod destroy;
mod devices;
mod error;
mod events;
mod host;
mod layout;
mod maps;
mod mounts;
mod object;
mod own;
mod pins;
mod release;
mod survey;

pub use destroy::Destroyer;
pub use devices::Devices;
pub use error::{KernelError, Rejected};
pub use events::{Events, Told, datagram_connect, describe};
pub use host::{Host, HostError};
pub use maps::Maps;
pub use mounts::{Mount, mount_at, mounts};
pub use object::{Attached, Loaded};
pub use own::OwnRules;
pub use release::release;
pub use survey::{Finding, Status, Survey};
