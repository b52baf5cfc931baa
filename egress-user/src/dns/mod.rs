//! DNS: where names become addresses, and addresses become rights.

mod pins;

pub use pins::{PinSink, PinTable, Pinned};
