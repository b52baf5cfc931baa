//! The hold that a connection has on the pins under which it was made.

use std::net::IpAddr;

use super::{accept::Transparent, connection::Connection};
use crate::clock::boottime_ns;

/// Keeps the pins of an address from ending, until it is dropped.
pub(super) struct PinLease<'a> {
    proxy: &'a Transparent,
    address: IpAddr,
    is_held: bool,
}

impl Drop for PinLease<'_> {
    fn drop(&mut self) {
        if self.is_held {
            self.proxy.pins().release(self.proxy.sink(), self.address, boottime_ns());
        }
    }
}

impl Connection<'_> {
    /// Keeps the pins under which the connection was made from ending before it.
    pub(super) fn lease(&self, address: IpAddr) -> PinLease<'_> {
        // What no name vouches for needs no pin.
        let is_named = self.evidence.names().next().is_some();
        let is_held = is_named && self.proxy.pins().hold(self.proxy.sink(), address, boottime_ns());
        PinLease { proxy: self.proxy, address, is_held }
    }
}
