//! Which way a connection's bytes take: straight out, the kernel judging its first payload, or
//! through the proxy.

use std::net::IpAddr;

use super::{Host, MatchedRules, Payload, Policy, Request, Route, Transport};

impl Policy {
    /// The way of a target that is allowed, at these addresses. Another name of the same address may
    /// still need the proxy, and then all of them take it.
    pub fn route(&self, request: &Request, grant: &MatchedRules, addresses: &[IpAddr]) -> Route {
        let tls = matches!(request.payload, Payload::Tls | Payload::Unknown);
        let named = matches!(request.host, Host::Name(_)) && request.transport == Transport::Tcp;
        // What a rule for the address, or `*`, lets pass names nobody, or names that no pin knows.
        let open = |address: &IpAddr| {
            self.address(*address).is_ok_and(|own| own.opens(request.port, Transport::Tcp))
        };
        let is_near = |address: &IpAddr| open(address) || self.is_this_machine(*address);
        if named && tls && !addresses.iter().any(is_near) {
            grant.route(self.settings().mode, request.port)
        } else {
            Route::Proxy
        }
    }
}
