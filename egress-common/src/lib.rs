//! The contract between egress's kernel side (`egress-ebpf`) and its user side (`egress-user`).
//!
//! No `std`, no dependencies: both sides compile this crate, each with its own toolchain, and a
//! digest over it is stored beside the committed kernel object, so that a record cannot change on
//! one side only.
#![no_std]
#![warn(missing_docs)]

pub mod abi;
pub mod address;
pub mod answer;
pub mod device;
pub mod event;
pub mod first_line;
pub mod flow;
pub mod held;
pub mod hello;
pub mod payload;
pub mod pin;
pub mod pod;
pub mod reason;
pub mod records;
pub mod sandbox;
pub mod usage;

pub use address::Address;
pub use pod::Pod;
pub use reason::Reason;
