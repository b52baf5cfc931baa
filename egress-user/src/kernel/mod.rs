//! The kernel side, as user space holds it: the object, its maps, its events, and what the host
//! must offer.

mod events;
mod host;
mod maps;
mod object;

pub use events::{Events, describe};
pub use host::{Host, HostError, Mounted, mounts};
pub use maps::Maps;
pub use object::{Attached, KernelError, Loaded, remove_pins};
