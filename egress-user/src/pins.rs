//! Pins: (name, address, expiry) with the grant that opened them.
//!
//! Pure: the caller gives the time, and kernel maps are behind [`PinStore`]. The table knows nothing of the store
//! (`table`); [`Pins`] changes both.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod direct;
mod ends;
mod expired;
mod lease;
mod list;
mod ports;
mod rejudge;
mod shared;
mod store;
mod table;

pub use ends::Ends;
pub use expired::{MAX_EXPIRED, MAX_EXPIRED_NAMES};
pub use lease::RENEW_EVERY;
pub use list::Listed;
use ports::list_of;
pub use ports::{direct_ports, list_without, ports_of, set_of};
pub use rejudge::Lost;
pub use shared::Pins;
pub use store::{Naming, Opening, PinStore};
pub use table::{MAX_ADDRESSES_A_NAME, MAX_PINS, NEVER_NS, PinError, Pinned, expiry_ns};
