//! What must hold for every policy, host and target.
//!
//! The properties themselves stand in `fuzz/src`, where `cargo fuzz` looks for inputs that break
//! them. Here they get random inputs of a known seed's kind, and all inputs that fuzzing kept.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[expect(unreachable_pub, reason = "a crate of its own for cargo fuzz")]
#[path = "../../fuzz/src/lib.rs"]
mod bodies;

mod corpus;
mod decisions;
mod first_lines;
mod hellos;
mod imported;
mod spelling;
