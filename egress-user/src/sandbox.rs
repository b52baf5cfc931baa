//! A sandbox: what it is ([`Spec`]), what all of its parts share ([`SandboxState`]), how it starts, and
//! how it is held ([`Handle`]).

mod change;
mod connections;
mod policy_watch;
mod state;

pub use connections::{Connections, Judged, Live};
pub use policy_watch::{PolicyVersion, PolicyWatch};
pub use state::SandboxState;
