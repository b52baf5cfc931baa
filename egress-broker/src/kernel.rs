//! The kernel side, as whoever has the rights for it puts it in place: the object, its programs, their pins, and
//! the end of sockets.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod abi;
mod destroy;
mod detach;
mod devices;
mod error;
mod layout;
mod map_set;
mod object;
mod sock_diag;
mod sockets;
mod verify;

pub use destroy::Destroyer;
pub use detach::detach_pinned;
pub use devices::{Devices, node};
pub use error::{KernelError, Rejected};
pub use map_set::MapSet;
pub use object::{Attached, Loaded, Programs};
pub use sockets::{Connected, of_cgroup as connections_of};
