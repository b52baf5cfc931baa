//! The policy engine: pure, typed, no I/O, no clock.
//!
//! [`Host`] reads what a person or a program wrote, [`Pattern`] and [`Rule`] what a policy says, and
//! [`Policy`] answers. Everyone asks the same [`Policy`], or a map made of its
//! [`Policy::address_entries`].

mod answers;
mod class;
mod compile;
mod decide;
mod host;
mod index;
mod matched_rules;
mod opaque_ports;
mod own;
mod path;
mod pattern;
mod payload;
mod ports;
mod refusal;
mod remedy;
mod route;
mod rule;
mod search;
mod settings;
mod unix;

pub use class::{carried_forms, class_blocks, is_all_near, is_public};
pub use compile::{AddressAction, AddressEntry};
pub use decide::{Answer, Decision, LOCALHOST_ADDRESSES, Lookup, Policy, Request};
pub use host::{Host, HostError, LABEL_LIMIT_BYTES, NAME_LIMIT_BYTES, Name};
pub use matched_rules::MatchedRules;
pub use opaque_ports::{OPAQUE_PORTS, OpaquePort, opaque_port};
pub use own::OwnAddresses;
pub use pattern::{Pattern, PatternError};
pub use payload::{HttpRequest, LIMITED_METHODS, Payload};
pub use ports::{HTTP_PORTS, MAX_PORT_RANGES, PortRange, PortSet, TLS_PORTS, WEB_PORTS};
pub use refusal::Refusal;
pub use remedy::Remedy;
pub use route::RouteReason;
pub use rule::{Action, Ech, Layer, Mode, Origin, Route, Rule, RuleOptions, Transport};
pub use search::SearchDomains;
pub use settings::{RefusalErrno, Settings};
pub use unix::{UnixAddress, UnixRule};
