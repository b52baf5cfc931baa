//! The policy engine: pure, typed, no I/O, no clock.

mod class;
mod decide;
mod host;
mod rule;

pub use class::is_public;
pub use decide::{Answer, Decision, KernelRule, Lookup, Policy, Refusal, Request, Settings};
pub use host::{Host, HostError, Name};
pub use rule::{
    Action, Grant, Origin, Pattern, PatternError, PortSet, Rule, RuleOptions, Transport,
};
