//! The user side of egress: policy, DNS, the transparent proxy, and the life of a sandbox.
//!
//! Modules stand in the order of a connection; `policy`, `sniff`, and the pure parts of `dns` do
//! no I/O and read no clock.
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod audit;
pub mod cases;
pub mod config;
pub mod dial;
pub mod diff;
pub mod direct;
pub mod dns;
pub mod flow;
pub mod import;
pub mod kernel;
pub mod listen;
pub mod own;
pub mod policy;
pub mod relay;
pub mod sandbox;
pub mod sniff;
pub mod status;
pub mod sys;
pub mod target;
pub mod text;
