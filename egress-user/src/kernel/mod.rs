//! The kernel side, as user space holds it: the object, its maps, its events, and what the host
//! must offer.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod destroy;
mod error;
mod events;
mod host;
mod layout;
mod maps;
mod object;
mod own;
mod pins;
mod release;
mod survey;

pub use destroy::Destroyer;
pub use error::{KernelError, Rejected};
pub use events::{Events, Told, datagram_connect, describe};
pub use host::{Host, HostError, Mounted, mounts};
pub use maps::Maps;
pub use object::{Attached, Loaded};
pub use own::OwnRules;
pub use release::release;
pub use survey::{Finding, Status, Survey};
