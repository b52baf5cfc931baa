//! Descriptors: how many connections fit beside what must never be without one.

use egress_common::sandbox::LISTENERS6;
use egress_user::{dial, proxy::MAX_CONNECTIONS, relay, sys};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What [`MAX_CONNECTIONS`] need with all that they may take beside them.
const WANTED: u64 = 65_536;

/// Kept from connections: for lookups, connections to the DNS listeners (64), and `egress status`.
const RESERVED: usize = 128;

/// Below this, IPv6 has no more listeners than workers.
const FOR_ALL_LISTENERS: u64 = 1024;

/// About what is open at the start, where /proc does not say.
const OPEN: usize = 100;

/// A connection's: to the program, and to its server.
const EACH: usize = 2;

/// Raises this process's limit as far as is needed and allowed: a soft limit of 1024 would be 400
/// connections. Gives the limit. The command gets what this process was started with.
pub(super) fn raise_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    // Beyond the hard limit with CAP_SYS_RESOURCE only, which root may well be without.
    for wanted in [hard.max(WANTED), hard] {
        if setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
            return wanted;
        }
    }
    soft
}

/// How many listeners IPv6 gets. Before the limit is raised.
pub(super) fn listeners6(workers: usize) -> usize {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((_, hard)) if hard < FOR_ALL_LISTENERS => workers,
        _ => LISTENERS6,
    }
}

/// Shares out what is left under the limit when everything else is open, and gives how many
/// connections the proxy may have at once. Each of `doors` may have accepted one more, which waits.
///
/// # Errors
/// When there is no room for any.
pub(super) fn share_out(limit: u64, doors: usize) -> anyhow::Result<usize> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let free = limit.saturating_sub(sys::descriptors::count().unwrap_or(OPEN));
    let left = (free - RESERVED.min(free / 2)).saturating_sub(doors);
    // A pipe has two ends; an attempt beside another, one.
    let (pipes, attempts) = (left / 32, left / 32);
    relay::limit_pipes(pipes);
    dial::limit_further(attempts);
    let connections = (left - EACH * pipes - attempts) / EACH;
    if connections == 0 {
        anyhow::bail!(
            "{limit} descriptors are too few to serve a connection; raise the limit (`ulimit -n`)"
        );
    }
    Ok(connections.min(MAX_CONNECTIONS))
}
