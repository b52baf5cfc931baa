//! When the pins of an answer end, and whether it changes anything about those that are there.

use std::net::IpAddr;

use super::{NEVER_NS, table::PinTable};
use crate::policy::{MatchedRules, Name};

/// A pin that an answer would give this much more time, or less, stands as it is: a stub resolver asks for A and
/// AAAA one behind the other, and each answer of its many processes would write all the name's pins again.
pub(super) const SAME_NS: u64 = 500_000_000;

/// When the first of an answer's pins ends, of each family, in CLOCK_BOOTTIME nanoseconds; [`NEVER_NS`] where
/// there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Of the IPv4 addresses.
    pub v4_ns: u64,
    /// Of the IPv6 addresses.
    pub v6_ns: u64,
}

impl Ends {
    pub(super) fn of(ends: impl Iterator<Item = (IpAddr, u64)>) -> Self {
        let none = Self { v4_ns: NEVER_NS, v6_ns: NEVER_NS };
        ends.fold(none, |ends, (address, ends_ns)| ends.and(address, ends_ns))
    }

    fn and(self, address: IpAddr, ends_ns: u64) -> Self {
        let Self { v4_ns, v6_ns } = self;
        match address {
            IpAddr::V4(_) => Self { v4_ns: v4_ns.min(ends_ns), v6_ns },
            IpAddr::V6(_) => Self { v4_ns, v6_ns: v6_ns.min(ends_ns) },
        }
    }
}

impl PinTable {
    /// The ends of these pins, where all stand by the same right, and for about as long.
    pub(super) fn standing_pins(
        &self,
        name: &Name,
        grant: &MatchedRules,
        wanted: &[(IpAddr, u64)],
        now_ns: u64,
    ) -> Option<Ends> {
        let mut ends = Ends::of(std::iter::empty());
        for &(address, expires_ns) in wanted {
            let pin = self.pin_of(name, address)?;
            let missing_ns = expires_ns.saturating_sub(pin.expires_ns);
            let left_ns = pin.expires_ns.saturating_sub(now_ns);
            if missing_ns > SAME_NS.min(left_ns) || left_ns == 0 || !pin.grant.opens_as(grant) {
                return None;
            }
            ends = ends.and(address, pin.expires_ns);
        }
        Some(ends)
    }
}
