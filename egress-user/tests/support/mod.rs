//! The test world that kernel tests are told in.
//!
//! ```text
//!   client namespace                          far namespace
//!   egress run, the programs   client0 --- far0   every address of the internet that the test needs,
//!   a service on every address            |       servers on them, a name server at 93.184.216.53
//!   of its own, loopback too              tripwire: records each packet that arrives
//! ```
//!
//! A world is made for one test and shares nothing with others: namespaces without names, a directory of its own.
//! Servers and tripwire tell what happened; what `egress` says is never the only evidence. `egress` runs in the
//! client namespace, with a mount namespace in which `/etc/resolv.conf` names the world's server.
#![allow(
    dead_code,
    unused_imports,
    reason = "a test binary uses the part of the world that it needs"
)]

pub(crate) mod advice;
pub(crate) mod arrivals;
pub(crate) mod attempts;
mod capture;
mod certificates;
mod command;
pub(crate) mod http;
mod log;
mod name_server;
mod netns;
mod outcome;
mod policy;
mod probes;
pub(crate) mod processes;
pub(crate) mod receiver;
mod services;
pub(crate) mod tls_servers;
mod tools;
mod world;

pub(crate) use command::{Client, Running};
pub(crate) use log::Contact;
pub(crate) use name_server::Answer;
pub(crate) use outcome::Finished;
pub(crate) use policy::Policy;
pub(crate) use services::BANNER;
pub(crate) use tools::{
    EGRESS, PYTHON, RESOLVERS, TLS_SERVERS, cgroup2, landlock_version, skip, slowness,
};
pub(crate) use world::{CLIENT, CLIENT_DEVICE, NAME_SERVER, SILENT, World, with_options_for_root};
