//! What of egress needs rights: cgroups, the programs of the kernel side, listeners, and the first process of a
//! sandbox. Nothing here reads what a sandbox, a server or a name server sent.
#![warn(missing_docs)]
#![deny(unsafe_code)]

mod cli;
pub mod clock;
pub mod confine;
mod ender;
pub mod held_sockets;
pub mod host;
pub mod inject;
pub mod kernel;
pub mod launch;
pub mod message;
pub mod order;
pub mod points;
pub mod session;
pub mod sys;
pub mod text;
mod wire;

pub use cli::main;
