//! DNS: where names become addresses, and addresses become rights.
//!
//! A query is answered in this order, always: it is parsed ([`query`]), its name is judged, it is
//! looked up ([`upstream`]), the whole union of its addresses is judged, the addresses are pinned
//! ([`crate::pins`], and the kernel's map behind its store), and only then the answer leaves
//! ([`answer`]). A name that the policy refuses is never asked about upstream.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod answer;
mod counters;
mod hosts_file;
mod limits;
pub mod query;
mod records;
mod renewals;
mod server;
mod service;
mod settings;
mod tcp;
pub mod upstream;

pub use answer::Refuse;
pub use counters::{Counted, Counters};
pub use hosts_file::{HOSTS, HostsFile};
pub use limits::{
    NAME_BYTES_AT_ONCE, NAME_BYTES_PER_MINUTE, REFUSALS_AT_ONCE, REFUSALS_PER_SECOND,
};
pub use renewals::{MAX_WAITING, Renewals};
pub use server::MAX_QUERIES;
pub use service::Service;
pub use settings::Settings;
pub use tcp::{IDLE, MAX_DNS_CONNECTIONS};
pub use upstream::{
    LookupResult, NameServers, RESOLV_CONF, Records, ServersError, Upstream, preload,
    search_domains,
};

#[cfg(test)]
pub(crate) mod support;
#[cfg(test)]
pub(crate) use support::World;
