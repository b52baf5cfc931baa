//! What opens or closes an address in the kernel.
//!
//! The kernel's answer is coarse on purpose: it lets a connection reach the proxy or refuses it
//! with an errno; names and payload are the proxy's to judge, and it judges ports again.

use core::hint::black_box;

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
    /// Key of the map [`crate::abi::map::LIVE`], for connections to the address on ports where they may name nobody; 0
    /// is none.
    pub live: u64,
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
    /// First and last port of each, in host byte order, in the order of the first ones. 0 as the first is no entry, and
    /// none stands behind it.
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
        // As `contains` searches: in their order, those that are none behind the others, and none within another.
        all.list.sort_unstable_by_key(|&[first, _]| first.wrapping_sub(1));
        let mut highest = 0;
        for [_, last] in all.list.iter_mut().take_while(|[first, _]| *first != 0) {
            highest = highest.max(*last);
            *last = highest;
        }
        Some(all)
    }

    /// First and last port of each range.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.list.iter().map(|&[first, last]| (first, last)).take_while(|(first, _)| *first != 0)
    }

    /// Whether the port is one of them; 0 never is.
    ///
    /// A search by halves without a branch: the kernel's verifier goes through all that comes behind once for each way
    /// to here, and there would be as many as ranges.
    #[inline(always)]
    pub fn contains(&self, port: u16) -> bool {
        const { assert!(N.is_power_of_two()) };
        let mut at = 0;
        let mut step = N / 2;
        while step > 0 {
            // All ones where the range there begins at or before the port; no entry begins behind all of them.
            let first = i64::from(self.list[at | step][0].wrapping_sub(1));
            at |= step & black_box((first - i64::from(port)) >> 63) as usize & (N - 1);
            step /= 2;
        }
        let [first, last] = self.list[at];
        first.wrapping_sub(1) < port && port <= last
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

#[cfg(test)]
mod tests {
    use super::{PortList, Ports};

    /// In any order, within each other, next to each other, and those that are none.
    const RANGES: [&[(u16, u16)]; 6] = [
        &[],
        &[(1, u16::MAX)],
        &[(443, 443), (22, 25), (0, 9), (30, 20), (26, 26)],
        &[(1, 100), (50, 60), (90, 200), (65535, 65535)],
        &[(7, 7), (7, 9), (3, 8)],
        &[(2, 2), (4, 4), (6, 6), (8, 8), (10, 10), (12, 12), (14, 14), (16, 16), (18, 18)],
    ];

    #[test]
    fn a_port_is_in_a_list_where_it_is_in_one_of_its_ranges() {
        for ranges in RANGES {
            let (few, many) = (Ports::of(ranges.iter().copied()), PortList::of(ranges.to_vec()));
            let (few, many) = (few.expect("room"), many.expect("room"));
            for port in 0..=u16::MAX {
                let is_in = port != 0
                    && ranges
                        .iter()
                        .any(|(first, last)| *first != 0 && *first <= port && port <= *last);
                assert_eq!(few.contains(port), is_in, "{port} in {ranges:?}");
                assert_eq!(many.contains(port), is_in, "{port} in {ranges:?}");
            }
        }
    }

    #[test]
    fn a_full_list_is_searched_to_its_ends() {
        let all = Ports::of((1..=32).map(|at| (at * 1000, at * 1000 + 1))).expect("room");
        assert!(all.contains(1000) && all.contains(32_001) && all.contains(16_000));
        assert!(!all.contains(999) && !all.contains(32_002) && !all.contains(1002));
        assert!(Ports::of((1..=33).map(|at| (at * 1000, at * 1000))).is_none());
    }
}
