//! A sandbox: what it is ([`Spec`]), what all of its parts share ([`SandboxState`]), how it starts, and
//! how it is held ([`Handle`]).

mod account;
mod assemble;
mod awaited;
mod change;
mod connections;
mod ending;
mod explain;
mod given;
mod handle;
mod policy_watch;
mod reload;
mod running;
mod serve;
mod spec;
mod start;
mod state;

pub use awaited::end_of;
pub use connections::{Connections, Ending, Judged, Live};
pub use ending::Ended;
pub use given::{Served, Serving};
pub use handle::{Handle, Reloaded};
pub use policy_watch::{PolicyVersion, PolicyWatch};
pub use running::Sandbox;
pub use spec::Spec;
pub use start::StartError;
pub use state::SandboxState;
