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
    /// End of the pin's life in nanoseconds of CLOCK_BOOTTIME; `u64::MAX` never ends. What connects later is
    /// sent to the proxy, which has the name looked up again.
    pub expires_ns: u64,
    /// TCP ports that the rules of the pinned names open, together.
    pub ports: Ports,
    /// Of these, the ones that go straight out, their first payload being judged by the packet
    /// hook: whatever name a connection to this address and port names, it needs no proxy.
    pub direct: PortList,
    /// Of the direct ones, those where a first payload that is not TLS may pass.
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

/// TCP ports as ranges, exactly; room for `N` of them.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRanges<const N: usize> {
    /// First and last port of each, in host byte order. 0 as the first is no entry, and none stands
    /// behind it.
    list: [[u16; 2]; N],
}

/// What rules open, together.
pub type Ports = PortRanges<32>;

/// Ports that need no proxy. What does not fit takes it.
pub type PortList = PortRanges<64>;

impl<const N: usize> PortRanges<N> {
    /// Most ranges.
    pub const CAPACITY: usize = N;
    /// No port.
    pub const NONE: Self = Self { list: [[0; 2]; N] };
    /// Every port but 0.
    pub const ALL: Self = {
        let mut all = Self::NONE;
        all.list[0] = [1, u16::MAX];
        all
    };

    /// The ports from each first to its last; none where there are more ranges than fit, which may then
    /// mean neither more nor less. A range that begins at 0, or ends before it begins, is none.
    pub fn of(ranges: impl IntoIterator<Item = (u16, u16)>) -> Option<Self> {
        let mut all = Self::NONE;
        let mut free = all.list.iter_mut();
        for (first, last) in ranges.into_iter().filter(|(first, last)| *first != 0 && first <= last)
        {
            *free.next()? = [first, last];
        }
        Some(all)
    }

    /// First and last port of each range.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.list.iter().map(|&[first, last]| (first, last)).take_while(|(first, _)| *first != 0)
    }

    /// Whether the port is one of them; 0 never is.
    #[inline(always)]
    pub const fn contains(&self, port: u16) -> bool {
        let mut index = 0;
        while index < N {
            let [first, last] = self.list[index];
            if first == 0 {
                return false;
            }
            if first <= port && port <= last {
                return true;
            }
            index += 1;
        }
        false
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
