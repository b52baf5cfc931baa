//! Pins: (name, address, expiry) with the grant that opened them.
//!
//! Pure: the caller gives the time, and kernel maps are behind [`PinStore`].
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod direct;
mod ends;
mod lease;
mod list;
mod ports;
mod rejudge;
mod store;
mod table;

pub use ends::Ends;
pub use lease::RENEW_EVERY;
pub use list::Listed;
pub use ports::{direct_ports, ports_of};
pub use store::{Naming, Opening, PinStore};
pub use table::{
    MAX_ADDRESSES_A_NAME, MAX_EXPIRED, MAX_PINS, NEVER_NS, PinError, PinTable, Pinned, expiry_ns,
};
