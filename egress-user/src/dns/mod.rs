//! DNS: where names become addresses, and addresses become rights.

pub mod clock;
mod pins;

pub use pins::{PinSink, PinTable, Pinned};
