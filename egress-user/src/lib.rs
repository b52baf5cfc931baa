//! The user side of egress: policy, DNS, the transparent proxy, and the life of a sandbox.
//!
//! Modules stand in the order of a connection; `policy`, `sniff`, and the pure parts of `dns` do
//! no I/O and read no clock.
#![warn(missing_docs)]
#![deny(unsafe_code)]

pub use egress_broker::{clock, confine, host, launch, points};

pub mod cases;
pub mod config;
pub mod dial;
pub mod diff;
pub mod direct;
pub mod dns;
pub mod doctor;
pub mod flow;
pub mod hold;
pub mod import;
pub mod judge;
pub mod kernel;
pub mod own;
pub mod pins;
pub mod policy;
pub mod proxy;
pub mod quota;
pub mod record;
pub mod relay;
pub mod sandbox;
pub mod sniff;
pub mod status;
pub mod supervisor;
pub mod sys;
pub mod target;
pub mod text;
pub mod worker;
