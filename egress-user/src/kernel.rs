//! The kernel side, as user space holds it: the object, its maps, and its events.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod abi;
mod destroy;
mod detach;
mod devices;
mod error;
mod events;
mod flows;
mod held;
mod layout;
mod maps;
mod object;
mod own;
mod payloads;
mod pins;
mod record;
mod sock_diag;
mod sockets;
mod teardown;
mod usage;
mod verify;

pub use destroy::Destroyer;
pub use detach::detach_pinned;
pub use devices::Devices;
pub use error::{KernelError, Rejected};
pub use events::{Events, KernelEvent, connected_datagram, describe};
pub use held::{HeldEvent, HeldSyns};
pub use maps::Maps;
pub use object::{Attached, Loaded, Programs};
pub use own::OwnRules;
pub use payloads::{HeldPayloads, HeldPiece};
pub use record::{Said, SandboxRecord};
pub use sockets::{Connected, of_cgroup as connections_of};
pub use teardown::Standing;
pub use usage::Counts;
