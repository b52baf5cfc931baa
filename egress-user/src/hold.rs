//! A connect that is held: the packets by which its SYN is let in, or answered as the network has answered.
//!
//! The kernel side holds the SYN and tells of it (`egress-ebpf/src/held.rs`); the proxy dials meanwhile
//! (`proxy/held.rs`).
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod answer;
mod syn;

pub use answer::Answer;
pub use egress_broker::inject::Injector;
pub use syn::Syn;
