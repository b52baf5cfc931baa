//! Verdicts on what a connection shows of itself, for the proxy and for what the kernel asks. No I/O.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod evidence;

pub(crate) use evidence::{Evidence, keeps_upgrade, plain};
