//! Descriptors: how many connections of each sandbox fit beside what must never be without one.

use std::sync::Arc;

use egress_common::sandbox::LISTENERS6;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    dns::MAX_DNS_CONNECTIONS,
    proxy::{MAX_CONNECTIONS, Outbound},
    sandbox::Sandbox,
    sys,
};

/// What [`MAX_CONNECTIONS`] need with all that they may take beside them.
const WANTED: u64 = 65_536;

/// Kept from connections, for each sandbox: for connections to the DNS listeners, lookups, and
/// `egress status`.
const RESERVED: usize = MAX_DNS_CONNECTIONS + 64;

/// Below this, IPv6 has no more listeners than workers.
const FOR_ALL_LISTENERS: u64 = 1024;

/// About what is open at the start, where /proc does not say.
const OPEN: usize = 100;

/// A connection's: to the program, and to its server.
const EACH: usize = 2;

/// Of the descriptors that are left, one in so many is a pipe's place, and as many an attempt's.
const SHARE: usize = 32;

const _: () = {
    let left = WANTED as usize - OPEN - RESERVED;
    assert!((left - (EACH + 1) * (left / SHARE)) / EACH >= MAX_CONNECTIONS);
};

/// The limit of this process.
pub(crate) struct Descriptors {
    limit: u64,
}

impl Descriptors {
    /// Raises the limit as far as is needed and allowed, whatever the caller left: a soft limit of 1024 would be
    /// 400 connections.
    pub(crate) fn raise() -> Self {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return Self { limit: 1024 };
        };
        // Beyond the hard limit with CAP_SYS_RESOURCE only, which root may well be without.
        for wanted in [hard.max(WANTED), hard] {
            if setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
                return Self { limit: wanted };
            }
        }
        Self { limit: soft }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn listeners6(&self, workers: usize) -> usize {
        if self.limit < FOR_ALL_LISTENERS { workers } else { LISTENERS6 }
    }

    /// Shares out what is left under the limit when everything else is open: each sandbox may have the same
    /// number of connections, and each of its listeners may have accepted one more, which waits. False
    /// when there is no room for any. `outbound` is what they take of all together.
    pub(crate) fn share_out(&self, sandboxes: &[Arc<Sandbox>], outbound: &Outbound) -> bool {
        if sandboxes.is_empty() {
            return true;
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let live: usize = sandboxes.iter().map(|one| one.state.connections.count()).sum();
        let open = sys::descriptors::count().unwrap_or(OPEN).saturating_sub(EACH * live);
        let free = limit.saturating_sub(open);
        let listeners: usize = sandboxes.iter().map(|one| one.listeners).sum();
        let reserved = RESERVED.saturating_mul(sandboxes.len()).min(free / 2);
        let left = (free - reserved).saturating_sub(listeners);
        // A pipe has two ends; an attempt beside another, one.
        let (pipes, attempts) = (left / SHARE, left / SHARE);
        outbound.set_limits(pipes, attempts);
        let connections = (left - EACH * pipes - attempts) / EACH / sandboxes.len();
        for sandbox in sandboxes {
            sandbox.proxy.admit(connections.min(MAX_CONNECTIONS));
        }
        connections > 0
    }
}
