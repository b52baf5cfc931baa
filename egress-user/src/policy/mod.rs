//! The policy engine: pure, typed, no I/O, no clock.
//!
//! [`Host`] reads what a person or a program wrote, [`Pattern`] and [`Rule`] what a policy says, and
//! [`Policy`] answers. Every door asks the same [`Policy`], or a map made of its
//! [`Policy::kernel_rules`].

mod class;
mod compile;
mod decide;
mod host;
mod index;
mod pattern;
mod rule;
mod unix;

pub use class::is_public;
pub use compile::KernelRule;
pub use decide::{
    Answer, Decision, HttpRequest, LOCALHOST_ADDRESSES, Lookup, Payload, Policy, Refusal, Request,
    Settings,
};
pub use host::{Host, HostError, Name};
pub use pattern::{Pattern, PatternError};
pub use rule::{
    Action, DataPath, Grant, Layer, Mode, Origin, PortSet, Rule, RuleOptions, Transport,
};
pub use unix::{UnixAddress, UnixRule};
