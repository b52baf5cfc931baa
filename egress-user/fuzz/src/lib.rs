//! What must hold for any input, one function a target.
//!
//! `cargo fuzz` looks for inputs that break them; `tests/properties/corpus.rs` includes this folder and
//! gives each function the inputs that were kept, on stable Rust.

pub mod beginning;
pub mod broker_message;
pub mod decision;
pub mod dns_query;
pub mod flag;
pub mod hello;
pub mod host;
pub mod http1;
pub mod http2;
pub mod kernel;
pub mod pattern;
pub mod policy_file;
pub mod reference;
pub mod scenario;

/// A function of this folder; it panics when something does not hold.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 11] = [
    ("host", host::run),
    ("pattern", pattern::run),
    ("flag", flag::run),
    ("policy_file", policy_file::run),
    ("decision", decision::run),
    ("dns_query", dns_query::run),
    ("broker_message", broker_message::run),
    ("hello", hello::run),
    ("http1", http1::run),
    ("beginning", beginning::run),
    ("http2", http2::run),
];
