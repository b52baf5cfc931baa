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

mod addresses;
mod advice;
mod beginnings;
mod browsers;
mod capabilities;
mod cgroups;
mod config;
mod confine;
mod connects;
mod datagrams;
mod death;
mod descriptors;
mod devices;
mod direct;
mod direct_attacks;
mod direct_ends;
mod direct_verdicts;
mod dns;
mod dns_clients;
mod dns_lenient;
mod dns_lies;
mod dns_messages;
mod doctor;
mod drain;
mod escape;
mod files;
mod forging;
mod handed;
mod hosts_file;
mod http2;
mod inbound;
mod inherited;
mod isolation;
mod launch;
mod lifecycle;
mod loopback;
mod loopback_attacks;
mod many;
mod misbehaving;
mod mounts;
mod names;
mod networks;
mod one_verdict;
mod outage;
mod own;
mod packages;
mod pins;
mod place;
mod ports;
mod processes;
mod proxy;
mod rebinding;
mod rebinding_moves;
mod refusal_errno;
mod renewal;
mod requests;
mod resolves_to;
mod search;
mod second_hello;
mod shares;
mod sockets;
mod source_ports;
mod status;
mod straight;
mod straight_clients;
mod symptoms;
mod terminal;
mod told;
mod transfer;
mod unable;
mod unrestricted;
mod users;
mod world;

use support::World;

/// The site that most policies here allow.
const SITE: &str = "93.184.216.34";
/// A site on another address, which they do not.
const OTHER: &str = "93.184.216.35";
const THIRD: &str = "93.184.216.36";
const SITE_V6: &str = "2606:2800:220:1::34";
const OTHER_V6: &str = "2606:2800:220:1::35";
const METADATA: &str = "169.254.169.254";
const PRIVATE: &str = "10.9.8.7";

/// What a refused destination gives.
const REFUSED: &[&str] = &["EPERM"];
/// What a refused kind of socket gives.
const REFUSED_SOCKET: &[&str] = &["EPERM", "EPROTONOSUPPORT"];
/// What a connection gives that is refused by its first bytes.
const RESET: &[&str] = &["reset", "aborted"];
/// What a refused HTTP request gives.
const REFUSED_REQUEST: &[&str] = &["403", "reset"];

/// What every probe sends: it must never arrive where it should not.
const SECRET: &str = "secret from inside";

/// `allowed.test` on [`SITE`], `refused.test` on [`OTHER`], and `shared.test`, refused, on the allowed one's address.
fn two_sites() -> World {
    let world = World::new().site("allowed.test", SITE).site("refused.test", OTHER);
    world
        .record("shared.test", &[SITE])
        .site("six.test", SITE_V6)
        .site("sixrefused.test", OTHER_V6)
        .build()
}

/// The options that allow `allowed.test` and nothing else.
const ALLOWED: &[&str] = &["--allow", "allowed.test"];
