//! The process that serves a sandbox: it reads what the sandbox, servers and name servers send, and has no rights.
//!
//! What needs rights is done by a broker, which has made everything before ([`egress_broker::session`]), and takes
//! requests ([`egress_broker::message`]). `egress run` is one process until the policy is read, and becomes both
//! ([`divide`]).

mod broker;
mod divide;
#[cfg(debug_assertions)]
pub(crate) mod misbehave;
mod rights;
mod sockets;

pub use broker::{Broker, Event, Handed, failed};
pub use divide::{DivideError, Division, divide};

pub(crate) use broker::of_this_process;
pub(crate) use divide::program;
