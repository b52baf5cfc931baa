//! Verdicts on what a connection shows of itself, for the proxy and for what the kernel asks. No I/O.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod evidence;
mod finding;
mod held;
mod hello;
mod request;

pub(crate) use evidence::{Admitted, Evidence};
pub(crate) use finding::Ruling;
pub(crate) use held::{Approved, Followed, HeldBytes, Rest};
pub(crate) use request::may_upgrade;
