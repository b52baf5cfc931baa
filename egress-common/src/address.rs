//! An IP address as the maps hold it.

/// Sixteen bytes in network order; IPv4 as its v4-mapped form (`::ffff:a.b.c.d`), so that one
/// key type serves both families and no spelling of an address has two keys.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Address {
    /// The address as four words, each as it lies in memory (network order).
    pub words: [u32; 4],
}

impl Address {
    /// The third word of every v4-mapped address.
    pub const MAPPED_WORD: u32 = 0x0000_ffff_u32.to_be();

    /// 127.0.0.1, where the listeners for IPv4 are.
    pub const LOOPBACK4: Self = Self::from_v4_word(u32::from_ne_bytes([127, 0, 0, 1]));
    /// `::1`, where those for IPv6 are.
    pub const LOOPBACK6: Self = Self { words: [0, 0, 0, 1_u32.to_be()] };

    /// An IPv4 address from its word in network order.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self { words: [0, 0, Self::MAPPED_WORD, word] }
    }

    /// Where the kernel leads what is sent to the unspecified address: to loopback.
    #[inline(always)]
    pub const fn or_loopback(self) -> Self {
        match self.words {
            [0, 0, 0, 0] => Self::LOOPBACK6,
            [0, 0, Self::MAPPED_WORD, 0] => Self::LOOPBACK4,
            _ => self,
        }
    }

    /// Whether it is one of loopback's that one socket alone may be behind: 127.0.0.0/8 without what may be a
    /// network's or a broadcast address, and `::1`.
    #[inline(always)]
    pub const fn is_loopback(&self) -> bool {
        match self.v4_word() {
            Some(word) => {
                let [first, _, _, last] = word.to_ne_bytes();
                first == 127 && last != 0 && last != 255
            }
            None => {
                let [a, b, c, d] = self.words;
                a | b | c == 0 && d == Self::LOOPBACK6.words[3]
            }
        }
    }

    /// From sixteen bytes in network order.
    pub const fn from_octets(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self {
            words: [
                u32::from_ne_bytes([a, b, c, d]),
                u32::from_ne_bytes([e, f, g, h]),
                u32::from_ne_bytes([i, j, k, l]),
                u32::from_ne_bytes([m, n, o, p]),
            ],
        }
    }

    /// The sixteen bytes in network order.
    pub const fn octets(&self) -> [u8; 16] {
        let [w, x, y, z] = self.words;
        let [[a, b, c, d], [e, f, g, h]] = [w.to_ne_bytes(), x.to_ne_bytes()];
        let [[i, j, k, l], [m, n, o, p]] = [y.to_ne_bytes(), z.to_ne_bytes()];
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The IPv4 word in network order, where this is a v4-mapped address.
    #[inline(always)]
    pub const fn v4_word(&self) -> Option<u32> {
        if self.words[0] == 0 && self.words[1] == 0 && self.words[2] == Self::MAPPED_WORD {
            Some(self.words[3])
        } else {
            None
        }
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(ip: core::net::IpAddr) -> Self {
        match ip {
            core::net::IpAddr::V4(v4) => Self::from_octets(v4.to_ipv6_mapped().octets()),
            core::net::IpAddr::V6(v6) => Self::from_octets(v6.octets()),
        }
    }
}

impl From<Address> for core::net::IpAddr {
    /// v4-mapped addresses come back as IPv4.
    fn from(address: Address) -> Self {
        core::net::Ipv6Addr::from(address.octets()).to_canonical()
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::Address;

    fn at(text: &str) -> Address {
        text.parse::<IpAddr>().map(Address::from).unwrap_or_default()
    }

    #[test]
    fn loopback_is_where_one_socket_alone_may_be() {
        for text in ["127.0.0.1", "127.0.0.2", "127.255.254.1", "::1", "::ffff:127.0.0.1"] {
            assert!(at(text).is_loopback(), "{text}");
        }
        for text in ["127.255.255.255", "127.0.0.0", "126.0.0.1", "128.0.0.1", "::2", "::", "1::1"]
        {
            assert!(!at(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn the_unspecified_address_leads_to_loopback() {
        assert_eq!(at("0.0.0.0").or_loopback(), Address::LOOPBACK4);
        assert_eq!(at("::").or_loopback(), Address::LOOPBACK6);
        for text in ["0.0.0.1", "::1", "10.0.0.0"] {
            assert_eq!(at(text).or_loopback(), at(text), "{text}");
        }
    }
}
