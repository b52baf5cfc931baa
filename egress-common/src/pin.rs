//! What opens or closes an address in the kernel.
//!
//! The kernel's answer is coarse on purpose: it lets a connection reach the proxy or refuses it
//! with an errno; ports, names and payload are the proxy's to judge.

use crate::address::Address;

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
    /// Zero.
    pub reserved: u64,
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
