//! What a running sandbox is doing, for root to look at.
//!
//! Each run listens on a unix socket below [`PLACE`], which only root may enter and no sandbox sees
//! (its `/run` is its own). Whoever connects gets one JSON document, and the end of the stream. Nothing
//! is read from it: looking changes nothing.

mod ask;
mod report;
mod server;

pub use ask::{AskError, ask_all};
pub use report::{Dns, Pin, Ports, Refusal, Report};
pub use server::{Source, StatusServer};

use crate::host::STATUS_ENDING as ENDING;
pub use crate::host::STATUS_PLACE as PLACE;

#[cfg(test)]
mod tests;
