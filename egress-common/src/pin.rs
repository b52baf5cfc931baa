//! What opens or closes an address in the kernel.
//!
//! The kernel's answer is coarse on purpose: it lets a connection reach the proxy or refuses it
//! with an errno; names and payload are the proxy's to judge, and it judges ports again.

use crate::{address::Address, hello::NameWords};

/// Key of the map [`crate::abi::map::PINS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PinKey {
    /// [`crate::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// The pinned address.
    pub address: Address,
}

/// Value of the map [`crate::abi::map::PINS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinValue {
    /// End of the pin's life in nanoseconds of CLOCK_BOOTTIME; `u64::MAX` never ends.
    pub expires_ns: u64,
    /// TCP ports that the rules of the pinned names open, together.
    pub ports: Ports,
    /// Of these, the ones that go straight out, their first payload being judged by the packet
    /// hook: whatever name a connection to this address and port names, it needs no proxy.
    pub direct: PortList,
    /// Of the direct ones, those where a first payload that is not TLS passes unread.
    pub unread: PortList,
}

/// Key of the map [`crate::abi::map::NAMES`]: a name that may be named at an address.
///
/// Aligned to words, so that the kernel side can make lower case of words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameKey {
    /// [`crate::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// The pinned address.
    pub address: Address,
    /// Bytes of the name.
    pub length: u32,
    /// Zero.
    pub reserved: u32,
    /// The name in lower case, without a trailing dot, and zeros.
    pub name: NameWords,
}

/// Value of the map [`crate::abi::map::NAMES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameValue {
    /// As [`PinValue::expires_ns`]: a connection that began before this may name it.
    pub expires_ns: u64,
    /// Key of the map [`crate::abi::map::LIVE`]; 0 is none.
    pub pin: u64,
    /// TCP ports on which it may be named.
    pub ports: PortList,
}

/// Up to eight TCP ports, exactly: unlike [`Ports`], it never stands for more than is written.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PortList {
    /// Host byte order; 0 is no entry.
    list: [u16; Self::CAPACITY],
}

impl PortList {
    /// Most ports of a list.
    pub const CAPACITY: usize = 8;
    /// No port.
    pub const NONE: Self = Self { list: [0; Self::CAPACITY] };

    /// Adds a port. False when there is no room; port 0 is left out.
    pub fn insert(&mut self, port: u16) -> bool {
        if port == 0 || self.contains(port) {
            return true;
        }
        match self.list.iter_mut().find(|entry| **entry == 0) {
            Some(entry) => *entry = port,
            None => return false,
        }
        true
    }

    /// The ports.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.list.iter().copied().filter(|port| *port != 0)
    }

    /// Whether the port is one of them; 0 never is.
    #[inline(always)]
    pub const fn contains(&self, port: u16) -> bool {
        let l = &self.list;
        port != 0
            && (port == l[0]
                || port == l[1]
                || port == l[2]
                || port == l[3]
                || port == l[4]
                || port == l[5]
                || port == l[6]
                || port == l[7])
    }
}

/// A few TCP ports, or every port.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Host byte order; 0 is no entry, and a list without any means every port.
    list: [u16; Self::CAPACITY],
}

impl Ports {
    /// Most ports that a list can name. A rule with more opens every port here, and the proxy alone
    /// refuses the rest.
    pub const CAPACITY: usize = 8;

    /// Every port.
    pub const ALL: Self = Self { list: [0; Self::CAPACITY] };

    /// No port of the proxy's: 53 never comes to it, as DNS has a listener of its own.
    pub const NONE: Self = Self { list: [crate::abi::DNS_PORT, 0, 0, 0, 0, 0, 0, 0] };

    /// These ports; every port when they are too many. Port 0, which nothing opens, is left out.
    pub fn only(ports: &[u16]) -> Self {
        let mut all = Self::NONE;
        for &port in ports.iter().filter(|port| **port != 0 && **port != crate::abi::DNS_PORT) {
            if all.list.contains(&port) {
                continue;
            }
            match all.list.iter_mut().find(|entry| **entry == 0) {
                Some(entry) => *entry = port,
                None => return Self::ALL,
            }
        }
        all
    }

    /// Ports of either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        if self == Self::ALL || other == Self::ALL {
            return Self::ALL;
        }
        let mut both = [0; Self::CAPACITY * 2];
        both[..Self::CAPACITY].copy_from_slice(&self.list);
        both[Self::CAPACITY..].copy_from_slice(&other.list);
        Self::only(&both)
    }

    /// Whether the port is one of them.
    #[inline(always)]
    pub const fn opens(&self, port: u16) -> bool {
        let l = &self.list;
        l[0] == 0
            || port == l[0]
            || (port != 0
                && (port == l[1]
                    || port == l[2]
                    || port == l[3]
                    || port == l[4]
                    || port == l[5]
                    || port == l[6]
                    || port == l[7]))
    }
}

/// Value of the map [`crate::abi::map::ADDRESSES`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleValue {
    /// [`RuleAction`] as a number.
    pub action: u32,
    /// Zero.
    pub reserved: u32,
    /// TCP ports that an allow opens.
    pub ports: Ports,
}

/// Data of a key in the longest-prefix map [`crate::abi::map::ADDRESSES`]; the prefix length is
/// [`RuleKey::SANDBOX_BITS`] plus that of the v4-mapped or v6 block.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleKey {
    /// [`crate::sandbox::Sandbox::id`]; always matched whole, so its byte order does not matter.
    pub sandbox: u64,
    /// First address of the block.
    pub address: Address,
}

impl RuleKey {
    /// Bits of a key before the address.
    pub const SANDBOX_BITS: u32 = 64;
    /// Prefix length of a whole address.
    pub const FULL_BITS: u32 = Self::SANDBOX_BITS + 128;
}

/// What the longest matching block of [`crate::abi::map::ADDRESSES`] says. The compiler of the map
/// sees to it that the longest match is the policy's answer (deny wins over every allow).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// An address rule allows: to the proxy.
    Allow = 1,
    /// A deny rule: refused as `denied`, pinned or not.
    Deny = 2,
    /// Non-public and without an exception: refused as `not_allowed_local`, unless pinned (which
    /// happens only with `allow_local_binding` or for `localhost`).
    Local = 3,
}
