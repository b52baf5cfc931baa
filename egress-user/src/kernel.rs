//! The kernel side, as user space holds it: its maps and its events. What puts it in place is the broker's.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod events;
mod flows;
mod held;
mod maps;
mod own;
mod payloads;
mod pins;
mod record;
mod teardown;
mod usage;

pub use egress_broker::kernel::*;
pub use events::{Events, KernelEvent, connected_datagram, describe};
pub use held::{HeldEvent, HeldSyns};
pub use maps::Maps;
pub use own::OwnRules;
pub use payloads::{HeldPayloads, HeldPiece};
pub use record::{Said, SandboxRecord};
pub use teardown::Standing;
pub use usage::Counts;
