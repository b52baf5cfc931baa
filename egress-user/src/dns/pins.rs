//! Pins: (name, address, expiry) with the grant that opened them.
use std::net::IpAddr;

use crate::policy::{Grant, Name};

/// Where pins are written before an answer leaves: the kernel's map.
pub trait PinSink: Send + Sync {
    /// Opens the address until `expires_ns` (CLOCK_BOOTTIME; `u64::MAX` never ends).
    ///
    /// # Errors
    /// When the map is full or cannot be written; the answer must not leave then.
    fn pin(&self, address: IpAddr, expires_ns: u64) -> std::io::Result<()>;
    /// Closes the address.
    fn unpin(&self, address: IpAddr);
}

/// A live pin of an address.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The name whose lookup gave it.
    pub name: Name,
    /// What its rule opens.
    pub grant: Grant,
}

/// All pins of one sandbox. Time is the caller's, in CLOCK_BOOTTIME nanoseconds.
#[derive(Debug, Default)]
pub struct PinTable {
    _private: (),
}

impl PinTable {
    /// Live pins of this address: the names that vouch for it.
    pub fn names_of(&self, _address: IpAddr, _now_ns: u64) -> Vec<Pinned> {
        unimplemented!()
    }
    /// Live addresses of this name, in the order of the answer.
    pub fn addresses_of(&self, _name: &Name, _now_ns: u64) -> Vec<IpAddr> {
        unimplemented!()
    }
    /// The name that the address was pinned for last, if that pin has expired.
    pub fn expired(&self, _address: IpAddr, _now_ns: u64) -> Option<Name> {
        unimplemented!()
    }
}
