//! Tests of `egress run` on the real kernel, in a world of namespaces; they need root.
//!
//! `cargo test -p egress-user --test kernel -- --include-ignored`. Each judges twice: by what the program inside saw,
//! and by what arrived on the far side. The module `world` holds the same attempts against the far side without a
//! filter: they get through there, so that a pass under `egress` means something.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a broken test world must stop the test that needs it"
)]

#[path = "../support/mod.rs"]
mod support;

mod world;
